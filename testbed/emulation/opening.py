"""Connections that a switch has given an endpoint and that the two have not opened yet."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from ipaddress import IPv4Address

from testbed.emulation.control import ask_switches
from testbed.emulation.rundir import RunDir

_LIMIT = 5.0
_HALF_OPEN = re.compile(r"^tcp,.*?reply=\(src=([0-9.]+),.*state=SYN_(?:SENT|RECV)", re.MULTILINE)


def count_opening(rundir: RunDir, namespaces: Iterable[str], endpoints: Collection[IPv4Address]) -> int:
    """How many there are with ``endpoints`` in the switches of ``namespaces``, by their connection tracking."""
    return sum(
        IPv4Address(found[1]) in endpoints
        for text in ask_switches(rundir, namespaces, "dpctl/dump-conntrack", _LIMIT)
        for found in _HALF_OPEN.finditer(text)
    )
