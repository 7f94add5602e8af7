"""The checks of a scenario as a verdict table, as JSON or YAML values, and as JUnit XML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from testbed.observe.verdicts import Check, Report

ROOMY = 120
"""Columns from which expected and seen stand side by side."""


def render_report(report: Report, *, evidence: bool = False) -> RenderableType:
    """The verdict first, then one line a check; below, what failed and why (and all evidence when asked)."""
    parts: list[RenderableType] = [_ChecksTable(report.checks), Text()]
    for check in report.checks:
        if check.evidence and (evidence or not check.ok):
            parts.append(_evidence(check))
    parts.append(_summary(report))
    return Group(*parts)


def summary_of(report: Report) -> str:
    """``in_cluster: 9 of 9 checks held``, with what did not."""
    held = len(report.checks) - len(report.failed)
    text = f"{report.name}: {held} of {len(report.checks)} checks held"
    if report.failed:
        text += "; not: " + ", ".join(_number(check) or check.title for check in report.failed)
    return text


def report_document(report: Report) -> dict[str, Any]:
    """What ``-o json`` and ``-o yaml`` give for one report."""
    return {
        "name": report.name,
        "ok": report.ok,
        "facts": dict(report.facts),
        "checks": [_check_document(check) for check in report.checks],
    }


def render_junit(reports: Sequence[Report]) -> str:
    """JUnit XML: a suite a scenario; a check that could not be made is an ``error``, one that failed a ``failure``."""
    root = ElementTree.Element("testsuites")
    for report in reports:
        errors = sum(check.error for check in report.failed)
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=report.name,
            tests=str(len(report.checks)),
            failures=str(len(report.failed) - errors),
            errors=str(errors),
            time=f"{sum(check.seconds for check in report.checks):.3f}",
        )
        properties = ElementTree.SubElement(suite, "properties")
        for key, value in report.facts:
            ElementTree.SubElement(properties, "property", name=key, value=_xml_text(value))
        for check in report.checks:
            _junit_case(suite, report, check)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


@dataclass(frozen=True, slots=True)
class _ChecksTable:
    """One line a check. Where there is little room, what was expected is said only where it was not seen."""

    checks: Sequence[Check]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield _checks_table(self.checks, narrow=options.max_width < ROOMY)


def _checks_table(checks: Sequence[Check], *, narrow: bool) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("CHECK", overflow="fold", min_width=20)
    with_model = len({check.model for check in checks}) > 1  # a report's name says it where there is but one
    if with_model:
        table.add_column("MODEL", no_wrap=True, min_width=6)
    if not narrow:
        table.add_column("EXPECTED", overflow="fold", min_width=10)
    table.add_column("SEEN", overflow="fold", min_width=10)
    table.add_column("VERDICT", no_wrap=True, min_width=7)
    for check in checks:
        cells: list[Text | str] = [_number(check), check.title]
        if with_model:
            cells.append(Text(check.model, style="dim"))
        if not narrow:
            cells.append(check.expected)
        table.add_row(*cells, _seen(check, narrow), _verdict(check))
    return table


def _seen(check: Check, narrow: bool) -> Text:
    if check.ok:
        return Text(check.seen)
    before = f"expected {check.expected}; " if narrow else ""
    return Text(before + check.seen, style="red")


def _verdict(check: Check) -> Text:
    if check.ok:
        return Text("ok", style="green")
    return Text("ERROR" if check.error else "FAILED", style="bold red")


def _evidence(check: Check) -> RenderableType:
    title = Text(f"{_number(check)} {check.title}".strip(), style="bold" if check.ok else "bold red")
    return Group(title, *(Text(f"    {_visible(line)}", style="dim") for line in check.evidence))


def _visible(text: str) -> str:
    """Control characters, which a packet may well hold, as ``\\x00``: they are for reading, not for the terminal."""
    return "".join(char if char.isprintable() or char == "\t" else repr(char)[1:-1] for char in text)


def _summary(report: Report) -> Text:
    facts = ", ".join(f"{key} {value}" for key, value in report.facts)
    text = Text(summary_of(report), style="bold green" if report.ok else "bold red")
    return text.append(f" ({facts})", style="not bold dim") if facts else text


def _number(check: Check) -> str:
    return str(check.assertion) if check.assertion else ""


def _check_document(check: Check) -> dict[str, Any]:
    return {
        "assertion": check.assertion,
        "title": check.title,
        "model": check.model,
        "expected": check.expected,
        "seen": check.seen,
        "ok": check.ok,
        "error": check.error,
        "seconds": round(check.seconds, 3),
        "evidence": list(check.evidence),
        "path": check.path,
    }


def _junit_case(suite: ElementTree.Element, report: Report, check: Check) -> None:
    name = f"{_number(check)} {check.title}".strip()
    case = ElementTree.SubElement(
        suite,
        "testcase",
        classname=".".join(filter(None, (report.name.partition(" (")[0], check.model))),
        name=_xml_text(name),
        time=f"{check.seconds:.3f}",
    )
    if not check.ok:
        kind = "error" if check.error else "failure"
        message = _xml_text(f"expected {check.expected}, seen {check.seen}")
        ElementTree.SubElement(case, kind, message=message).text = _xml_text("\n".join(check.evidence))
    elif check.evidence:
        ElementTree.SubElement(case, "system-out").text = _xml_text("\n".join(check.evidence))


def _xml_text(text: str) -> str:
    """Without the control characters that XML 1.0 can't hold."""
    return "".join(char if char in "\t\n" or " " <= char <= "\ud7ff" or char > "\ue000" else "?" for char in text)
