"""Connections that a switch has given an endpoint and that the two have not opened yet."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from ipaddress import IPv4Address

from testbed.emulation.conntrack import DUMP, parse_entry
from testbed.emulation.control import ask_switches
from testbed.emulation.rundir import RunDir

_LIMIT = 5.0
_HALF_OPEN = ("state=SYN_SENT", "state=SYN_RECV")
"""Looked for before a line is read: a switch may track ten thousand connections, and few are being opened."""


def count_opening(rundir: RunDir, namespaces: Iterable[str], endpoints: Collection[IPv4Address]) -> int:
    """How many there are with ``endpoints`` in the switches of ``namespaces``, by their connection tracking."""
    return sum(
        entry.answered.source in endpoints
        for text in ask_switches(rundir, namespaces, DUMP, _LIMIT)
        for line in text.splitlines()
        if any(state in line for state in _HALF_OPEN) and (entry := parse_entry(line))
    )
