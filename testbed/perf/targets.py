"""What a path should reach of the same hops on plain bridges, and a Service of the direct path. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from testbed.perf.conditions import FOREIGN, foreign
from testbed.perf.results import PLAIN, Cell, Figure, Measure, Path, Result, models_of, ordered
from testbed.perf.statistics import Quantity, ratio

PLAIN_TARGET, SERVICE_TARGET = 0.9, 0.8


@dataclass(frozen=True, slots=True)
class Judged:
    """One stream of TCP beside another path: ratio of throughputs, and of processor time for each byte (theirs by mine,
    so that less than one is dearer too). ``disturbed``: others kept the processors busy; throughput is then what they
    left over, and processor time decides.
    """

    what: str
    rate: Quantity
    cpu: Quantity | None
    target: float
    disturbed: bool

    @property
    def reached(self) -> bool:
        judged = self.cpu if self.disturbed and self.cpu else self.rate
        return judged.median >= self.target


def judge(result: Result) -> tuple[Judged, ...]:
    """Every path beside the same hops on plain bridges, then every cluster address beside the direct path."""
    return (*_beside_plain(result), *_beside_direct(result))


def _beside_plain(result: Result) -> Iterator[Judged]:
    for model in models_of(result):
        for path in ordered(Path, (cell.path for cell in result.cells if cell.subject == PLAIN + model)):
            mine, plain = Cell(model, path, Measure.TCP_1), Cell(PLAIN + model, path, Measure.TCP_1)
            yield from _judge(result, f"{model} {path} / plain bridges", mine, plain, PLAIN_TARGET)


def _beside_direct(result: Result) -> Iterator[Judged]:
    for model in models_of(result):
        through, direct = (Cell(model, path, Measure.TCP_1) for path in (Path.CLUSTER_IP, Path.OTHER))
        yield from _judge(result, f"{model} cluster-ip / direct", through, direct, SERVICE_TARGET)


def _judge(result: Result, what: str, mine: Cell, other: Cell, target: float) -> Iterator[Judged]:
    rate = ratio(result, mine, other, Figure.RATE)
    if rate is not None:
        disturbed = max(foreign(result, mine), foreign(result, other)) > FOREIGN
        yield Judged(what, rate, ratio(result, other, mine, Figure.CPU), target, disturbed)
