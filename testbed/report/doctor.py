"""``lab doctor``: what the machine has and lacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from testbed.emulation.doctor import Finding, Level, is_fit

_STYLES = {Level.OK: "green", Level.DEGRADED: "yellow", Level.MISSING: "bold red"}


def render_findings(findings: Sequence[Finding]) -> RenderableType:
    """What is not well first in words, then everything in a table."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("CHECK", no_wrap=True)
    table.add_column("RESULT", no_wrap=True)
    table.add_column("DETAIL", overflow="fold")
    for finding in findings:
        detail = Text(finding.detail)
        if finding.lost:
            detail.append(f"\nlost: {finding.lost}", style="yellow")
        if finding.remedy:
            detail.append(f"\nremedy: {finding.remedy}", style="bold")
        table.add_row(finding.subject, Text(finding.level.value, style=_STYLES[finding.level]), detail)
    return Group(table, Text(), _verdict(findings))


def findings_document(findings: Sequence[Finding]) -> dict[str, Any]:
    return {"fit": is_fit(tuple(findings)), "findings": [asdict(finding) for finding in findings]}


def _verdict(findings: Sequence[Finding]) -> Text:
    if not is_fit(tuple(findings)):
        missing = ", ".join(finding.subject for finding in findings if finding.level is Level.MISSING)
        return Text(f"labs do not work here; missing: {missing}", style="bold red")
    degraded = [finding.subject for finding in findings if finding.level is Level.DEGRADED]
    if degraded:
        return Text(f"labs work here, with losses: {', '.join(degraded)}", style="yellow")
    return Text("labs work here", style="bold green")
