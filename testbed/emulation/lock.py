"""One command at a time for each lab: flock on the lab's ``lock`` file, which says who holds it."""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from testbed.emulation.errors import LabBusyError, NoSuchLabError
from testbed.emulation.rundir import RunDir

LOCK_SECONDS = 5.0
"""How long a command waits for the lab: longer than the manager of a usual lab holds it, shorter than patience."""


@contextmanager
def locked(rundir: RunDir, limit: float = 0.0) -> Iterator[None]:
    """Hold the lab's lock; wait for it at most ``limit`` seconds, then raise ``LabBusyError`` with the holder.

    The kernel drops the lock with the process, so a killed command leaves no stale lock. The file goes away with the
    lab: a lock on a file that is no longer the one at the path protects nothing, so it is taken again.
    """
    end = time.monotonic() + limit
    while True:
        try:
            fd = os.open(rundir.lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            raise NoSuchLabError(f"there is no lab {rundir.lab} (any more)") from None
        try:
            _take(fd, rundir, end)
            if not _is_current(fd, rundir):
                continue
            os.ftruncate(fd, 0)
            os.write(fd, json.dumps({"pid": os.getpid(), "command": " ".join(sys.argv)}).encode())
            yield
            return
        finally:
            os.close(fd)


def _take(fd: int, rundir: RunDir, end: float) -> None:
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= end:
                raise LabBusyError(f"lab {rundir.lab} is in use by {read_holder(rundir)}; try again later") from None
            time.sleep(0.02)


def _is_current(fd: int, rundir: RunDir) -> bool:
    try:
        here = os.stat(rundir.lock)
    except FileNotFoundError:
        return False
    ours = os.fstat(fd)
    return (here.st_dev, here.st_ino) == (ours.st_dev, ours.st_ino)


def read_holder(rundir: RunDir) -> str:
    """``process 4711 (lab up demo)``, or ``another process`` when the file does not say."""
    try:
        holder = json.loads(rundir.lock.read_text())
        return f"process {holder['pid']} ({holder['command']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
