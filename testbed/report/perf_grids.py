"""The tables of ``lab perf`` as texts in rows: one source for the terminal, Markdown and HTML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from testbed.perf.compare import Row
from testbed.perf.conditions import is_wide
from testbed.perf.results import (
    FIGURES,
    FIGURES_OF,
    PLAIN,
    RAW,
    Cell,
    Figure,
    Measure,
    Path,
    Result,
    SubjectConditions,
    models_of,
    ordered,
)
from testbed.perf.statistics import Quantity, raw_of, to_raw, value
from testbed.perf.targets import judge

TITLES = {
    Measure.TCP_1: "TCP, 1 stream",
    Measure.TCP_4: "TCP, 4 streams",
    Measure.UDP: "UDP",
    Measure.LATENCY: "TCP message, half a round trip",
    Measure.CONNECTIONS: "HTTP, a connection for each request",
}
NOTHING = "-"


@dataclass(frozen=True, slots=True)
class Grid:
    """A table; the first column names the row, the others are numbers unless ``words``."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: bool = False


def figure_title(measure: Measure, figure: Figure) -> str:
    meaning = FIGURES[figure]
    return f"{TITLES[measure]}: {meaning.title}, {meaning.unit}"


def measured(result: Result) -> Iterator[tuple[Measure, Figure]]:
    """Every figure that was measured, in the order of the measures."""
    for measure in ordered(Measure, (cell.measure for cell in result.cells)):
        for figure in FIGURES_OF[measure]:
            yield measure, figure


def paths_of(result: Result, measure: Measure | None = None) -> tuple[Path, ...]:
    """Of one measure, or of all: a path through a proxy for HTTP carries no iperf3."""
    cells = [cell for cell in result.cells if measure in (None, cell.measure)]
    return ordered(Path, (cell.path for cell in cells if cell.path is not Path.PAIR))


def figure_grid(result: Result, measure: Measure, figure: Figure) -> Grid:
    """Paths down, models across; each cell is the median, its spread and the ratio to the raw pair."""
    raw = value(result, raw_of(Cell(RAW, Path.PAIR, measure)), figure)
    models = models_of(result)
    rows = [
        (path.value, *(_cell(result, Cell(model, path, measure), figure) for model in models))
        for path in paths_of(result, measure)
    ]
    title = figure_title(measure, figure)
    if raw is not None:
        title += f" (raw veth pair: {say(raw, figure)})"
    return Grid(title, ("PATH", *(model.upper() for model in models)), tuple(rows))


def _cell(result: Result, cell: Cell, figure: Figure) -> str:
    samples = result.of(cell)
    if any(sample.error for sample in samples):
        return "ERROR"
    found = value(result, cell, figure)
    if found is None:
        return NOTHING
    against = to_raw(result, cell, figure)
    doubt = " ~" if is_wide(result, cell) and figure is FIGURES_OF[cell.measure][0] else ""
    return say(found, figure) + (f" x{_short(against.median)}" if against else "") + doubt


def say(found: Quantity, figure: Figure) -> str:
    """``1.62 ±7%`` in the figure's unit; of one round only the value."""
    return f"{_short(found.median * FIGURES[figure].scale)}{_spread(found)}"


def _spread(found: Quantity) -> str:
    """Half of what lies between the lowest and the highest, as a part of the median."""
    if found.count < 2:
        return ""
    return f" ±{min(found.spread / 2, 9.99):.0%}"


def _short(number: float) -> str:
    """About three digits: 0.041, 1.62, 16.2, 162, 16.2k."""
    if abs(number) >= 9999.5:
        return f"{number / 1000:.3g}k" if abs(number) < 999_500 else f"{number / 1e6:.3g}M"
    if abs(number) >= 99.5:
        return f"{number:.0f}"
    return f"{number:.3g}" if number >= 0.0995 or not number else f"{number:.2g}"


