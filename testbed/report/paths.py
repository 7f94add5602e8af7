"""The network models side by side: a row for each way of access, a column for each model."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from testbed.observe.verdicts import Check, Report

_ADDRESS = len("192.168.100.100")


def render_paths(reports: Sequence[Report]) -> Table | None:
    """Verdict and the client address that the server saw; ``-`` where a model was not asked. None without any path."""
    checks = [check for report in reports for check in report.checks if check.path]
    if not checks:
        return None
    models = list(dict.fromkeys(check.model for check in checks))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("ACCESS PATH", overflow="fold", min_width=16)
    for model in models:
        table.add_column(model.upper(), overflow="fold", min_width=_ADDRESS)
    for path in dict.fromkeys(check.path for check in checks):
        table.add_row(path, *(_cell(checks, path, model) for model in models))
    return table


def _cell(checks: Sequence[Check], path: str, model: str) -> Text:
    found = next((check for check in checks if (check.path, check.model) == (path, model)), None)
    if found is None:
        return Text("-", style="dim")
    shown = found.seen.partition(", server")[0].partition(" (")[0].replace(", source ", ", ")
    return Text(shown) if found.ok else Text(f"{shown} (expected {found.expected})", style="bold red")
