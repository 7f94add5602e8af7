"""Which processes are the lab's: those that carry its mark, and those inside one of its namespaces.

The mark is ``CNLAB=<lab>`` in the environment together with ``CNLAB_RUN=<run directory>``, which tells labs of one
name under different roots apart. Never by program name: the user's own ``ovs-vswitchd`` is not ours to end.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from testbed.emulation.rundir import RunDir


@dataclass(frozen=True, slots=True)
class OwnedProcess:
    """``role`` is what the lab started it as (``ovs-vswitchd@n1``), empty for what a user started in a namespace.

    ``netns`` is the inode number of its network namespace.
    """

    pid: int
    role: str
    command: str
    netns: int


def mark(rundir: RunDir, role: str) -> dict[str, str]:
    return {"CNLAB": rundir.lab, "CNLAB_RUN": str(rundir.path), "CNLAB_ROLE": role}


def find_processes(rundir: RunDir, inodes: frozenset[int] = frozenset()) -> tuple[OwnedProcess, ...]:
    """All processes of the lab but this one and its ancestors (a ``lab down`` typed in a lab's own shell)."""
    kin = _self_and_ancestors()
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) not in kin:
            owned = _read_owned(rundir, int(entry), inodes)
            if owned:
                found.append(owned)
    return tuple(found)


def is_running(rundir: RunDir, pid: int | None) -> bool:
    """Whether ``pid`` is a live process that carries the lab's mark."""
    return pid is not None and _read_owned(rundir, pid, frozenset()) is not None


def _read_owned(rundir: RunDir, pid: int, inodes: frozenset[int]) -> OwnedProcess | None:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            environment = file.read().split(b"\0")
        netns = os.stat(f"/proc/{pid}/ns/net").st_ino
        if not (netns in inodes or is_marked(environment, rundir)) or is_zombie(pid):
            return None
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            command = file.read().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return None  # it ended while we looked
    role = next((item[11:] for item in environment if item.startswith(b"CNLAB_ROLE=")), b"")
    return OwnedProcess(pid, role.decode(errors="replace"), command, netns)


def is_marked(environment: list[bytes], rundir: RunDir) -> bool:
    """``environment`` has ``NAME=value`` items. Half a mark is none: it may be another lab's of the same name."""
    return b"CNLAB=" + rundir.lab.encode() in environment and b"CNLAB_RUN=" + bytes(rundir.path) in environment


def is_zombie(pid: int) -> bool:
    """Whether the process has ended and only waits for its parent.

    A first thread that has ended while others of the process still run shows as Z too; that is no end.
    """
    with open(f"/proc/{pid}/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    return fields[0] in (b"Z", b"X") and int(fields[17]) <= 1


def _self_and_ancestors() -> frozenset[int]:
    kin, pid = set(), os.getpid()
    while pid > 0 and pid not in kin:
        kin.add(pid)
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                pid = int(file.read().rpartition(b")")[2].split()[1])
        except OSError:
            break
    return frozenset(kin)
