"""What ``lab perf`` shows while it measures: how far it is, how long it will take, and medians so far."""

from __future__ import annotations

import time

from rich.console import Console, ConsoleOptions, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from testbed.observe.status_items import Column
from testbed.perf.results import FIGURES, FIGURES_OF, Cell, Sample
from testbed.perf.statistics import by_round, quantity
from testbed.report.perf_grids import say
from testbed.report.text import render_table

_SHOWN = 12


class LiveView:
    """A renderable that is told what happens."""

    def __init__(self) -> None:
        self._step, self._done, self._all, self._begin = "", 0, 0, time.monotonic()
        self._samples: dict[Cell, list[Sample]] = {}

    def note(self, step: str) -> None:
        self._step = step

    def sampled(self, sample: Sample, done: int, total: int) -> None:
        if not self._done:
            self._begin = time.monotonic()
        self._done, self._all = done, total
        self._samples.setdefault(sample.cell, []).append(sample)
        self._samples[sample.cell] = self._samples.pop(sample.cell)  # the newest is the last

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(f"perf: {self._step} ...")
        if not self._all:
            return
        line = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=self._all, completed=self._done, width=min(40, options.max_width // 2))
        line.add_row(bar, Text(f"{self._done} of {self._all} samples{self._left()}"))
        yield line
        columns = [Column("CELL"), Column("SO FAR", right=True), Column("")]
        newest = list(self._samples.items())[-_SHOWN:]
        yield render_table(columns, [_row(cell, samples) for cell, samples in newest])

    def _left(self) -> str:
        if self._done < 2:
            return ""
        each = (time.monotonic() - self._begin) / (self._done - 1)
        return f", about {each * (self._all - self._done) / 60:.0f} min left"


def _row(cell: Cell, samples: list[Sample]) -> tuple[str, str, str]:
    figure = FIGURES_OF[cell.measure][0]
    found = quantity(by_round(samples, figure).values())
    if found is None:
        return str(cell), "ERROR", samples[-1].error
    return str(cell), say(found, figure), FIGURES[figure].unit
