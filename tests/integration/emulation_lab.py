"""What the emulation's integration tests share: unique labs, a child that brings one up, decoys of the user's."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from testbed.emulation.changes import plan_changes
from testbed.emulation.errors import NoSuchLabError
from testbed.emulation.processes import run_in
from testbed.emulation.realise import open_session
from testbed.emulation.rundir import RunDir
from testbed.emulation.snapshot import Snapshot, differences, take_snapshot
from testbed.emulation.state import Datapath
from testbed.emulation.teardown import tear_down
from testbed.emulation.waiting import WaitedInVainError, until
from testbed.model.wiring import Wiring
from tests.limits import LIMIT

ROOT = Path(__file__).resolve().parents[2]


def unique_lab(root: Path) -> RunDir:
    return RunDir.of(f"t-{secrets.token_hex(4)}", root)


def datapath() -> Datapath:
    return Datapath.KERNEL if Path("/sys/module/openvswitch").is_dir() else Datapath.USERSPACE


@contextmanager
def clean(rundir: RunDir) -> Iterator[RunDir]:
    """Remove the lab at the end, whatever happened."""
    try:
        yield rundir
    finally:
        with suppress(NoSuchLabError):
            tear_down(rundir, lock_limit=LIMIT)


def realise(rundir: RunDir, wanted: Wiring) -> tuple[str, ...]:
    """Bring the lab to ``wanted``; the lines of what had to change."""
    with open_session(rundir, datapath()) as session:
        changes = plan_changes(wanted, session.found.wiring, session.found.doubtful)
        session.apply(changes)
        session.settle(1, ())
    return tuple(map(str, changes.lines))


def forward_like_switches(rundir: RunDir, wiring: Wiring) -> None:
    """Flows are the controllers' business; these tests need packets to pass, so every bridge learns and floods."""
    for switch in wiring.switches:
        for bridge in switch.bridges:
            target = f"unix:{rundir.ovs(switch.namespace)}/{bridge.name}.mgmt"
            subprocess.run(["ovs-ofctl", "-O", "OpenFlow14", "add-flow", target, "actions=NORMAL"], check=True)


def pings(rundir: RunDir, source: str, address: str) -> bool:
    return run_in(rundir, source, ["ping", "-c1", "-W2", address]).returncode == 0


# The child of the crash tests: brings up a lab of 2 nodes and PODS pods; dies by SIGKILL at phase KILL_AT if that is
# not negative.
CHILD = """
import os, signal, sys
from pathlib import Path
from testbed.emulation.changes import plan_changes
from testbed.emulation.errors import InterruptedByUserError
from testbed.emulation.realise import open_session
from testbed.emulation.rundir import RunDir
from testbed.emulation.state import Datapath
from testbed.emulation.synthetic import synthetic_wiring

lab, root, datapath, pods, kill_at = sys.argv[1:]
phases = []

def progress(phase):
    phases.append(phase)
    print(phase, flush=True)
    if len(phases) == int(kill_at):
        os.kill(os.getpid(), signal.SIGKILL)

try:
    with open_session(RunDir.of(lab, Path(root)), Datapath(datapath), progress=progress) as session:
        found = session.found
        session.apply(plan_changes(synthetic_wiring(2, int(pods)), found.wiring, found.doubtful))
        session.settle(1, ())
except InterruptedByUserError as error:
    sys.exit(error.exit_status)
"""


def start_child(rundir: RunDir, pods: int, kill_at: int = -1) -> subprocess.Popen[str]:
    arguments = [rundir.lab, str(rundir.root), datapath().value, str(pods), str(kill_at)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, *arguments], stdout=subprocess.PIPE, text=True, env=environment
    )


def expect_unchanged(before: Snapshot, lab: str, limit: float = LIMIT) -> None:
    """The machine is as before within ``limit`` seconds, but for what other programs do meanwhile.

    That what is the user's is not ended by us, ``decoys`` proves; and a lab names no namespace in /run/netns.
    """
    others = ("- sockets", "- processes", "- mounts", "- named namespaces", "+ named namespaces")

    def changed() -> list[str]:
        return [line for line in differences(before, take_snapshot(lab)) if not line.startswith(others)]

    try:
        until(lambda: not changed(), limit, "the machine to be as before", pause=0.05)
    except WaitedInVainError:
        left = changed()
        raise AssertionError("the machine is not as before:\n" + "\n".join(left)) from None


@contextmanager
def decoys(folder: Path) -> Iterator[None]:
    """Things of the user's that look like ours: a bridge, a link pair, a named namespace, a process, an Open vSwitch.

    Fails at the end when one of them did not survive.
    """
    token = secrets.token_hex(3)
    bridge, link, namespace = f"br{token}", f"p{token}", f"n-{token}"
    sleeper = subprocess.Popen(["sleep", "600"], env={"PATH": os.environ["PATH"], "NOTCNLAB": "x"})
    database = folder / f"conf-{token}.db"
    subprocess.run(["ovsdb-tool", "create", str(database)], check=True)
    switch = subprocess.Popen(
        ["ovsdb-server", str(database), f"--remote=punix:{folder}/{token}.sock", f"--unixctl={folder}/{token}.ctl"],
        stderr=subprocess.DEVNULL,
    )
    try:
        subprocess.run(["ip", "link", "add", bridge, "type", "bridge"], check=True)
        subprocess.run(["ip", "link", "add", link, "type", "veth", "peer", "name", f"{link}x"], check=True)
        subprocess.run(["ip", "netns", "add", namespace], check=True)
        yield
        for device in (bridge, link):
            subprocess.run(["ip", "link", "show", device], check=True, stdout=subprocess.DEVNULL)
        listed = subprocess.run(["ip", "netns", "list"], check=True, capture_output=True, text=True).stdout
        assert namespace in listed.split()
        assert sleeper.poll() is None
        assert switch.poll() is None
    finally:
        for process in (sleeper, switch):
            process.kill()
            process.wait()
        for command in (["link", "del", bridge], ["link", "del", link], ["netns", "del", namespace]):
            subprocess.run(["ip", *command], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(folder / token, ignore_errors=True)
