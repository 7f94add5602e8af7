"""The command line: help, exit statuses, messages; no root, no lab."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from testbed.cli import VERBS, main
from testbed.cli.errors import run
from testbed.operations.documents import FABRIC, document_path  # noqa: F401 - loads what the verbs load

ROOT = Path(__file__).resolve().parents[3]
DEMO = str(ROOT / "topologies" / "demo.yaml")


@pytest.fixture(autouse=True)
def no_labs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CNLAB_RUN_ROOT", str(tmp_path / "run"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def lab(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        run(list(arguments))
    assert isinstance(ended.value.code, int)
    return ended.value.code


def commands() -> Iterator[tuple[str, click.Command]]:
    with click.Context(main) as ctx:
        for name in VERBS:
            command = main.get_command(ctx, name)
            assert command is not None
            yield name, command


def test_every_verb_is_there_and_its_help_has_an_example() -> None:
    for name, command in commands():
        if name in ("setup", "test"):
            continue
        assert command.help is not None, name
        assert "Example:" in command.help, name
        assert f"lab {name}" in command.help, name


def test_every_option_says_what_it_is_for() -> None:
    undescribed = ("files", "datapath")
    for name, command in commands():
        for parameter in command.params:
            if isinstance(parameter, click.Option) and parameter.name not in undescribed:
                assert parameter.help, f"{name} {parameter.name}"


def test_help_imports_nothing_heavy() -> None:
    heavy = ("rich", "yaml", "pydantic", "pyroute2", "mininet", "testbed.model")
    code = (
        "import sys; from testbed.cli.errors import run\n"
        "try: run(['--help'])\n"
        f"except SystemExit: print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stderr.strip() == "[]"
    assert "Show it all" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["nosuch"], 2, "no such verb: nosuch"),
        (["statu"], 2, "did you mean status?"),
        (["get"], 2, "Missing argument 'WHAT...'"),
        (["get", "pods"], 2, "no lab is running; make one: lab up topologies/demo.yaml"),
        (["--lab", "x", "get", "pods"], 2, "there is no lab x; none is running"),
        (["get", "pods", "--lab", "../x"], 2, "can't name a lab"),
        (["down", "--all"], 0, ""),
        (["up", "nosuch.yaml"], 2, "nosuch.yaml: can't be read: No such file or directory"),
        (["scale", "deploy/web"], 2, "Missing option '--replicas'"),
        (["delete"], 2, "say either objects or -f FILE"),
        (["run", "nosuch"], 2, 'no scenario "nosuch"'),
        (["run", "in_cluster", "--model", "eni"], 2, "nothing to show in eni"),
    ],
)
def test_messages_and_exit_statuses(
    arguments: list[str], status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab(*arguments) == status
    shown = capsys.readouterr()
    assert message in shown.err
    assert "Traceback" not in shown.err


def test_validate_says_every_fault_with_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(
        Path(DEMO).read_text().replace("replicas: 4", "replcias: 4").replace("192.168.1.0/24", "10.0.0.1/24")
    )
    assert lab("validate", str(bad)) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) >= 3
    assert all(line.startswith(f"{bad}:") for line in lines[:-1])
    assert 'did you mean "replicas"?' in "\n".join(lines)
    assert lines[-1] == f"lab: {len(lines) - 1} faults; nothing was changed"


def test_validate_tells_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(Path(DEMO).read_text().replace("replicas: 4", "replcias: 4"))
    assert lab("validate", str(bad), "-o", "json") == 2
    told = json.loads(capsys.readouterr().out)
    assert (told["valid"], told["summary"]) == (False, "")
    (fault,) = told["faults"]
    assert fault["file"] == str(bad)
    assert (fault["line"], fault["col"]) > (1, 1)
    assert fault["path"].endswith("replcias")
    assert fault["hint"] == 'did you mean "replicas"?'
    assert lab("validate", DEMO, "-o", "json") == 0
    assert json.loads(capsys.readouterr().out)["valid"] is True


def test_validate_counts_what_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert lab("validate", DEMO) == 0
    assert "1 cluster" in capsys.readouterr().out


def test_plan_shows_what_up_would_make(capsys: pytest.CaptureFixture[str]) -> None:
    assert lab("plan", DEMO) == 0
    shown = capsys.readouterr().out
    assert "Pod/default/db-0" in shown
    assert lab("up", DEMO, "--dry-run", "-o", "json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["lab"] == "demo"
    assert {"action": "add", "what": "pod db-0", "owner": "Pod/default/db-0", "reason": "new"} in document["changes"]


def test_a_defect_of_ours_is_said_in_one_line_with_the_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def explode(*_: object, **__: object) -> None:
        raise RuntimeError("boom\nand more")

    monkeypatch.setattr(main, "main", explode)
    assert lab("status") == 1
    shown = capsys.readouterr().err
    assert "something went wrong that should not: RuntimeError: boom\n" in shown
    assert "Traceback" not in shown
    log = tmp_path / "state" / "cnlab" / "crash.log"
    assert str(log) in shown
    assert "RuntimeError: boom" in log.read_text()


def test_ctrl_c_is_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(main, "main", interrupt)
    assert lab("status") == 130
    assert capsys.readouterr().err == "lab: interrupted\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_for_three_shells(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab("completion", shell) == 0
    assert "_LAB_COMPLETE" in capsys.readouterr().out


def test_the_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert lab("schema") == 0
    assert "$schema" in json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    "words",
    [
        ("run", "in_cluster", "--junit"),
        ("graph", "-o"),
        ("graph", "--html"),
        ("matrix", "--html"),
        ("capture", "web-0", "-o"),
        ("perf", "-o", "json"),
    ],
)
def test_a_file_that_cannot_be_written_is_said_before_anything_is_begun(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not after minutes of measuring, and not as what the system says of a name."""
    there_is_none = tmp_path / "nowhere"
    assert lab(*words, str(there_is_none / "out.x")) == 2
    said = capsys.readouterr().err
    assert f"there is no directory {there_is_none}; make it first: mkdir -p {there_is_none}" in said
    assert lab(*words, str(tmp_path)) == 2
    assert "is a directory" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("labs", "vxlan"), "say: lab labs start vxlan"),
        (("labs", "chek", "vxlan"), "did you mean check?"),
        (("labs", "foo"), "there are: start, check, solve, stop"),
        (("graph", "--layers", "pods,eip"), "there are: pods, tunnels, routes, gateways, eips, services, groups"),
    ],
)
def test_a_word_that_means_nothing_is_told_what_does(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab(*words) == 2
    assert said in capsys.readouterr().err
