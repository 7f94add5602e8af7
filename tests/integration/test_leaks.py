"""Killed, interrupted or refused at any moment: the machine is as before, and what is the user's survives."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.emulation import netns
from testbed.emulation.errors import LabBusyError, NoSuchLabError
from testbed.emulation.ownership import find_processes
from testbed.emulation.realise import open_session
from testbed.emulation.rundir import RunDir
from testbed.emulation.snapshot import take_snapshot
from testbed.emulation.synthetic import synthetic_wiring
from testbed.emulation.teardown import tear_down
from tests.integration.emulation_lab import (
    clean,
    datapath,
    decoys,
    expect_unchanged,
    forward_like_switches,
    pings,
    realise,
    start_child,
    unique_lab,
)
from tests.limits import LIMIT

PODS = 20
PHASES = 5  # namespaces, start Open vSwitch, links, configure Open vSwitch, addresses and routes
LONGEST = 0.6  # seconds from the start of the child to well after its end


@pytest.fixture
def rundir(tmp_path: Path) -> Iterator[RunDir]:
    with clean(unique_lab(tmp_path)) as rundir:
        yield rundir


def test_up_and_down_leave_the_machine_as_it_was(rundir: RunDir, tmp_path: Path) -> None:
    with decoys(tmp_path):
        before = take_snapshot(rundir.lab)
        realise(rundir, synthetic_wiring(2, PODS))
        torn = tear_down(rundir)
        assert torn.namespaces == 2 + PODS + 1
        expect_unchanged(before, rundir.lab)
    assert not rundir.exists


def test_the_host_does_not_change_while_a_lab_runs(rundir: RunDir) -> None:
    """No link, address, route, rule, firewall rule or sysctl of the host's own namespace is ever touched."""
    before = dict(take_snapshot(rundir.lab).sections)
    realise(rundir, synthetic_wiring(2, 4))
    during = dict(take_snapshot(rundir.lab).sections)
    for section in ("links", "addresses", "routes", "ipv6 routes", "rules", "nftables", "iptables", "sysctls"):
        assert during[section] == before[section], section
    assert during["processes"] != before["processes"], "the snapshot sees what a lab adds"
    assert during["mounts"] != before["mounts"]


@pytest.mark.parametrize("phase", range(1, PHASES + 1))
def test_killed_at_the_start_of_each_phase_then_down(rundir: RunDir, tmp_path: Path, phase: int) -> None:
    with decoys(tmp_path):
        before = take_snapshot(rundir.lab)
        child = start_child(rundir, PODS, kill_at=phase)
        out, _ = child.communicate(timeout=60)
        assert child.returncode == -signal.SIGKILL, out
        assert rundir.exists
        tear_down(rundir)
        expect_unchanged(before, rundir.lab)


@pytest.mark.parametrize("phase", range(1, PHASES + 1))
def test_killed_at_the_start_of_each_phase_then_up(rundir: RunDir, phase: int) -> None:
    """The next ``up`` repairs: what was begun is cleared up and made, and packets pass."""
    before = take_snapshot(rundir.lab)
    child = start_child(rundir, PODS, kill_at=phase)
    child.communicate(timeout=60)
    wiring = synthetic_wiring(2, PODS)
    assert realise(rundir, wiring)
    assert realise(rundir, wiring) == ()
    forward_like_switches(rundir, wiring)
    assert pings(rundir, "pod-1-1", "10.0.1.10")
    assert pings(rundir, "n1", "192.168.0.2")
    tear_down(rundir)
    expect_unchanged(before, rundir.lab)


def test_killed_at_random_moments_then_down(rundir: RunDir) -> None:
    before = take_snapshot(rundir.lab)
    moments = random.Random(2)
    for _ in range(12):
        child = start_child(rundir, PODS)
        time.sleep(moments.uniform(0.05, LONGEST))  # the moment is what is tested
        child.kill()
        child.communicate(timeout=60)
        try:
            tear_down(rundir)
        except NoSuchLabError:
            continue  # it was killed before it made anything
        expect_unchanged(before, rundir.lab)


