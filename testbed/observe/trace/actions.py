"""Datapath actions: what the switch does to a packet in the end, read and carried out on the packet of a trace."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from testbed.observe.trace.packet import TUNNEL_PORT, Packet, Tunnel


@dataclass(frozen=True, slots=True)
class Action:
    """``name(argument)``; an output to datapath port 4 is ``Action("output", "4")``."""

    name: str
    argument: str = ""


def read_actions(text: str) -> tuple[Action, ...]:
    """``set(ipv4(ttl=63)),ct(zone=4),recirc(0x2)`` -> three actions."""
    return tuple(_read(part) for part in split(text) if part not in ("", "drop"))


def _read(part: str) -> Action:
    if part.isdigit():
        return Action("output", part)
    name, bracket, rest = part.partition("(")
    return Action(name, rest[:-1] if bracket else "")


def split(text: str) -> Iterator[str]:
    """The parts between commas that are outside of brackets."""
    depth, start = 0, 0
    for index, sign in enumerate(text):
        if sign == "(":
            depth += 1
        elif sign == ")":
            depth -= 1
        elif sign == "," and depth == 0:
            yield text[start:index].strip()
            start = index + 1
    yield text[start:].strip()


@dataclass(frozen=True, slots=True)
class Conntrack:
    """``ct(...)``. ``nat``: None without translation, "" for the connection's own, else where to (``dst=10.0.0.1``)."""

    zone: int
    commit: bool
    nat: str | None
    mark: int
    mark_mask: int


def read_conntrack(argument: str) -> Conntrack:
    zone, commit, nat, mark, mask = 0, False, None, 0, 0
    for part in split(argument):
        name, _, value = part.partition("=")
        if part == "commit" or part == "force_commit":
            commit = True
        elif name == "zone":
            zone = int(value, 0)
        elif name == "mark":
            low, _, bits = value.partition("/")
            mark, mask = int(low, 0), int(bits, 0) if bits else 0xFFFFFFFF
        elif part == "nat":
            nat = ""
        elif part.startswith("nat("):
            nat = part[4:-1]
    return Conntrack(zone, commit, nat, mark, mask)


def apply_set(packet: Packet, argument: str) -> Packet:
    """``set(...)``: a header rewritten; unknown ones leave the packet as it is."""
    header = _read(argument)
    values = dict(part.partition("=")[::2] for part in split(header.argument))
    values = {name: value.partition("/")[0] for name, value in values.items()}
    match header.name:
        case "eth":
            return replace(packet, eth_src=values.get("src", packet.eth_src), eth_dst=values.get("dst", packet.eth_dst))
        case "ipv4":
            return _set_ip(packet, values)
        case "tcp" | "udp":
            return replace(
                packet,
                source_port=int(values.get("src", packet.source_port)),
                destination_port=int(values.get("dst", packet.destination_port)),
            )
        case "icmp":
            return replace(
                packet,
                icmp_type=int(values.get("type", packet.icmp_type)),
                icmp_code=int(values.get("code", packet.icmp_code)),
            )
        case "arp":
            return _set_arp(packet, values)
        case "tunnel":
            tunnel = Tunnel(
                IPv4Address(values.get("src", "0.0.0.0")),
                IPv4Address(values.get("dst", "0.0.0.0")),
                int(values.get("tun_id", "0"), 0),
            )
            return replace(packet, tunnel=tunnel)
    return packet


def _set_ip(packet: Packet, values: dict[str, str]) -> Packet:
    return replace(
        packet,
        source=IPv4Address(values.get("src", packet.source)),
        destination=IPv4Address(values.get("dst", packet.destination)),
        ttl=int(values.get("ttl", packet.ttl)),
    )


def _set_arp(packet: Packet, values: dict[str, str]) -> Packet:
    return replace(
        packet,
        source=IPv4Address(values.get("sip", packet.source)),
        destination=IPv4Address(values.get("tip", packet.destination)),
        icmp_type=int(values.get("op", packet.icmp_type)),
        arp_sha=values.get("sha", packet.arp_sha),
        arp_tha=values.get("tha", packet.arp_tha),
    )


_PUSH = re.compile(
    r"eth\(dst=(?P<eth_dst>[0-9a-f:]+),src=(?P<eth_src>[0-9a-f:]+).*"
    r"ipv4\(src=(?P<src>[\d.]+),dst=(?P<dst>[\d.]+).*ttl=(?P<ttl>\d+).*vni=(?P<vni>0x[0-9a-f]+)"
)


def push_tunnel(packet: Packet, argument: str) -> Packet:
    """``tnl_push(...)``: the packet with its tunnel noted; ``outer`` makes the packet that goes on the wire of it.

    The MACs become the outer ones. Raises ``ValueError`` for a tunnel that is not VXLAN.
    """
    found = _PUSH.search(argument)
    if found is None:
        raise ValueError(f"not a VXLAN header: {argument}")
    tunnel = Tunnel(IPv4Address(found["src"]), IPv4Address(found["dst"]), int(found["vni"], 0))
    return replace(packet, tunnel=tunnel)


def outer(packet: Packet, argument: str = "") -> Packet:
    """The UDP packet around a tunnelled one. Its source port is a hash that nothing in the lab looks at."""
    assert packet.tunnel is not None
    found = _PUSH.search(argument)
    return Packet(
        "udp",
        packet.tunnel.source,
        packet.tunnel.destination,
        0xC000,
        TUNNEL_PORT,
        eth_src=found["eth_src"] if found else packet.eth_src,
        eth_dst=found["eth_dst"] if found else packet.eth_dst,
        inner=packet,
    )
