"""The command line on a real lab, as a user types it: everything through ``python -m testbed``."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from testbed.emulation.netns import read_inodes
from testbed.emulation.ownership import find_processes
from testbed.emulation.rundir import RunDir
from testbed.operations import verbs
from testbed.operations.errors import NotAppliedError
from testbed.operations.waiting import wait_in_force

ROOT = Path(__file__).resolve().parents[2]
DEMO = "topologies/demo.yaml"

EXTRA = """
apiVersion: v1
kind: Pod
metadata: {name: extra}
spec:
  nodeName: n2
  containers: [{name: echo, image: echo, ports: [{containerPort: 8080}]}]
"""


class Shell:
    """``lab ...`` in a subprocess, on a lab and a run root of its own."""

    def __init__(self, root: Path, name: str) -> None:
        self.environment = {**os.environ, "CNLAB_RUN_ROOT": str(root), "NO_COLOR": "1", "COLUMNS": "80"}
        self.name = name

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        command = [sys.executable, "-P", "-m", "testbed", *arguments]
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.PIPE,
            **options,
        )

    def __call__(self, *arguments: str, stdin: str = "", status: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run it to its end; ``status`` is the one that it must end with, None for any."""
        process = self.start(*arguments)
        out, err = process.communicate(stdin, timeout=90)
        assert "Traceback" not in err, err
        assert status in (None, process.returncode), f"lab {' '.join(arguments)}: {process.returncode}\n{out}\n{err}"
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "-o", "json").stdout)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    shell = Shell(tmp_path_factory.mktemp("run"), f"cli-{secrets.token_hex(3)}")
    try:
        shell("up", DEMO, "--lab", shell.name)
        yield shell
    finally:
        shell("down", "--all")


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path, f"cli-{secrets.token_hex(3)}")
    try:
        yield shell
    finally:
        shell("down", "--all", status=None)


def pods(lab: Shell) -> set[str]:
    return {item["metadata"]["name"] for item in lab.json("get", "pods", "-A")["items"]}


def test_status_is_well_and_says_so_with_its_exit_status(lab: Shell) -> None:
    health = lab.json("status")
    assert (health["ok"], health["problems"]) == (True, [])
    assert {node["name"] for node in health["nodes"]} == {"n1", "n2"}
    assert "is well" in lab("status").stdout


def test_every_program_of_the_lab_carries_its_mark(lab: Shell) -> None:
    """By which ``down`` finds what has left the lab's namespaces."""
    rundir = RunDir.of(lab.name, Path(lab.environment["CNLAB_RUN_ROOT"]))
    marked = {owned.pid for owned in find_processes(rundir)}
    inside = find_processes(rundir, frozenset(read_inodes(rundir)))
    assert [owned for owned in inside if owned.pid not in marked] == []
    commands = " ".join(owned.command for owned in inside)
    for program in ("controllers.app", "testbed.workloads.kubelet", "testbed.workloads.runtime", "ovs-vswitchd", "nsd"):
        assert program in commands, program


def test_up_again_changes_nothing(lab: Shell) -> None:
    before = lab.json("status")["generation"]
    outcome = lab.json("up", DEMO, "--lab", lab.name)
    assert (outcome["changes"], outcome["generation"]) == ([], before)


def test_get_lists_everything_in_every_format(lab: Shell) -> None:
    table = lab("get", "pods").stdout.splitlines()
    assert table[0].split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE"]
    assert len(table) == 1 + 6
    assert all("Running" in line for line in table[1:])
    assert "kind: Pod" in lab("get", "pod/db-0", "-o", "yaml").stdout
    for kind in [
        "nodes",
        "servers",
        "subnets",
        "vpcs",
        "enis",
        "routes",
        "sg",
        "rt",
        "deploy",
        "sts",
        "ns",
        "cl",
        "ih",
    ]:
        assert lab("get", kind, "-o", "wide").stdout, kind
    assert "statefulset/db" in lab("get", "all", "-A").stdout


def test_describe_leads_from_the_object_to_the_machine_and_to_its_line(lab: Shell) -> None:
    text = lab("describe", "pod/db-0").stdout
    assert "topologies/demo.yaml:" in text
    assert "link db-0/eth0 - n1/p" in text


def test_exec_passes_on_status_input_and_output(lab: Shell) -> None:
    assert lab("exec", "db-0", "--", "sh", "-c", "exit 7", status=7).stdout == ""
    assert lab("exec", "pod/db-0", "--", "tr", "a-z", "A-Z", stdin="hello").stdout == "HELLO"
    assert "no pod, node, server or host db-9; did you mean db-" in lab("exec", "db-9", "--", "true", status=2).stderr
    assert "can't run nosuchprogram" in lab("exec", "db-0", "--", "nosuchprogram", status=1).stderr


def test_shell_and_mininet_and_logs(lab: Shell, tmp_path: Path) -> None:
    assert "172.16." in lab("shell", "db-0", stdin="ip -4 address show eth0\n").stdout
    script = tmp_path / "script"
    script.write_text("db-0 ping -c1 -W2 db-1\n")
    assert "1 received" in lab("cli", "--script", str(script)).stderr, "where Mininet writes"
    lab("logs", "fabric")
    assert "connected" in lab("logs", "ovs/n1").stdout
    lab("logs", "db-0")


def test_packets_go_from_pod_to_pod_and_to_the_server(lab: Shell) -> None:
    server = lab.json("get", "server/vm-1")["status"]["address"]
    peer = lab.json("get", "pod/db-1")["status"]["podIP"]
    for address in (server, peer):
        lab("exec", "db-0", "--", "ping", "-c1", "-W2", address)


