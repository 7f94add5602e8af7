"""One frame of ``lab watch``: is it well, what runs, which links are busy, what the last scenario found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from testbed.model.codec import to_plain
from testbed.observe.last_run import LastRun
from testbed.observe.rates import Rate
from testbed.observe.status_items import Column, age
from testbed.observe.status_summary import Health
from testbed.report.health import health_document, render_health
from testbed.report.text import render_table

MOST_LINKS = 12
BAR = 16
_UNITS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def render_frame(health: Health, rates: Sequence[Rate], last: LastRun | None) -> RenderableType:
    return Group(render_health(health), Text(), _links(rates), Text(), *_last(last))


def frame_document(health: Health, rates: Sequence[Rate], last: LastRun | None) -> dict[str, Any]:
    return {"health": health_document(health), "links": to_plain(tuple(rates)), "lastRun": to_plain(last)}


def human_rate(value: float) -> str:
    """Bits a second as ``1.2M``; ``-`` for none."""
    for size, unit in _UNITS:
        if value >= size:
            return f"{value / size:.1f}{unit}"
    return f"{value:.0f}" if value >= 1 else "-"


def _links(rates: Sequence[Rate]) -> RenderableType:
    busy = [rate for rate in rates if rate.busy >= 1]
    if not busy:
        return Text(f"{len(rates)} links, nothing goes over them now", style="dim")
    most = busy[0].busy
    columns = (
        Column("LINK"),
        Column("IN bit/s", right=True),
        Column("OUT bit/s", right=True),
        Column("PACKETS/s", right=True),
        Column(""),
    )
    rows = [
        (
            f"{rate.host}/{rate.device}",
            human_rate(rate.bits_in),
            human_rate(rate.bits_out),
            f"{rate.packets_in + rate.packets_out:.0f}",
            "█" * max(1, round(BAR * rate.busy / most)),
        )
        for rate in busy[:MOST_LINKS]
    ]
    more = len(busy) - len(rows)
    end = f"{f'{more} more are busy, ' if more else ''}{len(rates) - len(busy)} links are idle"
    return Group(render_table(columns, rows), Text(end, style="dim"))


def _last(last: LastRun | None) -> Iterator[Text]:
    if last is None:
        yield Text("no scenario has run yet; lab run --list shows them", style="dim")
        return
    yield Text(f"last scenario, {age(last.at)} ago", style="bold")
    for name, held, checks, failed in last.reports:
        style = "bold red" if failed or not checks else "green"
        yield Text(f"  {name}: {held} of {checks} checks held", style=style)
        for title in failed[:5]:
            yield Text(f"    not: {title}", style="red")
