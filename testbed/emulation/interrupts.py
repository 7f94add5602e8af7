"""Ctrl-C as a value: signals are noted while the machine is being changed, and acted upon between steps.

An exception thrown by a signal at any instruction could hit the rollback itself; so during a change the handler
only notes the signal, ``check()`` raises at points where what exists is recorded, and further signals change nothing.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from testbed.emulation.errors import InterruptedByUserError

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_Handler = Callable[[int, FrameType | None], Any] | int | signal.Handlers | None
_noted: list[int] = []
_masked = threading.Event()


@contextmanager
def deferred() -> Iterator[None]:
    """Note SIGINT, SIGTERM and SIGHUP instead of dying of them. Only the main thread can; others pass through.

    When ``InterruptedByUserError`` leaves the body the command is over, and signals are ignored from then on: a second
    Ctrl-C just after the rollback, or while the interpreter ends, would otherwise replace its exit status by a death.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def note(number: int, _: FrameType | None) -> None:
        _noted.append(number)

    before: dict[signal.Signals, _Handler] = {number: signal.signal(number, note) for number in _SIGNALS}
    try:
        yield
    except InterruptedByUserError:
        before = dict.fromkeys(_SIGNALS, signal.SIG_IGN)
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _noted.clear()


@contextmanager
def ignored() -> Iterator[None]:
    """Inside, ``check()`` is silent: for the rollback, which a second Ctrl-C must not break."""
    was = _masked.is_set()
    _masked.set()
    try:
        yield
    finally:
        if not was:
            _masked.clear()


def check() -> None:
    """Raise ``InterruptedByUserError`` when a signal was noted."""
    if _noted and not _masked.is_set():
        raise InterruptedByUserError(_noted[0])