def test_flows_show_what_forwards_and_for_whom(lab: Shell) -> None:
    lab("exec", "db-0", "--", "ping", "-c1", "-W2", "-q", lab.json("get", "pod/db-1")["status"]["podIP"])
    (bridge,) = lab.json("flows", "n1/br-int", "--for", "pod/db-0", "--used")
    assert bridge["flows"]
    assert {flow["owner"] for flow in bridge["flows"]} == {"Pod/default/db-0"}
    every = lab.json("flows")
    assert {entry["host"] for entry in every} == {"fabric", "n1", "n2"}
    strangers = [flow for entry in every for flow in entry["flows"] if flow["owner"] == "unknown"]
    assert strangers == []


def test_graph_is_svg_and_mermaid(lab: Shell, tmp_path: Path) -> None:
    target = tmp_path / "lab.svg"
    lab("graph", "-o", str(target))
    text = target.read_text()
    ElementTree.fromstring(text)  # noqa: S314 - our own
    assert "db-0" in text
    assert lab("graph").stdout.splitlines()[1] == "flowchart TB"


def test_apply_scale_delete(lab: Shell) -> None:
    before = pods(lab)
    lab("apply", "-f", "-", stdin=EXTRA)
    assert pods(lab) == before | {"extra"}
    address = lab.json("get", "pod/extra")["status"]["podIP"]
    lab("exec", "db-0", "--", "ping", "-c1", "-W2", address)
    lab("scale", "sts/db", "--replicas", "3")
    assert pods(lab) == before | {"extra", "db-2"}
    preview = lab("delete", "pod/extra", "--dry-run").stdout
    assert "Pod/default/extra" in preview
    assert "extra" in pods(lab)
    lab("delete", "pod", "extra")
    lab("scale", "sts/db", "--replicas", "2")
    assert pods(lab) == before
    assert lab.json("status")["ok"]


def test_bad_input_is_refused_and_what_is_in_force_stays(lab: Shell) -> None:
    before = lab.json("status")["generation"]
    bad = lab("apply", "-f", "-", stdin=EXTRA.replace("containers", "contaners"), status=2)
    assert "<stdin>:" in bad.stderr
    assert 'did you mean "containers"?' in bad.stderr
    assert "nothing was changed" in bad.stderr
    assert lab.json("status")["generation"] == before


def test_a_change_that_fails_puts_the_old_generation_back_in_force(
    lab: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The controllers refuse the first time they are asked; the second time is for going back."""
    monkeypatch.setenv("CNLAB_RUN_ROOT", lab.environment["CNLAB_RUN_ROOT"])
    asked: list[object] = []

    def refuse_once(*arguments: Any) -> None:
        asked.append(arguments)
        if len(asked) == 1:
            raise NotAppliedError("cluster: bridge br-int refused: it is full")
        wait_in_force(*arguments)

    monkeypatch.setattr("testbed.operations.change.wait_in_force", refuse_once)
    before = lab.json("status")
    file = tmp_path / "extra.yaml"
    file.write_text(EXTRA)
    with pytest.raises(NotAppliedError, match="it is full"):
        verbs.apply((str(file),), RunDir.of(lab.name))
    after = lab.json("status")
    assert after["ok"], after["problems"]
    assert after["generation"] > before["generation"]
    assert "extra" not in pods(lab)
    lab("exec", "extra", "--", "true", status=2)
    lab("exec", "db-0", "--", "ping", "-c1", "-W2", lab.json("get", "pod/db-1")["status"]["podIP"])


def test_a_killed_controller_is_seen_and_comes_back_with_the_next_change(lab: Shell) -> None:
    pid = lab.json("status")["programs"]["cluster"]
    os.kill(pid, signal.SIGKILL)
    status = lab("status", status=1)
    assert "cluster does not run" in status.stdout
    lab("exec", "db-0", "--", "ping", "-c1", "-W2", lab.json("get", "pod/db-1")["status"]["podIP"])
    lab("up", DEMO, "--lab", lab.name)
    assert lab.json("status")["ok"]


def test_a_bad_file_creates_nothing(other: Shell, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text((ROOT / DEMO).read_text().replace("vpc: demo", "vpc: dmo"))
    shown = other("up", str(bad), "--lab", other.name, status=2).stderr
    assert shown.count("REFERENCE-UNKNOWN") >= 2
    assert "no lab is running" in other("status", status=2).stderr


@pytest.mark.parametrize("delay", [0.1, 0.3, 0.5, 0.7, 0.9, 1.1, 1.3])
def test_ctrl_c_during_up_rolls_back_with_130(other: Shell, delay: float) -> None:
    process = other.start("up", DEMO, "--lab", other.name, start_new_session=True)
    time.sleep(delay)  # the moment is the point: somewhere in the middle
    os.killpg(process.pid, signal.SIGINT)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert "Traceback" not in err or "/testbed/" not in err, "before its first line Python itself may complain"
    if process.returncode == 0:
        return  # it was up already
    # A signal before or after Python's own handler is in place ends it directly, which a shell shows as 130 too.
    assert process.returncode in (130, -signal.SIGINT), err
    after = other("status", status=None)
    assert "no lab is running" in after.stderr or "is well" in after.stdout, "all of it or nothing"


def test_the_lab_of_another_command_is_left_alone(lab: Shell) -> None:
    """Two at once: the second says who is at it."""
    first = lab.start("scale", "deploy/web", "--replicas", "5")
    results = [lab("scale", "deploy/web", "--replicas", "5", status=None) for _ in range(2)]
    first.communicate(timeout=60)
    assert all(result.returncode in (0, 1) for result in results)
    for result in results:
        assert result.returncode == 0 or "is in use by process" in result.stderr
    lab("scale", "deploy/web", "--replicas", "4")
