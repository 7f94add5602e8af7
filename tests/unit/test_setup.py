"""The entry script and what it installs: found from anywhere, nothing half-made, locks that match what is asked."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


@pytest.fixture
def checkout() -> Iterator[Path]:
    """The files that set the lab up, in a folder that every user can read, without an environment."""
    with tempfile.TemporaryDirectory(prefix="cnlab-setup-") as folder:
        root = Path(folder)
        root.chmod(0o755)
        for name in ["lab", "requirements.lock", "requirements-build.lock"]:
            shutil.copy(ROOT / name, root)
        shutil.copytree(ROOT / "testbed/setup", root / "testbed/setup")
        yield root


def run(*command: str | Path, cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=os.environ | env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_runs_from_elsewhere_through_a_link_and_imports_nothing_from_there(tmp_path: Path) -> None:
    (tmp_path / "lab").symlink_to(ROOT / "lab")
    for package in ("testbed", "click"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("raise SystemExit(99)")
    done = run("./lab", "--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage: lab" in done.stdout


def test_missing_packages_are_named_to_who_cannot_install_them(checkout: Path) -> None:
    fakes = checkout / "fakes"
    fakes.mkdir()
    for name, text in {
        "dpkg-query": "echo 'installed curl'; echo 'config-files mininet'; exit 1",
        "apt-get": f"touch {checkout}/called",
    }.items():
        (fakes / name).write_text(f"#!/bin/sh\n{text}\n")
        (fakes / name).chmod(0o755)
    as_user = NOBODY if os.geteuid() == 0 else []
    done = run(*as_user, checkout / "lab", "status", PATH=f"{fakes}:{os.environ['PATH']}")
    assert done.returncode == 3
    missing = next(line for line in done.stderr.splitlines() if "missing" in line).split(": ")[-1].split()
    assert "mininet" in missing
    assert "openvswitch-switch" in missing
    assert "curl" not in missing
    assert f"sudo {checkout}/lab setup" in done.stderr
    assert not (checkout / "called").exists()


def test_without_an_index_it_says_so_and_leaves_the_old_environment(checkout: Path) -> None:
    (checkout / ".venv").mkdir()
    (checkout / ".venv/old").touch()
    done = run(checkout / "lab", "status", PIP_NO_INDEX="1", PIP_FIND_LINKS=str(checkout / "none"))
    assert done.returncode == 3
    assert "Python packages could not be installed" in done.stderr
    assert [path.name for path in checkout.glob(".venv*")] == [".venv"]
    assert [path.name for path in (checkout / ".venv").iterdir()] == ["old"]


@pytest.mark.parametrize(
    ("action", "status"), [("start", 101), ("(start)", 101), ("(restart)", 101), ("restart", 0), ("stop", 0)]
)
def test_new_services_are_not_started(tmp_path: Path, action: str, status: int) -> None:
    """What maintainer scripts are told during an installation; in parentheses: where no runlevel is known."""
    found = re.search(r"printf '(.*)' > \"\$policy\"", (ROOT / "testbed/setup/setup").read_text())
    assert found is not None
    (tmp_path / "policy").write_text(run("printf", found[1]).stdout)
    assert run("sh", tmp_path / "policy", "nsd", action).returncode == status


def test_the_lock_has_all_that_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = project["dependencies"] + project["optional-dependencies"]["dev"]
    locked = dict(re.findall(r"^([a-z0-9-]+)==([^ ]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    for requirement in asked:
        name, _, pinned = requirement.lower().partition("==")
        name = re.split(r"[<>!=]", name)[0].replace("_", "-")
        assert name in locked, f"{requirement}: run ./lab lock"
        assert pinned in ("", locked[name]), f"{requirement}: run ./lab lock"


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-build.lock", "requirements-build.in"])
def test_the_locks_name_no_index_and_hash_everything(name: str) -> None:
    text = (ROOT / name).read_text()
    assert not re.search(r"https?://|file:/|--(extra-)?index|--find-links|--trusted", text)
    for entry in re.findall(r"^\S+==.*(?:\n    .*)*", text, re.MULTILINE):
        assert "--hash=sha256:" in entry


def test_what_is_run_directly_is_executable() -> None:
    for name in ("lab", ".ci/run", "tests/vm/run", "tests/vm/enter", "tests/vm/guest"):
        assert (ROOT / name).stat().st_mode & stat.S_IXUSR, name


@pytest.mark.skipif(shutil.which("vagrant") is None, reason="vagrant is not installed")
def test_vagrant_accepts_the_vagrantfile(tmp_path: Path) -> None:
    own = {"VAGRANT_HOME": str(tmp_path / "home"), "VAGRANT_DOTFILE_PATH": str(tmp_path / "state")}
    done = run("vagrant", "validate", "--ignore-provider", cwd=ROOT, **own)
    assert done.returncode == 0, done.stdout + done.stderr
