"""How much goes over each link: the kernels' own counters, read twice."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from testbed.emulation.netns import Enter, visiting
from testbed.emulation.rundir import RunDir
from testbed.model.wiring import NamespaceKind, Wiring

Link = tuple[str, str]
"""Namespace and device."""


@dataclass(frozen=True, slots=True)
class Counters:
    """``links``: bytes and packets in, bytes and packets out, at ``at`` (monotonic seconds)."""

    at: float
    links: Mapping[Link, tuple[int, int, int, int]]


@dataclass(frozen=True, slots=True)
class Rate:
    """Bits and packets a second, seen from the host: ``bits_in`` is what it receives."""

    host: str
    device: str
    bits_in: float
    bits_out: float
    packets_in: float
    packets_out: float

    @property
    def busy(self) -> float:
        return self.bits_in + self.bits_out


def links_of(wiring: Wiring) -> tuple[Link, ...]:
    """The host's end of every link: of two ends that which is not the fabric's, nor the node's of a pod."""
    order = {NamespaceKind.FABRIC: 0, NamespaceKind.NODE: 1}
    kinds = {namespace.name: order.get(namespace.kind, 2) for namespace in wiring.namespaces}
    ends = (max((veth.a, veth.b), key=lambda end: kinds.get(end.namespace, 2)) for veth in wiring.veths)
    return tuple((end.namespace, end.interface) for end in ends)


def read_counters(rundir: RunDir, links: Iterable[Link]) -> Counters:
    """One visit to each namespace; a link that is gone by now is left out."""
    wanted = frozenset(links)
    found: dict[Link, tuple[int, int, int, int]] = {}

    def visit(enter: Enter) -> None:
        for namespace in dict.fromkeys(name for name, _ in sorted(wanted)):
            try:
                enter(rundir.namespace(namespace))
                with open("/proc/thread-self/net/dev", encoding="ascii") as table:
                    found.update(_read_table(namespace, table))
            except OSError:
                continue

    visiting(visit)
    return Counters(time.monotonic(), {link: numbers for link, numbers in found.items() if link in wanted})


def _read_table(namespace: str, lines: Iterable[str]) -> Iterator[tuple[Link, tuple[int, int, int, int]]]:
    for line in lines:
        device, colon, rest = line.partition(":")
        if colon:
            numbers = [int(word) for word in rest.split()]
            yield (namespace, device.strip()), (numbers[0], numbers[1], numbers[8], numbers[9])


def plan_rates(before: Counters, after: Counters) -> tuple[Rate, ...]:
    """The busiest first. A link that came in between, or whose counters began anew, has no rate yet."""
    seconds = max(after.at - before.at, 1e-6)
    rates = []
    for link, now in after.links.items():
        then = before.links.get(link)
        if then is None or any(a < b for a, b in zip(now, then, strict=True)):
            continue
        bytes_in, packets_in, bytes_out, packets_out = ((a - b) / seconds for a, b in zip(now, then, strict=True))
        rates.append(Rate(*link, bytes_in * 8, bytes_out * 8, packets_in, packets_out))
    return tuple(sorted(rates, key=lambda rate: (-rate.busy, rate.host, rate.device)))
