"""Tracked connections as a table and as a document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address
from typing import Any

from rich.table import Table

from testbed.emulation.conntrack import Side
from testbed.observe.status_items import Column
from testbed.observe.tracked import TrackedConnection
from testbed.report.text import render_table

_COLUMNS = (
    Column("ZONE", flexible=True),
    Column("PROTOCOL", flexible=True),
    Column("FROM", flexible=True),
    Column("TO", flexible=True),
    Column("TRANSLATED", flexible=True),
)
"""Few, for three addresses with their names and ports fill a line of 80."""

Names = Mapping[IPv4Address, str]


def render_tracked(connections: Sequence[TrackedConnection], names: Names) -> Table:
    return render_table(_COLUMNS, (_row(one, names) for one in connections))


def _row(one: TrackedConnection, names: Names) -> tuple[str, ...]:
    """``n1 service``, ``tcp ESTABLISHED``, ``web-0 172.16.0.2:40000``, ``svc/web 10.247.1.1:80``, ``to web-1 ...``."""
    source = _end(one.sent.source, one.sent.source_port, names)
    destination = _end(one.sent.destination, one.sent.destination_port, names)
    protocol = f"{one.protocol} {one.state}".strip()
    return (f"{one.where} {one.zone}", protocol, source, destination, _translated(one, names) or "-")


def _translated(one: TrackedConnection, names: Names) -> str:
    """``to web-0 172.16.0.2:8080``, ``from n1 192.168.0.2:61440``."""
    if one.translation is None:
        return ""
    sent, onward = one.translation
    parts = []
    if (sent.source, sent.source_port) != (onward.source, onward.source_port):
        parts.append(f"from {_end(onward.source, onward.source_port, names)}")
    if (sent.destination, sent.destination_port) != (onward.destination, onward.destination_port):
        parts.append(f"to {_end(onward.destination, onward.destination_port, names)}")
    return ", ".join(parts)


def _end(address: IPv4Address, port: int, names: Names) -> str:
    at = f"{address}:{port}" if port else str(address)
    return f"{names[address]} {at}" if address in names else at


def tracked_document(connections: Sequence[TrackedConnection], names: Names) -> list[dict[str, Any]]:
    return [
        {
            "where": one.where,
            "zone": one.zone,
            "protocol": one.protocol,
            "sent": _side(one.sent, names),
            "answered": _side(one.answered, names),
            "translated": one.translation is not None,
            "state": one.state or None,
            "mark": one.mark,
        }
        for one in connections
    ]


def _side(side: Side, names: Names) -> dict[str, Any]:
    return {
        "source": str(side.source),
        "sourcePort": side.source_port,
        "sourceName": names.get(side.source),
        "destination": str(side.destination),
        "destinationPort": side.destination_port,
        "destinationName": names.get(side.destination),
    }
