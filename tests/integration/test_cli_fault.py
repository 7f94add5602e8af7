"""Broken on purpose: traffic goes on where it can, status says what is wrong, clear or the next up mends it."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.emulation.impairment import has_netem
from testbed.emulation.rundir import RunDir
from testbed.emulation.waiting import until
from testbed.operations.injection import clear_faults, take_link_down
from tests.integration.test_cli_lab import DEMO, Shell
from tests.limits import LIMIT

pytestmark = pytest.mark.root


NETEM = os.geteuid() == 0 and has_netem()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    shell = Shell(tmp_path_factory.mktemp("run"), f"fault-{secrets.token_hex(3)}")
    try:
        shell("up", DEMO, "--lab", shell.name)
        yield shell
    finally:
        shell("down", "--all")


def pings(lab: Shell, source: str, target: str) -> bool:
    address = lab.json("get", f"pod/{target}")["status"]["podIP"]
    return lab("exec", source, "--", "ping", "-c1", "-W1", "-q", address, status=None).returncode == 0


def ofctl(lab: Shell, command: str, *words: str) -> str:
    socket = f"unix:{lab.environment['CNLAB_RUN_ROOT']}/{lab.name}/ovs/n1/br-int.mgmt"
    line = ["ovs-ofctl", "-O", "OpenFlow14", command, socket, *words]
    return subprocess.run(line, check=True, capture_output=True, text=True, timeout=LIMIT).stdout


def flows(lab: Shell) -> list[str]:
    """Of n1's pods' bridge, without counters and without what it learned from packets."""
    dump = ofctl(lab, "dump-flows", "--no-stats").splitlines()
    return sorted(line for line in dump if "_timeout=" not in line)


def problems(lab: Shell) -> list[str]:
    """Of a lab that is not well."""
    lab("status", status=1)
    found: list[str] = json.loads(lab("status", "-o", "json", status=1).stdout)["problems"]
    return found


def test_a_pulled_cable_cuts_its_host_off_until_it_is_cleared(lab: Shell) -> None:
    routes = lab("exec", "n2", "--", "ip", "route").stdout
    assert "lab fault clear mends it" in lab("fault", "link-down", "n2").stdout
    assert problems(lab) == ["n2/eth0 is down, on purpose; lab fault clear mends it"]
    assert not pings(lab, "db-0", "db-1")
    assert lab("exec", "n2", "--", "cat", "/sys/class/net/eth0/carrier").stdout.strip() == "0"
    assert "no longer: n2/eth0 is down" in lab("fault", "clear", "n2").stdout
    assert pings(lab, "db-0", "db-1")
    assert lab("exec", "n2", "--", "ip", "route").stdout == routes
    assert lab.json("status")["ok"]


def test_a_flapping_cable_leaves_no_black_hole(lab: Shell) -> None:
    rundir = RunDir.of(lab.name, Path(lab.environment["CNLAB_RUN_ROOT"]))
    for _ in range(5):
        take_link_down(rundir, "n2", "eth0")
        clear_faults(rundir)
    assert pings(lab, "db-0", "db-1")
    assert pings(lab, "db-1", "db-0")


def test_a_pod_without_its_cable(lab: Shell) -> None:
    lab("fault", "link-down", "db-1")
    assert not pings(lab, "db-0", "db-1")
    assert "db-1/eth0 is down" in lab("fault", "list").stdout
    lab("fault", "clear")
    assert pings(lab, "db-0", "db-1")


@pytest.mark.datapath
@pytest.mark.skipif(not NETEM, reason="the kernel has no netem")
def test_a_bad_cable_delays_and_loses(lab: Shell) -> None:
    address = lab.json("get", "pod/db-1")["status"]["podIP"]

    def average() -> float:
        text = lab("exec", "db-0", "--", "ping", "-c3", "-i0.2", "-q", address).stdout
        return float(text.rpartition("=")[2].split("/")[1])

    usual = average()
    lab("fault", "impair", "db-1", "--delay", "100ms")
    assert average() - usual > 190  # each way
    lab("fault", "impair", "db-1", "--loss", "100")
    assert "db-1/eth0 is impaired (loss 100%), on purpose; lab fault clear mends it" in problems(lab)
    assert not pings(lab, "db-0", "db-1")
    lab("fault", "clear")
    assert average() - usual < 100


@pytest.mark.skipif(NETEM, reason="the kernel has netem")
def test_a_kernel_without_netem_is_named(lab: Shell) -> None:
    refused = lab("fault", "impair", "db-1", "--loss", "5", status=3)
    assert "this kernel has no netem" in refused.stderr
    assert lab("fault", "list").stdout.strip() == "nothing"


def test_killed_programs_are_named_and_come_back_with_the_next_up(lab: Shell) -> None:
    golden = flows(lab)
    parts = ("fabric", "cluster", "kubelet", "manager")
    for part in parts:
        assert "is killed" in lab("fault", "kill", part).stdout
    found = problems(lab)
    for part in parts:
        assert any(problem.startswith(f"{part} does not run") for problem in found), found
    assert pings(lab, "db-0", "db-1"), "traffic goes on"
    ofctl(lab, "add-flow", "table=0,priority=999,ip,nw_src=6.6.6.6,actions=NORMAL")
    ofctl(lab, "del-flows", f"ip,nw_dst={lab.json('get', 'pod/db-0')['status']['podIP']}")
    assert flows(lab) != golden
    assert not pings(lab, "db-1", "db-0"), "the flow to it is gone"
    assert "does not run; lab up or apply starts it again" in lab("fault", "kill", "kubelet", status=2).stderr
    lab("up", DEMO, "--lab", lab.name)
    assert lab.json("status")["problems"] == []
    until(lambda: flows(lab) == golden, LIMIT, "the stray flow to be gone and the deleted ones to be back")
    assert pings(lab, "db-1", "db-0")


def test_killed_switches_are_named_and_come_back_with_the_next_up(lab: Shell) -> None:
    lab("fault", "kill", "ovs/n1")
    lab("fault", "kill", "ovs/fabric")
    found = problems(lab)
    assert any(problem.startswith("node n1 is not ready: its Open vSwitch does not run") for problem in found), found
    assert "the fabric's Open vSwitch does not run; lab up repairs it" in found
    lab("up", DEMO, "--lab", lab.name)
    assert lab.json("status")["problems"] == []
    assert pings(lab, "db-0", "db-1")
    assert pings(lab, "db-1", "db-0")


def test_a_frozen_controller_is_named_and_thaws(lab: Shell) -> None:
    lab("fault", "freeze", "cluster")
    assert "cluster is frozen, on purpose; lab fault clear mends it" in problems(lab)
    assert pings(lab, "db-0", "db-1"), "traffic goes on"
    lab("fault", "clear")
    lab("scale", "sts/db", "--replicas", "3")
    assert lab.json("status")["problems"] == []


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("link-down", "n9"), "there is no pod, node, server or host n9; see: lab get all -A"),
        (("link-down", "n1", "-i", "eth7"), "n1 has no link eth7; it has: eth0"),
        (("kill", "kublet"), "the lab has no part kublet; it has: fabric, cluster, kubelet, manager, ovs/fabric"),
        (("impair", "n1"), "nothing to impair it by: give --loss, --delay or --rate"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_what_makes_no_sense_is_refused(lab: Shell, words: tuple[str, ...], reason: str) -> None:
    assert reason in lab("fault", *words, status=2).stderr
    assert lab("fault", "list").stdout.strip() == "nothing"


def test_a_lab_with_faults_goes_down(tmp_path: Path) -> None:
    shell = Shell(tmp_path, f"fault-{secrets.token_hex(3)}")
    try:
        shell("up", "topologies/minimal.yaml", "--lab", shell.name)
        for part in ("manager", "kubelet", "fabric", "ovs/fabric"):
            shell("fault", "freeze", part)
    finally:
        shell("down", "--all")
    assert list(tmp_path.glob("*")) == []
