"""Mininet's CLI and API on a running lab."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import mininet.log
import pytest

from testbed.emulation.errors import NoSuchLabError
from testbed.emulation.mininet_net import LabCLI, LabNet, attach
from testbed.emulation.ownership import find_processes
from testbed.emulation.rundir import RunDir
from testbed.emulation.synthetic import synthetic_wiring
from testbed.emulation.teardown import tear_down
from tests.integration.emulation_lab import clean, forward_like_switches, realise, unique_lab

pytestmark = [pytest.mark.root, pytest.mark.datapath]

WIRING = synthetic_wiring(1, 3)


@pytest.fixture(scope="module")
def rundir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunDir]:
    with clean(unique_lab(tmp_path_factory.mktemp("mininet"))) as rundir:
        realise(rundir, WIRING)
        forward_like_switches(rundir, WIRING)
        yield rundir


@pytest.fixture
def net(rundir: RunDir) -> Iterator[LabNet]:
    net = attach(rundir)
    yield net
    net.stop()


def shells(rundir: RunDir) -> list[str]:
    return [owned.role for owned in find_processes(rundir) if owned.role.startswith("shell@")]


def commands(net: LabNet, tmp_path: Path, *lines: str) -> str:
    """What the CLI prints for these lines."""
    script = tmp_path / "script"
    script.write_text("".join(f"{line}\n" for line in lines))
    printed: list[str] = []
    handler = mininet.log.lg.handlers[0]
    stream, handler.stream = handler.stream, io.StringIO()
    level = mininet.log.lg.level
    mininet.log.setLogLevel("info")
    try:
        with redirect_stdout(io.StringIO()), open(os.devnull) as nothing:
            LabCLI(net, script=str(script), stdin=nothing)
        printed.append(handler.stream.getvalue())
    finally:
        handler.stream = stream
        mininet.log.lg.setLevel(level)
    return "".join(printed)


def test_a_shell_starts_with_the_first_command_and_ends_with_the_session(rundir: RunDir, net: LabNet) -> None:
    assert shells(rundir) == []
    assert net["pod-1-1"].cmd("hostname -I").strip() == "10.0.1.1"
    assert shells(rundir) == ["shell@pod-1-1"]
    net.stop()
    assert shells(rundir) == []


def test_names_become_addresses(net: LabNet, tmp_path: Path) -> None:
    text = commands(net, tmp_path, "pod-1-1 ping -c1 -W2 pod-1-2")
    assert "PING 10.0.1.2" in text
    assert "1 received" in text


def test_nodes_net_links_and_dump(rundir: RunDir, net: LabNet, tmp_path: Path) -> None:
    text = commands(net, tmp_path, "nodes", "net", "links", "dump", "intfs")
    assert "fabric fabric.vpc n1 n1.br-ex n1.br-int pod-1-1 pod-1-2 pod-1-3" in text
    assert "pod-1-1 eth0:p1" in text
    assert "pod-1-1/eth0<->n1.br-int/p1 (OK OK)" in text
    assert "<LabHost pod-1-1: eth0:10.0.1.1 pid=None>" in text
    assert "MISSING" not in text
    assert shells(rundir) == [], "looking starts no shell"


def test_pingall_between_pods_of_a_node(net: LabNet, tmp_path: Path) -> None:
    text = commands(net, tmp_path, "pingall")
    assert "pod-1-1 -> n1 pod-1-2 pod-1-3" in text


def test_iperf_measures_and_kills_nobody(net: LabNet, tmp_path: Path) -> None:
    bystander = subprocess.Popen(["iperf3", "-s", "-p", "5999"], stdout=subprocess.DEVNULL)
    try:
        text = commands(net, tmp_path, "iperf pod-1-1 pod-1-2")
        assert text.count("Gbits/sec") == 2
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_dpctl_and_connected(net: LabNet, tmp_path: Path) -> None:
    assert "actions=NORMAL" in commands(net, tmp_path, "dpctl dump-flows")
    assert net["n1.br-int"].connected() is False
    assert net["n1.br-int"].dpid == f"{0x1001:016x}"


def test_mnexec_enters_by_the_pid(net: LabNet) -> None:
    pid = net["pod-1-3"].pid
    ran = subprocess.run(["mnexec", "-a", str(pid), "hostname", "-I"], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "10.0.1.3"


def test_popen_and_pexec_need_no_shell(rundir: RunDir, net: LabNet) -> None:
    out, _, status = net["pod-1-2"].pexec(["sh", "-c", "hostname -I; exit 3"])
    assert (out.strip(), status) == ("10.0.1.2", 3)
    assert shells(rundir) == []


def test_names_are_completed(net: LabNet, tmp_path: Path) -> None:
    script = tmp_path / "empty"
    script.write_text("")
    with open(os.devnull) as nothing:
        cli = LabCLI(net, script=str(script), stdin=nothing)
    assert cli.completenames("pod-1") == ["pod-1-1", "pod-1-2", "pod-1-3"]
    assert "pingall" in cli.completenames("pinga")
    assert cli.completedefault("n1.", "ping n1.", 5, 8) == ["n1.br-ex", "n1.br-int"]


def test_a_link_is_taken_down_and_up(net: LabNet, tmp_path: Path) -> None:
    text = commands(net, tmp_path, "link pod-1-1 n1.br-int down", "links", "link pod-1-1 n1.br-int up", "links")
    assert "pod-1-1/eth0<->n1.br-int/p1 (DOWN DOWN)" in text
    assert text.rstrip().count("pod-1-1/eth0<->n1.br-int/p1 (OK OK)") == 1
    net["pod-1-1"].cmd("ip route replace default via 10.0.1.254")  # going down took it away


def test_no_lab_no_network(tmp_path: Path) -> None:
    with pytest.raises(NoSuchLabError):
        attach(unique_lab(tmp_path))


def test_the_lab_goes_down_under_a_session(tmp_path: Path) -> None:
    with clean(unique_lab(tmp_path)) as rundir:
        realise(rundir, synthetic_wiring(1, 1))
        net = attach(rundir)
        net["pod-1-1"].cmd("true")
        tear_down(rundir)
        net.stop()
        assert find_processes(rundir) == ()
