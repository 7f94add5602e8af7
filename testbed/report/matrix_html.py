"""A matrix as one page that opens offline: nothing is fetched, no script runs."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from testbed.observe.matrix.look import Cell, Mark, Matrix
from testbed.report.matrix import LEGEND

_STYLE = """
body { font: 14px/1.4 system-ui, sans-serif; margin: 2em; color: #222; background: #fff }
table { border-collapse: collapse }
th { font-weight: normal; text-align: left; padding: 2px 8px; white-space: nowrap }
thead th { writing-mode: vertical-rl; transform: rotate(180deg); padding: 8px 2px; vertical-align: bottom }
td { width: 1.6em; height: 1.6em; text-align: center; border: 1px solid #fff; font-family: monospace }
.allowed { background: #cfe8cf } .denied { background: #ddd } .wrong { background: #c62828; color: #fff }
.none { background: #f6f6f6; color: #aaa }
code { background: #f3f3f3; padding: 1px 4px } h1 span { font-weight: normal }
"""
_CLASSES = {Mark.ALLOWED: "allowed", Mark.DENIED: "denied", Mark.WRONG: "wrong"}


def render_html(lab: str, matrix: Matrix) -> str:
    return "\n".join(_page(lab, matrix)) + "\n"


def _page(lab: str, matrix: Matrix) -> Iterator[str]:
    title = f"lab {lab}: {len(matrix.wrong)} wrong of {len(matrix.cells)}"
    yield f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
    yield f"<style>{_STYLE}</style></head><body>"
    yield f"<h1>{escape(title)} <span>({escape(str(matrix.traffic))})</span></h1>"
    yield f"<p>From each line to each column. {escape(LEGEND)}. A cell says more when pointed at.</p>"
    yield "<table><thead><tr><th></th>"
    yield from (f"<th>{escape(target.word)}</th>" for target in matrix.targets)
    yield "</tr></thead><tbody>"
    for source in matrix.sources:
        cells = (_cell(matrix.cells.get((source.word, target.word))) for target in matrix.targets)
        yield f"<tr><th>{escape(source.word)} <small>{source.address}</small></th>{''.join(cells)}</tr>"
    yield "</tbody></table>"
    yield from _wrong(matrix)
    yield "</body></html>"


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return '<td class="none">-</td>'
    reason = f" ({cell.expected.reason})" if cell.expected.reason else ""
    pair = f"{cell.source.word} -> {cell.target.word}"
    said = "\n".join((pair, f"expected {cell.expected.hope}{reason}", f"seen {cell.seen}", cell.trace))
    return f'<td class="{_CLASSES[cell.mark]}" title="{escape(said)}">{escape(cell.mark.value)}</td>'


def _wrong(matrix: Matrix) -> Iterator[str]:
    if not matrix.wrong:
        return
    yield "<h2>Other than expected</h2><ul>"
    for cell in matrix.wrong:
        said = f"{cell.source.word} -> {cell.target.word}: expected {cell.expected.hope}, seen {cell.seen}"
        yield f"<li>{escape(said)}<br><code>{escape(cell.trace)}</code></li>"
    yield "</ul>"
