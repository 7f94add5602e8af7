"""Medians with their spread, and ratios of what was measured in the same round. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from testbed.perf.results import RAW, Cell, Figure, Path, Result, Sample

WIDE = 0.5
"""A spread (highest less lowest) above this part of the median is marked as doubtful."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """Median, lowest and highest of ``count`` rounds."""

    median: float
    low: float
    high: float
    count: int

    @property
    def spread(self) -> float:
        """Highest less lowest, as a part of the median; infinite when the median is nought and they differ."""
        if self.high == self.low:
            return 0.0
        return (self.high - self.low) / abs(self.median) if self.median else float("inf")


def quantity(values: Iterable[float]) -> Quantity | None:
    """None without values."""
    found = sorted(values)
    return Quantity(statistics.median(found), found[0], found[-1], len(found)) if found else None


def by_round(samples: Iterable[Sample], figure: Figure) -> dict[int, float]:
    return {sample.round: dict(sample.figures)[figure] for sample in samples if figure in dict(sample.figures)}


def value(result: Result, cell: Cell, figure: Figure) -> Quantity | None:
    return quantity(by_round(result.of(cell), figure).values())


def ratio(result: Result, cell: Cell, other: Cell, figure: Figure) -> Quantity | None:
    """``cell`` over ``other``, round by round: what both met at about the same time cancels out.

    None when they have no round in common in which the other is not nought.
    """
    return quantity(paired(by_round(result.of(cell), figure), by_round(result.of(other), figure)))


def paired(mine: Mapping[int, float], theirs: Mapping[int, float]) -> list[float]:
    return [mine[number] / theirs[number] for number in sorted(mine) if theirs.get(number)]


def raw_of(cell: Cell) -> Cell:
    """The raw veth pair by the same measure."""
    return Cell(RAW, Path.PAIR, cell.measure)


def to_raw(result: Result, cell: Cell, figure: Figure) -> Quantity | None:
    """None for the raw pair itself."""
    return None if cell.subject == RAW else ratio(result, cell, raw_of(cell), figure)
