"""How often a proxy is told to read its files, and what it is asked for until it answers by them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address
from types import SimpleNamespace
from typing import Any, cast

import pytest

from testbed.model.components import proxy_container
from testbed.model.workloads import Workload
from testbed.workloads.reload import PATIENCE, Reloader

IDENTITY = ("elb", "1")
FIRST = Workload("elb", "elb", "LoadBalancer/elb", "1", IPv4Address("192.168.1.2"), (proxy_container(),))


def with_files(text: str) -> Workload:
    return replace(FIRST, files=(("haproxy.cfg", text),))


class Proxy:
    """Stands for the loop, the kubelet's node and a proxy that has read ``reads``; ``hears`` what it is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.told, self.hears, self.reads = 100.0, 0, True, ""
        self._timers: list[tuple[float, Callable[[], None]]] = []
        self._worker = SimpleNamespace(ready=True, container=proxy_container(), workload=FIRST)
        self._pod = SimpleNamespace(workload=FIRST, stopping=False, containers={"proxy": self._worker})
        monkeypatch.setattr("testbed.workloads.reload.time.monotonic", lambda: self.now)
        self._reloader = Reloader(cast("Any", self), cast("Any", self), cast("Any", {IDENTITY: self._pod}))

    def later(self, delay: float, act: Callable[[], None]) -> None:
        self._timers.append((self.now + delay, act))

    def configure(self, _: Workload) -> bool:
        return True

    def signal(self, *_: object) -> None:
        self.told += 1
        if self.hears:
            self.reads = dict(self._pod.workload.files)["haproxy.cfg"]

    def ask_reloaded(self, workload: Workload, verdict: Callable[[bool, str], None]) -> None:
        verdict(dict(workload.files)["haproxy.cfg"] == self.reads, "")

    def give(self, text: str) -> None:
        self._reloader.configure(IDENTITY, with_files(text))
        self._pod.workload = self._worker.workload = with_files(text)
        self._reloader.look()

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self._timers and min(self._timers, key=lambda timer: timer[0])[0] <= end:
            self.now, act = min(self._timers, key=lambda timer: timer[0])
            self._timers.remove((self.now, act))
            act()
        self.now = end


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Proxy:
    return Proxy(monkeypatch)


def test_who_reads_at_once_is_told_once(proxy: Proxy) -> None:
    proxy.give("one")
    proxy.run(100)
    assert (proxy.told, proxy.reads) == (1, "one")
    proxy.give("two")
    proxy.run(100)
    assert (proxy.told, proxy.reads) == (2, "two")


def test_who_takes_its_time_is_not_disturbed(proxy: Proxy) -> None:
    proxy.hears = False
    proxy.give("one")
    proxy.run(0.9 * PATIENCE)
    assert proxy.told == 1
    proxy.reads = "one"
    proxy.run(100)
    assert proxy.told == 1


def test_who_has_not_heard_is_told_again_ever_less_often(proxy: Proxy) -> None:
    proxy.hears = False
    proxy.give("one")
    proxy.run(2 * PATIENCE)
    assert proxy.told == 2
    proxy.run(600)
    assert proxy.told < 20
    proxy.hears = True
    proxy.run(120)
    assert proxy.reads == "one"


def test_newer_files_are_told_as_soon_as_the_older_ones_are_read(proxy: Proxy) -> None:
    proxy.hears = False
    proxy.give("one")
    proxy.give("two")
    assert proxy.told == 1
    proxy.reads, proxy.hears = "one", True
    proxy.run(PATIENCE / 2)
    assert (proxy.told, proxy.reads) == (2, "two")
    proxy.run(100)
    assert proxy.told == 2


def test_newer_files_that_were_found_in_place_of_the_older_need_no_telling(proxy: Proxy) -> None:
    proxy.hears = False
    proxy.give("one")
    proxy.give("two")
    proxy.reads = "two"
    proxy.run(100)
    assert proxy.told == 1
