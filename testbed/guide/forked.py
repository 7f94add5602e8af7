"""A verb of the lab as a process of its own, by a fork of this one: what it needs is loaded already.

A guide is some thirty commands. To start the interpreter and load the lab's modules for each costs more than most
commands do.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, NoReturn

Main = Callable[[list[str]], object]
"""The command line: runs a verb and ends by ``SystemExit``."""

_CTRL_C = (signal.SIGINT,)
_BROKEN = 70
"""Exit status of a verb that did not even become an error."""


@dataclass
class Forked:
    """``status`` is the exit status once it has ended, as a shell has it: 128 and the number for a signal."""

    pid: int
    status: int | None = None

    def ended(self, limit: float = 0.0) -> bool:
        """Whether it has ended, or does so within ``limit`` seconds."""
        if self.status is not None:
            return True
        descriptor = os.pidfd_open(self.pid)
        try:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            if not poll.poll(limit * 1000):
                return False
        finally:
            os.close(descriptor)
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self.status = code if code >= 0 else 128 - code
        return True

    def kill(self) -> None:
        """End it, if it has not."""
        if not self.ended():
            os.kill(self.pid, signal.SIGKILL)
            self.ended(5.0)


def fork(main: Main, arguments: Sequence[str], stdin: IO[str], stdout: IO[str], stderr: IO[str]) -> Forked:
    """Run ``main(arguments)`` beside us, with these files as its own. No other thread may run here.

    Ctrl-C waits until both know who they are: an exception in what Python calls around a fork (logging has such
    hooks) is reported and then forgotten, and the learner's Ctrl-C with it.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    signal.pthread_sigmask(signal.SIG_BLOCK, _CTRL_C)
    pid = os.fork()
    if pid == 0:
        _become(main, arguments, (stdin.fileno(), stdout.fileno(), stderr.fileno()))
    child = Forked(pid)
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _CTRL_C)
    except KeyboardInterrupt:
        child.kill()
        raise
    return child


def _become(main: Main, arguments: Sequence[str], files: tuple[int, int, int]) -> NoReturn:
    """Never returns into the code that forked: its callers are the other process's."""
    status: object = _BROKEN
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _CTRL_C)
        for number, file in enumerate(files):
            os.dup2(file, number)
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - open as long as the process
        sys.stdout, sys.stderr = (open(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))  # noqa: SIM115
        sys.argv = ["lab", *arguments]
        main(list(arguments))
        status = 0
    except SystemExit as end:
        status = end.code or 0
    except KeyboardInterrupt:
        status = 130
    finally:
        os._exit(_flushed(status))


def _flushed(status: object) -> int:
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        return _BROKEN
    return status if isinstance(status, int) else _BROKEN
