"""Mounts of a thread's or a process's own, of which nothing shows outside."""

from __future__ import annotations

import errno
import os

from testbed.emulation import syscalls


def own_mounts() -> None:
    """Give the calling thread a mount namespace whose changes stay in it, and with it a root and folder of its own."""
    syscalls.unshare(syscalls.CLONE_NEWNS)
    try:
        _keep_private("/")
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        _keep_private_from_within()


def _keep_private(path: str) -> None:
    syscalls.mount("none", path, None, syscalls.MS_REC | syscalls.MS_PRIVATE)


def _keep_private_from_within() -> None:
    """The same where ``/`` is a folder of a mount and not its root, as in a plain chroot.

    Only the root of a mount can be told to keep to itself, and it lies above our ``/``: so go up there, which a
    folder that is not below ``/`` allows, and come back.
    """
    inside, folder = os.open("/", os.O_RDONLY | os.O_DIRECTORY), os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.chdir("/")
        os.chroot("/proc")
        while not os.path.samefile(".", ".."):
            os.chdir("..")
        _keep_private(".")
        os.fchdir(inside)
        os.chroot(".")
        os.fchdir(folder)
    finally:
        os.close(inside)
        os.close(folder)
