"""Two models side by side: what differs, by section, and how much is the same."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from testbed.observe.compare import Comparison, Row
from testbed.observe.profile import DETAIL


def render_comparison(comparison: Comparison, *, everything: bool = False) -> RenderableType:
    """``everything``: also what is the same."""
    rows = comparison.rows if everything else tuple(row for row in comparison.different if not _is_detail(row))
    same = len(comparison.rows) - len(comparison.different)
    names = " and ".join(comparison.names)
    end = Text(f"{names}: {len(comparison.different)} of {len(comparison.rows)} facts differ", style="bold")
    if not everything:
        end.append(f"; -o wide shows the {same} that are the same, and tables of flows", style="not bold dim")
    return Group(_table(comparison, rows), Text(), end)


def comparison_document(comparison: Comparison) -> dict[str, Any]:
    """For programs: every fact, by section, with whether it differs."""
    sections: dict[str, list[dict[str, Any]]] = {}
    for row in comparison.rows:
        values = dict(zip(comparison.names, row.values, strict=True))
        sections.setdefault(row.section, []).append(
            {"what": row.what.strip(), "values": values, "differs": row.differs}
        )
    return {
        "models": list(comparison.names),
        "datapaths": dict(zip(comparison.names, comparison.datapaths, strict=True)),
        "sections": sections,
    }


def _is_detail(row: Row) -> bool:
    return row.what.startswith(DETAIL)


def _table(comparison: Comparison, rows: tuple[Row, ...]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("WHAT", overflow="fold", min_width=16)
    for name in comparison.names:
        table.add_column(name.upper(), overflow="fold", min_width=12)
    section = ""
    for row in rows:
        if row.section != section:
            section = row.section
            table.add_row(Text(section, style="bold cyan"), *("" for _ in comparison.names))
        style = "" if row.differs else "dim"
        table.add_row(
            Padding(Text(row.what, style=style), (0, 0, 0, 2)), *(Text(value, style=style) for value in row.values)
        )
    return table
