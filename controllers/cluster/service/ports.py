"""Matches on TCP and UDP ports, and port ranges as the masked matches that flows can say."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from controllers.openflow import Match, match
from controllers.openflow.fields import TCP, TCP_SRC, UDP, UDP_SRC, Target, Value
from testbed.model.desired import Protocol

PROTOCOLS = {Protocol.TCP: TCP, Protocol.UDP: UDP}
SOURCE_PORTS = {Protocol.TCP: TCP_SRC, Protocol.UDP: UDP_SRC}


def match_port(
    protocol: str, end: str, port: int | tuple[int, int], where: Mapping[Target, Value] | None = None, **more: Value
) -> Match:
    """``match_port("tcp", "dst", 80, ipv4_dst=address)``; a pair is (value, mask)."""
    return match(where, **{**more, f"{protocol}_{end}": port})


@cache
def port_masks(first: int, last: int) -> tuple[tuple[int, int], ...]:
    """(value, mask) of the fewest matches that cover ``first``..``last``: 61440..65535 is one, 0xf000/0xf000."""
    masks = []
    while first <= last:
        size = first & -first or 1 << 16
        while first + size - 1 > last:
            size >>= 1
        masks.append((first, 0x10000 - size))
        first += size
    return tuple(masks)