def test_killed_at_random_moments_while_a_lab_grows(rundir: RunDir) -> None:
    """A second command is killed in a settled lab; the next one finds out what exists and completes it."""
    small, large = synthetic_wiring(2, 4), synthetic_wiring(2, 4 + PODS)
    moments = random.Random(3)
    realise(rundir, small)
    for _ in range(6):
        child = start_child(rundir, 4 + PODS)
        time.sleep(moments.uniform(0.15, LONGEST))  # the moment is what is tested
        child.kill()
        child.communicate(timeout=60)
        realise(rundir, large)
        assert realise(rundir, large) == ()
        names = {namespace.name for namespace in large.namespaces}
        assert netns.read_mounted(rundir) == names
        realise(rundir, small)
    forward_like_switches(rundir, small)
    assert pings(rundir, "pod-1-1", "10.0.1.2")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_twice_at_random_moments(rundir: RunDir, number: signal.Signals) -> None:
    """A first ``up`` that is interrupted leaves nothing, exits with 130, and a second Ctrl-C does not break that."""
    before = take_snapshot(rundir.lab)
    moments = random.Random(int(number))
    interrupted = 0
    for _ in range(8):
        child = start_child(rundir, PODS)
        assert child.stdout is not None
        child.stdout.readline()  # the first phase has begun, so the handlers are in place
        time.sleep(moments.uniform(0.0, 0.2))  # the moment is what is tested
        child.send_signal(number)
        time.sleep(0.02)
        child.send_signal(number)
        child.communicate(timeout=60)
        if child.returncode == 130:
            interrupted += 1
            assert not rundir.exists
        else:
            assert child.returncode in (0, -number), "it had ended already"
            tear_down(rundir)
        expect_unchanged(before, rundir.lab)
    assert interrupted, "no run was hit in the middle"


@pytest.mark.parametrize("spoilt", ["", "{", "null", '{"wiring": 7}'])
def test_down_does_not_need_the_state(rundir: RunDir, spoilt: str) -> None:
    before = take_snapshot(rundir.lab)
    realise(rundir, synthetic_wiring(1, 2))
    rundir.state.write_text(spoilt)
    rundir.journal.write_bytes(b"\xff\x00 nonsense\n{")
    (rundir.ovs("n1") / "ovs-vswitchd.pid").unlink()
    tear_down(rundir)
    expect_unchanged(before, rundir.lab)


def test_down_twice_says_that_there_is_no_lab(rundir: RunDir) -> None:
    realise(rundir, synthetic_wiring(1, 1))
    tear_down(rundir)
    with pytest.raises(NoSuchLabError, match=rundir.lab):
        tear_down(rundir)


def test_many_labs_one_after_another_leave_no_descriptor_thread_or_zombie(rundir: RunDir) -> None:
    def held() -> tuple[int, int, int]:
        zombies = subprocess.run(["ps", "--ppid", str(os.getpid()), "-o", "stat="], capture_output=True, text=True)
        return len(os.listdir("/proc/self/fd")), threading.active_count(), zombies.stdout.count("Z")

    realise(rundir, synthetic_wiring(1, 2))
    tear_down(rundir)
    before = held()
    for _ in range(8):
        realise(rundir, synthetic_wiring(1, 2))
        tear_down(rundir)
    assert held() == before


def test_two_commands_on_one_lab(rundir: RunDir) -> None:
    with open_session(rundir, datapath()) as session:
        with pytest.raises(LabBusyError, match=r"in use by process \d+"), open_session(rundir, datapath()):
            pass
        session.settle(1, ())


@pytest.mark.parametrize("where", [{}, {"CNLAB_RUN": "/run/elsewhere/lab"}], ids=["nowhere", "elsewhere"])
def test_a_process_that_says_only_the_lab_s_name_survives(rundir: RunDir, where: dict[str, str]) -> None:
    """A lab of the same name may be up in another run directory."""
    realise(rundir, synthetic_wiring(1, 1))
    other = subprocess.Popen(["/bin/sleep", "600"], env={"CNLAB": rundir.lab, **where})
    try:
        tear_down(rundir)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_shell_that_a_user_left_in_a_pod_is_ended(rundir: RunDir) -> None:
    """A process without the mark is the lab's when it is in one of the lab's namespaces."""
    realise(rundir, synthetic_wiring(1, 1))
    path = rundir.namespace("pod-1-1")
    shell = netns.inside(path, lambda: subprocess.Popen(["/bin/sleep", "600"], env={"PATH": "/bin"}))
    try:
        inodes = frozenset(netns.read_inodes(rundir))
        assert shell.pid in {owned.pid for owned in find_processes(rundir, inodes)}
        tear_down(rundir)
        assert shell.wait(timeout=LIMIT) == -signal.SIGTERM
    finally:
        shell.kill()
        shell.wait()
