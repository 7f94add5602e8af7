"""What a switch's connection tracking says: one line of ``ovs-appctl dpctl/dump-conntrack`` for each connection."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address

DUMP = "dpctl/dump-conntrack"

_LINE = re.compile(r"^(?P<protocol>\w+),orig=\((?P<orig>[^)]*)\),reply=\((?P<reply>[^)]*)\)(?P<rest>.*)$")
_REST = re.compile(r"(zone|mark|state)=(\w+)")


@dataclass(frozen=True, slots=True)
class Side:
    """Who sends to whom; an echo's ports are its identifier and 0."""

    source: IPv4Address
    destination: IPv4Address
    source_port: int = 0
    destination_port: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """``sent`` as its opener sends, ``answered`` as its answers come; ``state`` is TCP's ("" for others)."""

    protocol: str
    zone: int
    sent: Side
    answered: Side
    state: str = ""
    mark: int = 0


def parse_entry(line: str) -> Entry | None:
    """None for a line that is none of a connection."""
    found = _LINE.match(line)
    if found is None:
        return None
    rest = dict(_REST.findall(found["rest"]))
    sent, answered = parse_side(found["orig"].split(",")), parse_side(found["reply"].split(","))
    zone, mark = int(rest.get("zone", "0")), int(rest.get("mark", "0"), 0)
    return Entry(found["protocol"], zone, sent, answered, rest.get("state", ""), mark)


def parse_side(fields: Iterable[str]) -> Side:
    """From ``src=``, ``dst=``, ``sport=`` ..., in any order, as the kernel's own ``conntrack`` has them too."""
    values = dict(field.partition("=")[::2] for field in fields)
    source_port = int(values.get("sport", values.get("id", "0")))
    destination_port = int(values.get("dport", "0"))
    return Side(IPv4Address(values["src"]), IPv4Address(values["dst"]), source_port, destination_port)
