"""A result of ``lab perf`` as one HTML file that opens offline: plots inside, words beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from testbed.perf.compare import Row
from testbed.perf.results import WAYS, Figure, Result
from testbed.perf.words import explain, explain_tunnel
from testbed.report.perf import LEGEND, notices
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
from testbed.report.perf_plots import plot_figure

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 78rem; padding: 0 1rem; color: #222; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.pair { display: grid; grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); gap: 1.5rem; align-items: start; }
@media (max-width: 60rem) { .pair { grid-template-columns: 1fr; } }
svg { width: 100%; height: auto; }
table { border-collapse: collapse; font-size: .85rem; margin: .5rem 0; }
th, td { padding: .15rem .7rem .15rem 0; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap; }
th:first-child, td:first-child, .words td { text-align: left; } .words td { white-space: normal; }
.scroll { overflow-x: auto; } .bad { color: #b00020; } .doubt { color: #8a5a00; } dt { font-weight: 600; }
dd { margin: 0 0 .7rem 0; } ul { margin: .2rem 0; padding-left: 1.1rem; }
"""

_ACRONYMS = ("TCP", "1/CPU", "VPC", "ENI")
_PLOTTED = (Figure.RATE, Figure.CPU, Figure.P50, Figure.P99, Figure.CONNECTS)


def render_html(result: Result, rows: Sequence[Row] = ()) -> str:
    body = "\n".join(_body(result, rows))
    head = f'<meta charset="utf-8"><title>lab perf {escape(result.started)}</title><style>{_STYLE}</style>'
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>\n{body}\n</body></html>\n'


def _body(result: Result, rows: Sequence[Row]) -> Iterator[str]:
    yield f"<h1>Network models compared</h1><p>{escape(LEGEND.capitalize())}.</p>"
    for notice in notices(result):
        kind = "bad" if notice.startswith("ERROR") else "doubt"
        yield f'<p class="{kind}">{escape(notice)}</p>'
    yield from _targets(result)
    plots = "".join(plot_figure(result, measure, figure) for measure, figure in measured(result) if figure in _PLOTTED)
    yield f'<div class="pair"><div>{plots}</div><div>{_words(result)}</div></div>'
    for measure, figure in measured(result):
        yield _table(figure_grid(result, measure, figure))
    if rows:
        yield _table(compare_grid(rows))
    yield _table(facts_grid(result))
    yield _table(conditions_grid(result))


def _targets(result: Result) -> Iterator[str]:
    if (grid := target_grid(result)) is not None:
        yield _table(grid)
    if said := explain_tunnel(result):
        yield _list(said)


def _words(result: Result) -> str:
    said = [(path, explain(result, path)) for path in paths_of(result)]
    parts = [
        f"<dt>{path} <small>({escape(WAYS[path])})</small></dt><dd>{_list(text)}</dd>" for path, text in said if text
    ]
    return f"<h2>Where they differ and why</h2><dl>{''.join(parts)}</dl>"


def _list(said: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(text)}</li>' for text in said)}</ul>"


def _title(text: str) -> str:
    """``ONE TCP STREAM`` -> ``One TCP stream``."""
    words = " ".join(word if word in _ACRONYMS else word.lower() for word in text.split())
    return words[:1].upper() + words[1:]


def _table(grid: Grid) -> str:
    head = "".join(f"<th>{escape(_title(text))}</th>" for text in grid.head)
    rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in grid.rows)
    kind = ' class="words"' if grid.words else ""
    title = f"<h2>{escape(grid.title)}</h2>"
    return f'{title}<div class="scroll"><table{kind}><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
