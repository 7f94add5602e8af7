"""A matrix for people: a line for each sender, a column for each receiver; then each cell that is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.text import Text

from testbed.observe.matrix.expected import Hope
from testbed.observe.matrix.look import Cell, Mark, Matrix

WIDTH = 80
STYLES = {Mark.ALLOWED: "green", Mark.DENIED: "dim", Mark.WRONG: "bold white on red"}
LEGEND = ". gets through, X does not, both as expected; ! is other than expected"
MOST_WRONG = 20


def render_matrix(matrix: Matrix) -> Iterator[Text]:
    """Lines of at most 80 columns: many receivers are shown in several blocks."""
    yield _summary(matrix)
    columns = {target.word: str(number) for number, target in enumerate(matrix.targets, 1)}
    names = _row_names(matrix, columns)
    left, cell = max(map(len, names.values()), default=0), max(map(len, columns.values()), default=1) + 1
    fitting = max(1, (WIDTH - left) // cell)
    for start in range(0, len(matrix.targets), fitting):
        block = [target.word for target in matrix.targets[start : start + fitting]]
        yield Text(" " * left + "".join(columns[word].rjust(cell) for word in block), style="bold")
        for source in matrix.sources:
            yield _line(matrix, source.word, names[source.word].ljust(left), block, cell)
    yield from _other_columns(matrix, columns)
    yield Text(LEGEND, style="dim")
    yield from _wrong(matrix)


def _summary(matrix: Matrix) -> Text:
    count, wrong = len(matrix.cells), len(matrix.wrong)
    style = "bold red" if wrong else "bold green"
    return Text.assemble(f"{matrix.traffic}, {matrix.seconds:.1f} s: ", (f"{wrong} wrong of {count}", style))


def _row_names(matrix: Matrix, columns: dict[str, str]) -> dict[str, str]:
    wide = max(map(len, columns.values()), default=1)
    return {one.word: f"{columns.get(one.word, '').rjust(wide)} {one.word}" for one in matrix.sources}


def _line(matrix: Matrix, source: str, name: str, block: list[str], width: int) -> Text:
    line = Text(name)
    for target in block:
        cell = matrix.cells.get((source, target))
        mark, style = (cell.mark.value, STYLES[cell.mark]) if cell else ("-", "dim")
        line.append(" " * (width - 1))
        line.append(mark, style=style)
    return line


def _other_columns(matrix: Matrix, columns: dict[str, str]) -> Iterator[Text]:
    """Receivers that are no senders have no line that says their number."""
    rows = {source.word for source in matrix.sources}
    for target in matrix.targets:
        if target.word not in rows:
            yield Text(f"{columns[target.word]} {target.word}")


def _wrong(matrix: Matrix) -> Iterator[Text]:
    for cell in matrix.wrong[:MOST_WRONG]:
        yield Text.assemble(("  ! ", "bold red"), f"{cell.source.word} -> {cell.target.word}: expected {_hope(cell)}, ",
                            (f"seen {cell.seen}", "bold red"))  # fmt: skip
        yield Text(f"    {cell.trace}", style="cyan", no_wrap=True)
    if (more := len(matrix.wrong) - MOST_WRONG) > 0:
        yield Text(f"... and {more} more; -o json has them all")


def _hope(cell: Cell) -> str:
    why = cell.expected.reason or (f"source {cell.expected.source}" if cell.expected.source else "")
    return f"{cell.expected.hope}{f' ({why})' if why else ''}"


def matrix_document(matrix: Matrix) -> dict[str, Any]:
    """For programs: the members, and every cell."""
    members = {one.word: one for one in (*matrix.sources, *matrix.targets)}
    return {
        "protocol": str(matrix.traffic.protocol),
        "port": matrix.traffic.port or None,
        "seconds": round(matrix.seconds, 3),
        "wrong": len(matrix.wrong),
        "of": len(matrix.cells),
        "members": [
            {"name": one.word, "kind": one.kind, "object": one.owner, "address": str(one.address)}
            for one in members.values()
        ],
        "cells": [cell_document(cell) for cell in matrix.cells.values()],
    }


def cell_document(cell: Cell) -> dict[str, Any]:
    return {
        "source": cell.source.word,
        "target": cell.target.word,
        "mark": cell.mark.value,
        "expected": str(cell.expected.hope),
        "reason": cell.expected.reason or None,
        "expectedSource": cell.expected.source or None if cell.expected.hope is Hope.ALLOWED else None,
        "seen": str(cell.seen.verdict),
        "detail": cell.seen.detail or None,
        "trace": cell.trace,
    }
