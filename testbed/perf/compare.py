"""Two runs side by side: what changed by more than both their spreads. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from testbed.perf.conditions import expect_comparable
from testbed.perf.results import FIGURES, FIGURES_OF, RAW, Cell, Figure, Result
from testbed.perf.statistics import Quantity, to_raw, value


class Change(StrEnum):
    BETTER = "better"
    WORSE = "worse"
    SAME = "same"


@dataclass(frozen=True, slots=True)
class Row:
    """``old`` and ``new`` are ratios to each run's own raw pair, or plain values for the raw pair itself."""

    cell: Cell
    figure: Figure
    old: Quantity
    new: Quantity
    change: Change

    @property
    def factor(self) -> float:
        return self.new.median / self.old.median if self.old.median else float("inf")


def compare(old: Result, new: Result) -> tuple[Row, ...]:
    """One row for each cell's first figure that both have. Raises ``UnequalError`` for unlike conditions."""
    expect_comparable(old.conditions, new.conditions)
    rows = []
    for cell in new.cells:
        figure = FIGURES_OF[cell.measure][0]
        before, after = _normal(old, cell, figure), _normal(new, cell, figure)
        if before is not None and after is not None:
            rows.append(Row(cell, figure, before, after, judge(before, after, more=FIGURES[figure].more)))
    return tuple(rows)


def _normal(result: Result, cell: Cell, figure: Figure) -> Quantity | None:
    return value(result, cell, figure) if cell.subject == RAW else to_raw(result, cell, figure)


def judge(old: Quantity, new: Quantity, *, more: bool) -> Change:
    """A change is one only when the spreads don't overlap: anything else may be the machine."""
    if new.low <= old.high and old.low <= new.high:
        return Change.SAME
    return Change.BETTER if (new.median > old.median) is more else Change.WORSE
