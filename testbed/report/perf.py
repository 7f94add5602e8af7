"""A result of ``lab perf`` for the terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from testbed.observe.status_items import Column
from testbed.perf.compare import Row
from testbed.perf.results import WAYS, Result
from testbed.perf.words import explain, explain_tunnel
from testbed.report.perf_grids import (
    Grid,
    compare_grid,
    conditions_grid,
    facts_grid,
    figure_grid,
    measured,
    paths_of,
    target_grid,
)
from testbed.report.text import render_table

LEGEND = "median of the rounds ± half the distance of lowest and highest, x its ratio to the raw veth pair, ~ doubtful"


def grids_of(result: Result) -> Iterator[Grid]:
    for measure, figure in measured(result):
        yield figure_grid(result, measure, figure)
    targets = target_grid(result)
    if targets is not None:
        yield targets
    yield facts_grid(result)


def notices(result: Result) -> Iterator[str]:
    """What limits the result: errors first, then doubts, then what was left out."""
    for sample in result.errors:
        yield f"ERROR {sample.cell}, round {sample.round}: {sample.error}"
    yield from (f"doubtful: {doubt}" for doubt in result.doubts)
    yield from (f"left out: {path}, {why}" for path, why in result.left_out)


def render_perf(result: Result, rows: Sequence[Row] = ()) -> Iterator[RenderableType]:
    """Figures, targets, hops, words, conditions, notices. ``rows``: the comparison with an older run."""
    yield Text(LEGEND)
    for grid in grids_of(result):
        yield from _with_title(grid)
    if rows:
        yield from _with_title(compare_grid(rows))
    yield Text("\nWhere they differ and why", style="bold")
    for title, said in _words(result):
        yield Text(f" {title}", style="bold cyan")
        yield from (Text(f"  {text}") for text in said)
    yield from _with_title(conditions_grid(result))
    for notice in notices(result):
        yield Text(notice, style="bold red" if notice.startswith("ERROR") else "yellow")


def _words(result: Result) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(title, sentences) of each path, and of the tunnel beside what the vendor says of it."""
    for path in paths_of(result):
        if said := explain(result, path):
            yield f"{path}, {WAYS[path]}", said
    if said := explain_tunnel(result):
        yield "tunnel beside vpc", said


def _with_title(grid: Grid) -> Iterator[RenderableType]:
    yield Text(f"\n{grid.title}", style="bold")
    columns = [Column(title, right=not grid.words and bool(number), flexible=grid.words and bool(number))
               for number, title in enumerate(grid.head)]  # fmt: skip
    yield render_table(columns, grid.rows)


def render_markdown(result: Result, rows: Sequence[Row] = ()) -> str:
    """The same as one Markdown document."""
    parts = ["# Network models compared", LEGEND.capitalize() + "."]
    parts.append("\n".join(f"* {notice}" for notice in notices(result)))
    for grid in (*grids_of(result), *([compare_grid(rows)] if rows else []), conditions_grid(result)):
        parts.append(f"## {grid.title}\n\n{_pipes(grid)}")
    parts.append("## Where they differ and why")
    for title, said in _words(result):
        parts.append("\n".join((f"**{title}**\n", *(f"* {text}" for text in said))))
    return "\n\n".join(filter(None, parts)) + "\n"


def _pipes(grid: Grid) -> str:
    rule = ["---", *(["---"] if grid.words else ["--:"]) * (len(grid.head) - 1)]
    lines = [grid.head, rule, *grid.rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)
