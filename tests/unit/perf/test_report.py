"""A result as text, Markdown and HTML."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from rich.console import Console
from rich.measure import Measurement
from rich.text import Text

from testbed.observe.status_items import Column
from testbed.perf.compare import compare
from testbed.perf.results import Cell, Measure, Path, Sample
from testbed.report.perf import render_markdown, render_perf
from testbed.report.perf_grids import figure_grid, measured, target_grid
from testbed.report.perf_html import render_html
from testbed.report.perf_live import LiveView
from testbed.report.perf_plots import plot_figure
from testbed.report.text import render_table
from tests.unit.perf.results import result

RESULT = result(
    {
        ("tunnel", Path.OTHER): [1.0, 1.1, 1.2],
        ("vpc", Path.OTHER): [2.0, 2.2, 2.4],
        ("plain-vpc", Path.OTHER): [2.0, 2.2, 2.4],
        ("vpc", Path.SAME): [12.0, 14.0, 20.0],
    },
    doubts=("it was noisy <here>",),
    left_out=(("ingress", "not served"),),
)


def text_of(width: int) -> str:
    console = Console(width=width, highlight=False)
    with console.capture() as captured:
        for part in render_perf(RESULT):
            console.print(part)
    return captured.get()


def test_cells() -> None:
    measure, figure = next(iter(measured(RESULT)))
    grid = figure_grid(RESULT, measure, figure)
    assert grid.title == "TCP, 1 stream: throughput, Gbit/s (raw veth pair: 10 ±0%)"
    assert grid.head == ("PATH", "TUNNEL", "VPC")
    assert grid.rows == (("same-node", "-", "14 ±29% x1.4 ~"), ("other-node", "1.1 ±9% x0.11", "2.2 ±9% x0.22"))


def test_an_error_shows_as_one() -> None:
    cell = Cell("vpc", Path.SAME, Measure.TCP_1)
    broken = result({("vpc", Path.OTHER): [1.0]})
    broken = type(broken)(**{**{name: getattr(broken, name) for name in broken.__slots__},
                             "samples": (*broken.samples, Sample(cell, 1, error="iperf3: refused"))})  # fmt: skip
    measure, figure = next(iter(measured(broken)))
    assert figure_grid(broken, measure, figure).rows[0] == ("same-node", "ERROR")
    assert "ERROR vpc same-node tcp-1, round 1: iperf3: refused" in render_markdown(broken)


def test_terminal() -> None:
    narrow = text_of(80)
    tables = [line for line in narrow.splitlines() if line.startswith(("other-node  ", "same-node  "))]
    assert tables
    assert all(len(line.rstrip()) <= 80 for line in tables)
    assert "doubtful: it was noisy" in narrow
    assert "left out: ingress, not served" in narrow
    assert "vpc other-node / plain bridges" in text_of(200)


def test_the_longest_target_fits_a_terminal_of_80() -> None:
    """And what is said in words has a line for each sentence."""
    slow = {("tunnel", Path.OTHER): [1.0, 1.4], ("tunnel", Path.BALANCER): [0.5, 0.9], ("vpc", Path.OTHER): [2.0, 3.0]}
    grid = target_grid(result(slow | {("plain-vpc", Path.OTHER): [2.0, 5.2]}))
    assert grid is not None
    longest = ("vpc other-node / plain bridges", *grid.rows[0][1:-1], "reached (CPU)")
    console = Console(width=80, highlight=False)
    table = render_table([Column(title) for title in grid.head], [*grid.rows, longest])
    assert Measurement.get(console, console.options, table).minimum <= 80
    said = [str(part) for part in render_perf(RESULT) if isinstance(part, Text)]
    assert " other-node, client pod to the far pod" in said
    assert any(line.startswith("  A packet and its answer enter ") for line in said)
    assert " 1 times" not in " ".join(said)


def test_markdown() -> None:
    text = render_markdown(RESULT, compare(RESULT, RESULT))
    assert "| other-node | 1.1 ±9% x0.11 | 2.2 ±9% x0.22 |" in text
    assert "## Before and now" in text


def test_plot_is_svg_with_every_bar() -> None:
    measure, figure = next(iter(measured(RESULT)))
    text = plot_figure(RESULT, measure, figure)
    ElementTree.fromstring(text)  # noqa: S314 - our own
    assert "other-node" in text
    assert "tunnel" in text
    assert "raw veth pair 10" in text
    assert text == plot_figure(RESULT, measure, figure)


def test_html_needs_nothing_else() -> None:
    text = render_html(RESULT, compare(RESULT, RESULT))
    assert text.count("<svg") == 2
    assert "it was noisy &lt;here&gt;" in text
    assert "<th>One TCP stream</th>" in text
    assert "<th>1/CPU</th>" in text
    outside = re.findall(r'(?:src|href)="(?!#)[^"]*"|@import|url\((?!#)', text)
    assert [each for each in outside if "xlink" not in each] == []


def test_live_view_says_what_came_out() -> None:
    view = LiveView()
    console = Console(width=80, highlight=False)
    view.note("round 1 of 3, vpc other-node tcp-1")
    for number, sample in enumerate(RESULT.samples, 1):
        view.sampled(sample, number, len(RESULT.samples))
    view.sampled(Sample(Cell("eni", Path.OTHER, Measure.TCP_1), 1, error="refused"), 15, 15)
    with console.capture() as captured:
        console.print(view)
    text = captured.get()
    assert "vpc other-node tcp-1" in text
    assert "2.2 ±9%" in text
    assert "ERROR" in text
