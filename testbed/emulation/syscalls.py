"""The four system calls that Python 3.11 does not offer: unshare, setns, mount and umount2.

Each raises ``OSError`` naming itself.
"""

from __future__ import annotations

import ctypes
import os

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWPID, CLONE_NEWNET = 0x00020000, 0x04000000, 0x20000000, 0x40000000

MS_NOSUID, MS_NODEV, MS_NOEXEC = 0x2, 0x4, 0x8
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MS_SLAVE = 0x80000
MNT_DETACH = 0x2
UMOUNT_NOFOLLOW = 0x8

libc = ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    check(libc.unshare(flags), "unshare")


def setns(fd: int, kind: int = CLONE_NEWNET) -> None:
    check(libc.setns(fd, kind), "setns")


def mount(source: str, target: str, filesystem: str | None, flags: int, data: str | None = None) -> None:
    result = libc.mount(
        source.encode(),
        target.encode(),
        filesystem.encode() if filesystem else None,
        ctypes.c_ulong(flags),
        data.encode() if data else None,
    )
    check(result, f"mount {target}")


def umount(target: str) -> None:
    """Detach ``target`` and everything mounted below it at once; never follows a symbolic link."""
    check(libc.umount2(target.encode(), MNT_DETACH | UMOUNT_NOFOLLOW), f"umount {target}")
