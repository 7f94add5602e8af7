"""What a program of a pod is to its machine: its name, its end, and what it may do."""

from __future__ import annotations

import os
import struct

from testbed.emulation.syscalls import check, libc

CAP_NET_BIND_SERVICE, CAP_NET_RAW = 10, 13

_PR_SET_PDEATHSIG, _PR_SET_KEEPCAPS, _PR_SET_NAME, _PR_CAPBSET_DROP = 1, 8, 15, 24
_PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 38, 47, 2
_CAPABILITY_VERSION_3 = 0x20080522


def set_name(name: str) -> None:
    """What ``ps`` and ``top`` show; 15 bytes at most."""
    check(libc.prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0), "prctl name")


def die_with_parent(number: int) -> None:
    check(libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0), "prctl parent death signal")


def become(uid: int, gid: int, capabilities: tuple[int, ...]) -> None:
    """Change to another user for good, keeping ``capabilities`` (also across exec) and no way to gain more."""
    for capability in range(64):
        if capability not in capabilities and libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break  # past the last one that this kernel knows
    check(libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0), "prctl keep capabilities")
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    kept = sum(1 << capability for capability in capabilities)
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    check(libc.capset(header, struct.pack("6I", kept, kept, kept, 0, 0, 0)), "capset")
    for capability in capabilities:
        check(libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability, 0, 0), "prctl ambient")
    check(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl no new privileges")
