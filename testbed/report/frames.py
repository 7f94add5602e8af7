"""Captured frames for people: when, where, who to whom by name, VXLAN opened."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address

from rich.text import Text

from testbed.observe.captures import Frame

Names = Mapping[IPv4Address, str]


def render_frame(frame: Frame, names: Names, since: float, width: int, leaving: bool) -> Text:
    """``0.000104  n1/p100 < web-0 172.16.0.2:40000 > svc/web 10.247.1.1:80 TCP S``; ``<``: the device received it."""
    return Text.assemble(
        (f"{frame.at - since:9.6f}  ", "dim"),
        (f"{frame.place:<{width}}", "cyan"),
        (" > " if leaving else " < ", "dim"),
        describe_frame(frame, names),
    )


def describe_frame(frame: Frame, names: Names) -> str:
    source, destination = (
        _end(frame.source, frame.source_port, names),
        _end(frame.destination, frame.destination_port, names),
    )
    tag = f"vlan {frame.vlan} " if frame.vlan is not None else ""
    info = f" {frame.info}" if frame.info else ""
    text = f"{tag}{source} > {destination} {frame.protocol}{info}"
    if frame.inner is None:
        return text
    return f"{text} VXLAN vni {frame.vni} [ {describe_frame(frame.inner, names)} ]"


def _end(address: str, port: int, names: Names) -> str:
    name = names.get(IPv4Address(address))
    at = f"{address}:{port}" if port else address
    return f"{name} {at}" if name else at
