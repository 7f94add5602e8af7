"""A matrix: what should get through beside what does, cell by cell."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from testbed.emulation.rundir import RunDir
from testbed.observe.matrix.cloud import Traffic
from testbed.observe.matrix.expected import Expectations, Expected, Hope
from testbed.observe.matrix.members import Member
from testbed.observe.probes import Seen
from testbed.observe.verdicts import Verdict
from testbed.observe.volley import TIMEOUT, Shot, fire


class Mark(StrEnum):
    ALLOWED = "."
    DENIED = "X"
    WRONG = "!"


@dataclass(frozen=True, slots=True)
class Cell:
    source: Member
    target: Member
    traffic: Traffic
    expected: Expected
    seen: Seen

    @property
    def through(self) -> bool:
        """Whether the packet got there. A host where nothing listens says so itself: it was reached."""
        if self.seen.verdict is Verdict.ALLOWED:
            return True
        says_no = self.seen.verdict is Verdict.REFUSED and self.seen.detail == "connection refused"
        return says_no and self.target.kind != "service"

    @property
    def ok(self) -> bool:
        if self.seen.verdict is Verdict.ERROR:
            return False
        return self.expected.hope is Hope.DEPENDS or self.through == (self.expected.hope is Hope.ALLOWED)

    @property
    def mark(self) -> Mark:
        if not self.ok:
            return Mark.WRONG
        return Mark.ALLOWED if self.through else Mark.DENIED

    @property
    def trace(self) -> str:
        """The command that explains it."""
        port = f" --port {self.traffic.port}" if self.traffic.port else ""
        return (
            f"lab trace {self.source.word} {self.target.word.partition(':')[0]} --proto {self.traffic.protocol}{port}"
        )


@dataclass(frozen=True, slots=True)
class Matrix:
    """``cells`` has none for a member to itself."""

    sources: tuple[Member, ...]
    targets: tuple[Member, ...]
    traffic: Traffic
    cells: dict[tuple[str, str], Cell]
    seconds: float

    @property
    def wrong(self) -> tuple[Cell, ...]:
        return tuple(cell for cell in self.cells.values() if not cell.ok)


def look(
    rundir: RunDir,
    expectations: Expectations,
    sources: Sequence[Member],
    targets: Sequence[Member],
    traffic: Traffic,
    timeout: float = TIMEOUT,
) -> Matrix:
    """Send a packet from each source to each target. ``traffic`` is for all targets but Services."""
    started = time.monotonic()
    pairs = [(one, other) for one in sources for other in targets if one != other]
    kinds = [_traffic(other, traffic) for _, other in pairs]
    expected = [expectations.one(*pair, kind) for pair, kind in zip(pairs, kinds, strict=True)]
    shots = [
        Shot(rundir.namespace(one.namespace), kind.protocol.value, other.address, kind.port)
        for (one, other), kind in zip(pairs, kinds, strict=True)
    ]
    cells = {}
    for (one, other), kind, hope, seen in zip(pairs, kinds, expected, fire(shots, timeout), strict=True):
        cells[one.word, other.word] = Cell(one, other, kind, hope, seen)
    return Matrix(tuple(sources), tuple(targets), traffic, cells, time.monotonic() - started)


def _traffic(target: Member, traffic: Traffic) -> Traffic:
    return Traffic(target.protocol, target.port) if target.protocol else traffic