def target_grid(result: Result) -> Grid | None:
    """What the pipelines cost beside plain bridges, and Services beside the direct path."""
    rows = [
        (
            item.what, f"{item.rate.median:.2f} ({item.rate.low:.2f}-{item.rate.high:.2f})",
            f"{item.cpu.median:.2f}" if item.cpu else NOTHING, f"{item.target:g}",
            f"{'reached' if item.reached else 'below'}{' (CPU)' if item.disturbed and item.cpu else ''}",
        )
        for item in judge(result)
    ]  # fmt: skip
    head = ("ONE TCP STREAM", "THROUGHPUT", "1/CPU", "TARGET", "")
    return (
        Grid("Beside the same hops on plain bridges, and beside the direct path", head, tuple(rows)) if rows else None
    )


def facts_grid(result: Result) -> Grid:
    """What the paths are made of, there and back."""
    rows = [
        (
            item.path.value, item.subject, str(item.switches), str(item.bridges), str(item.kernels), str(item.tables),
            f"{item.passes:g}" if item.passes else NOTHING, str(item.header_bytes),
        )
        for item in sorted(result.facts, key=lambda item: tuple(Path).index(item.path))
    ]  # fmt: skip
    head = ("PATH", "MODEL", "SWITCHES", "BRIDGES", "KERNELS", "TABLES", "PASSES", "HEADER BYTES")
    return Grid("What the paths are made of, there and back", head, tuple(rows))


def conditions_grid(result: Result) -> Grid:
    conditions = result.conditions
    subjects = conditions.subjects
    facts: Sequence[tuple[str, str]] = (
        ("measured", f"{result.started}, {result.rounds} rounds, {result.seconds} s each, subjects by turns"),
        (
            "before a stream",
            f"{_each({item.subject: str(item.settling) for item in subjects})} s of the same, not counted",
        ),
        *_plain_bridges(subjects),
        ("datapath", _each({item.subject: item.datapath for item in subjects})),
        ("kernel", f"{conditions.kernel}, {conditions.processors} processors"),
        ("Open vSwitch", conditions.openvswitch),
        ("load", f"{conditions.load:.2f} at the start, {conditions.steal:g} % stolen"),
        ("wire MTU", _each({item.subject: str(item.wire_mtu) for item in subjects})),
        ("client MTU", _each({item.subject: str(item.client_mtu) for item in subjects})),
        ("offloads", _each({item.subject: "on" if item.offloads else "off" for item in subjects})),
        ("congestion control", _each({item.subject: item.congestion for item in subjects})),
        ("tools", ", ".join(text for name, text in conditions.tools if name != "ovs-vswitchd")),
    )
    return Grid("Conditions", ("", ""), tuple(facts), words=True)


def _plain_bridges(subjects: Sequence[SubjectConditions]) -> Iterator[tuple[str, str]]:
    if plain := [item for item in subjects if item.subject.startswith(PLAIN)]:
        tags = "with the VLAN tag of the model's frame there" if plain[0].retags else "without tags"
        yield "plain bridges", f"a rule for each receiver and port, {tags}"


def _each(by_subject: dict[str, str]) -> str:
    """``1500``, or ``1450 (tunnel), 1500 (vpc, eni)`` when they differ."""
    groups: dict[str, list[str]] = {}
    for subject, text in by_subject.items():
        groups.setdefault(text, []).append(subject)
    if len(groups) == 1:
        return next(iter(groups))
    return ", ".join(f"{text} ({', '.join(who)})" for text, who in groups.items())


def compare_grid(rows: Sequence[Row]) -> Grid:
    texts = [
        (str(row.cell), _plain_or_ratio(row.old, row), _plain_or_ratio(row.new, row), f"x{row.factor:.2f}", row.change)
        for row in rows
    ]
    return Grid("Before and now: ratios to each run's own raw pair", ("CELL", "BEFORE", "NOW", "FACTOR", ""),
                tuple(texts))  # fmt: skip


def _plain_or_ratio(found: Quantity, row: Row) -> str:
    if row.cell.subject == RAW:
        return say(found, row.figure)
    return f"{_short(found.median)}{_spread(found)}"
