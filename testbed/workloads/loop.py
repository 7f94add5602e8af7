"""A selector and timers in one thread: what the kubelet waits with."""

from __future__ import annotations

import contextlib
import heapq
import selectors
import time
from collections.abc import Callable
from typing import Any

Act = Callable[[], None]


class Timer:
    __slots__ = ("act",)

    def __init__(self, act: Act) -> None:
        self.act: Act | None = act

    def cancel(self) -> None:
        self.act = None


class Loop:
    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.running = True
        self._timers: list[tuple[float, int, Timer]] = []
        self._number = 0

    def later(self, delay: float, act: Act) -> Timer:
        self._number += 1
        timer = Timer(act)
        heapq.heappush(self._timers, (time.monotonic() + delay, self._number, timer))
        return timer

    def watch(self, source: Any, events: int, act: Callable[[int], None]) -> None:
        """Call ``act(events)`` when ``source`` is ready; replaces what was watched for on it."""
        if source in self.selector.get_map():
            self.selector.modify(source, events, act)
        else:
            self.selector.register(source, events, act)

    def forget(self, source: Any) -> None:
        with contextlib.suppress(KeyError, ValueError):  # not watched, or closed already
            self.selector.unregister(source)

    def run(self) -> None:
        """Run until ``running`` is false."""
        while self.running:
            timeout = max(self._timers[0][0] - time.monotonic(), 0) if self._timers else None
            for key, events in self.selector.select(timeout):
                if self.selector.get_map().get(key.fd) is key:  # not forgotten by an act before it
                    key.data(events)
            self._run_timers()

    def _run_timers(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            act = heapq.heappop(self._timers)[2].act
            if act:
                act()
