"""Taking a lab away from its run directory alone, whatever state a crash left it in, and nothing else with it.

Nothing here trusts ``state.json`` or the journal: processes are the lab's by mark or by namespace, mounts by their
place below the run directory. Each step may find its work done already.
"""

from __future__ import annotations

import os
import resource
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from testbed.emulation import netns, syscalls
from testbed.emulation.errors import EmulationError, NoSuchLabError
from testbed.emulation.lock import LOCK_SECONDS, locked
from testbed.emulation.ownership import OwnedProcess, find_processes
from testbed.emulation.processes import kill, stop
from testbed.emulation.rundir import RunDir

_STOP_LIMIT = 1.0
_ROUNDS = 10


@dataclass(frozen=True, slots=True)
class TornDown:
    """What was removed, for the report."""

    processes: int
    namespaces: int
    seconds: float


def tear_down(rundir: RunDir, lock_limit: float = LOCK_SECONDS) -> TornDown:
    """Remove the lab. Raises ``NoSuchLabError``, ``LabBusyError``, or ``EmulationError`` when something is left."""
    if not rundir.exists:
        raise NoSuchLabError(f"there is no lab {rundir.lab}")
    with locked(rundir, lock_limit):
        return tear_down_locked(rundir)


def tear_down_locked(rundir: RunDir) -> TornDown:
    """The same for a caller that holds the lock."""
    start = time.monotonic()
    with _held_namespaces(rundir):
        inodes = frozenset(netns.read_inodes(rundir))
        processes = _end_processes(rundir, inodes)
        namespaces = _unmount(rundir)
        _end_processes(rundir, inodes)  # one that was being forked while we looked
        shutil.rmtree(rundir.path, ignore_errors=True)
        expect_nothing_left(rundir, inodes)
    with suppress(OSError):
        rundir.root.rmdir()  # only when this was the last lab
    return TornDown(processes, namespaces, time.monotonic() - start)


@contextmanager
def _held_namespaces(rundir: RunDir) -> Iterator[None]:
    """Keep the lab's namespaces from being freed until all is looked at.

    The kernel gives the inode number of a freed namespace to the next one that is made, which may be another lab's:
    a process there must not pass for one of ours.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    held: list[int] = []
    try:
        for name in netns.read_mounted(rundir):
            with suppress(OSError):
                held.append(os.open(rundir.namespace(name), os.O_RDONLY | os.O_CLOEXEC))
        yield
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _end_processes(rundir: RunDir, inodes: frozenset[int]) -> int:
    """SIGTERM for programs that may have something to say, SIGKILL for switches (their state goes with them)."""
    seen: set[int] = set()
    for _ in range(_ROUNDS):
        found = find_processes(rundir, inodes)
        if not found:
            return len(seen)
        seen.update(owned.pid for owned in found)
        kill(owned.pid for owned in found if _is_switch(owned))
        stop([owned.pid for owned in found if not _is_switch(owned)], _STOP_LIMIT)
        stop([owned.pid for owned in found if _is_switch(owned)], _STOP_LIMIT)
    raise EmulationError(f"processes of lab {rundir.lab} keep coming back: {found[0].command!r} among them")


def _is_switch(owned: OwnedProcess) -> bool:
    return owned.role.startswith(("ovs-vswitchd@", "ovsdb-server@"))


def _unmount(rundir: RunDir) -> int:
    """Detach everything mounted below the run directory; the number of namespaces that were named there."""
    names = len(netns.read_mounted(rundir))
    for _ in range(_ROUNDS):
        points = netns.mount_points(rundir.path)
        if not points:
            break
        for point in points:
            if not any(point.startswith(other + "/") for other in points):
                syscalls.umount(point)
    return names


def expect_nothing_left(rundir: RunDir, inodes: frozenset[int]) -> None:
    """Raise ``EmulationError`` naming what is still there."""
    left = [f"process {owned.pid} ({owned.command})" for owned in find_processes(rundir, inodes)]
    left += [f"mount {point}" for point in netns.mount_points(rundir.path)]
    if rundir.path.exists():
        left.append(f"directory {rundir.path}")
    if left:
        raise EmulationError(f"lab {rundir.lab} is not all gone: {', '.join(left[:5])}")
