"""Waiting that is named and bounded."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from testbed.emulation import interrupts
from testbed.emulation.errors import EmulationError

T = TypeVar("T")


class WaitedInVainError(EmulationError):
    """The condition did not hold within its limit."""


def until(condition: Callable[[], T], limit: float, what: str, pause: float = 0.002) -> T:
    """Ask ``condition`` until it answers something true, at most ``limit`` seconds, and return the answer.

    The pause between two questions grows from ``pause`` to 50 ms. Raises ``WaitedInVainError`` naming ``what``.
    """
    end = time.monotonic() + limit
    while True:
        answer = condition()
        if answer:
            return answer
        interrupts.check()
        if time.monotonic() >= end:
            raise WaitedInVainError(f"waited {limit:g} s in vain for {what}")
        time.sleep(pause)
        pause = max(pause, min(pause * 1.5, 0.05))
