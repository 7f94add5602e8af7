"""Packets for judging programs: a mapping from field to number, made and shown with the fields' names.

``tcp("10.0.0.1", "10.0.0.2", 80)`` is the first packet of a connection; ``packet.reply()`` what the other side answers.
"""

from __future__ import annotations

from dataclasses import dataclass

from controllers.openflow import fields as f
from controllers.openflow.render import render_value

SOURCE_PORT = 40000
_SWAPS = (
    (f.ETH_SRC, f.ETH_DST),
    (f.IPV4_SRC, f.IPV4_DST),
    (f.TCP_SRC, f.TCP_DST),
    (f.UDP_SRC, f.UDP_DST),
)
ECHO, ECHO_REPLY = 8, 0


@dataclass(frozen=True, slots=True)
class Packet:
    """Header fields and their numbers; what isn't listed, the packet doesn't have."""

    fields: dict[f.Field, int]

    def get(self, name: str) -> str | None:
        """A field as text (``packet.get("ipv4_dst")``), None when the packet doesn't have it."""
        field = f.FIELDS[name]
        value = self.fields.get(field)
        return None if value is None else render_value(field, value, field.full)

    def but(self, **changes: f.Value) -> Packet:
        """The packet with other values for some fields."""
        return Packet({**self.fields, **_read(changes)})

    def reply(self) -> Packet:
        """What the receiver sends back: addresses and ports swapped, echo request answered, fresh TTL."""
        fields = dict(self.fields)
        for one, other in _SWAPS:
            if one in fields:
                fields[one], fields[other] = self.fields[other], self.fields[one]
        if fields.get(f.ICMPV4_TYPE) == ECHO:
            fields[f.ICMPV4_TYPE] = ECHO_REPLY
        if f.IP_TTL in fields:
            fields[f.IP_TTL] = 64
        return Packet(fields)

    def __repr__(self) -> str:
        shown = sorted(self.fields.items(), key=lambda item: item[0].order)
        return f"Packet({', '.join(f'{field.name}={self.get(field.name)}' for field, _ in shown)})"


def packet(**values: f.Value) -> Packet:
    """Any packet, by field names. Raises FieldError for a value that doesn't fit."""
    return Packet(_read(values))


def _read(values: dict[str, f.Value]) -> dict[f.Field, int]:
    return {f.FIELDS[name]: f.read_value(f.FIELDS[name], value)[0] for name, value in values.items()}


def _ip(source: f.Value, target: f.Value, protocol: int, more: dict[str, f.Value]) -> Packet:
    given: dict[str, f.Value] = {
        "eth_src": "02:00:00:00:00:01",
        "eth_dst": "02:00:00:00:00:02",
        "eth_type": f.IPV4,
        "vlan_vid": 0,
        "ipv4_src": source,
        "ipv4_dst": target,
        "ip_proto": protocol,
        "ip_ttl": 64,
        "ip_dscp": 0,
        "ip_frag": 0,
    }
    return packet(**given | more)


def tcp(source: f.Value, target: f.Value, port: int, source_port: int = SOURCE_PORT, **more: f.Value) -> Packet:
    """A TCP packet from ``source`` to ``target``:``port``; ``more`` overrides fields (``eth_dst=...``)."""
    return _ip(source, target, f.TCP, {"tcp_src": source_port, "tcp_dst": port, "tcp_flags": 2, **more})


def udp(source: f.Value, target: f.Value, port: int, source_port: int = SOURCE_PORT, **more: f.Value) -> Packet:
    return _ip(source, target, f.UDP, {"udp_src": source_port, "udp_dst": port, **more})


def ping(source: f.Value, target: f.Value, **more: f.Value) -> Packet:
    """An ICMP echo request."""
    return _ip(source, target, f.ICMP, {"icmpv4_type": ECHO, "icmpv4_code": 0, **more})


def arp_request(mac: str, address: f.Value, asked: f.Value, **more: f.Value) -> Packet:
    """``mac`` with ``address`` asks everybody who has ``asked``."""
    given: dict[str, f.Value] = {
        "eth_src": mac,
        "eth_dst": "ff:ff:ff:ff:ff:ff",
        "eth_type": f.ARP,
        "vlan_vid": 0,
        "arp_op": 1,
        "arp_sha": mac,
        "arp_spa": address,
        "arp_tha": 0,
        "arp_tpa": asked,
    }
    return packet(**given | more)
