"""Connection tracking of the fake switch: zones, original and reply direction, translation, mark and label.

As in the kernel, a connection is ``new`` until a packet of the other direction was seen. Ports are kept when free, the
first free one of the range is taken otherwise. No time-outs, no TCP states, no ICMP errors.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address

from controllers.openflow import fields as f
from controllers.openflow import flows as a

NEW, EST, REPLY, INVALID, TRACKED, SNAT, DNAT = 1, 2, 8, 16, 32, 64, 128

_PORTS = {f.TCP: (f.TCP_SRC, f.TCP_DST), f.UDP: (f.UDP_SRC, f.UDP_DST)}

Fields = dict[f.Field, int]


@dataclass(frozen=True, slots=True)
class Tuple5:
    """One direction of a connection."""

    protocol: int
    source: int
    target: int
    source_port: int
    target_port: int

    def reversed(self) -> Tuple5:
        return Tuple5(self.protocol, self.target, self.source, self.target_port, self.source_port)


@dataclass(slots=True)
class Connection:
    """``original`` as the first packet came; ``reply`` as the other side answers, after translation."""

    original: Tuple5
    reply: Tuple5
    mark: int = 0
    label: int = 0
    replied: bool = False

    @property
    def translation(self) -> int:
        """Which of SNAT and DNAT the connection has."""
        back = self.reply.reversed()
        source = (back.source, back.source_port) != (self.original.source, self.original.source_port)
        target = (back.target, back.target_port) != (self.original.target, self.original.target_port)
        return (SNAT if source else 0) | (DNAT if target else 0)


@dataclass(slots=True)
class Tracker:
    """All zones of one switch."""

    zones: dict[int, list[Connection]] = field(default_factory=dict)

    def find(self, zone: int, wanted: Tuple5) -> tuple[Connection, bool] | None:
        """(connection, whether the packet is of the reply direction)."""
        for each in self.zones.get(zone, []):
            if each.original == wanted:
                return each, False
            if each.reply == wanted:
                return each, True
        return None

    def forget(self, zone: int, connection: Connection) -> None:
        self.zones[zone].remove(connection)

    def commit(self, zone: int, original: Tuple5, nat: a.Snat | a.Dnat | a.Nat | None) -> Connection:
        reply = self._translated(zone, original, nat).reversed()
        connection = Connection(original, reply)
        self.zones.setdefault(zone, []).append(connection)
        return connection

    def _translated(self, zone: int, original: Tuple5, nat: a.Snat | a.Dnat | a.Nat | None) -> Tuple5:
        """The original direction as it leaves. Raises ValueError when every port of the range is in use."""
        if nat is None or isinstance(nat, a.Nat):
            return original
        source = isinstance(nat, a.Snat)
        own = original.source_port if source else original.target_port
        for address in _addresses(nat):
            for port in _candidates(nat, own, source):
                made = (
                    Tuple5(original.protocol, address, original.target, port, original.target_port)
                    if source
                    else Tuple5(original.protocol, original.source, address, original.source_port, port)
                )
                if self.find(zone, made.reversed()) is None:
                    return made
        raise ValueError(f"every address and port of {nat} is in use")


def _addresses(nat: a.Snat | a.Dnat) -> range:
    last = nat.first if nat.last is None else nat.last
    return range(int(IPv4Address(nat.first)), int(IPv4Address(last)) + 1)


def _candidates(nat: a.Snat | a.Dnat, own: int, source: bool) -> list[int]:
    if nat.ports is None:
        return [own, *range(1024, 2048)] if source else [own]
    first, last = nat.ports
    inside = [own] if first <= own <= last else []
    return [*inside, *range(first, last + 1)]


def tuple_of(packet: Fields) -> Tuple5 | None:
    """The packet's connection; None when it isn't IPv4."""
    if packet.get(f.ETH_TYPE) != f.IPV4:
        return None
    protocol = packet.get(f.IP_PROTO, 0)
    source_port, target_port = (packet.get(each, 0) for each in _PORTS.get(protocol, (f.PKT_MARK, f.PKT_MARK)))
    if protocol not in _PORTS:
        source_port = target_port = 0
    return Tuple5(protocol, packet[f.IPV4_SRC], packet[f.IPV4_DST], source_port, target_port)


def write_tuple(packet: Fields, wanted: Tuple5) -> None:
    """Give the packet the addresses and ports of a direction."""
    packet[f.IPV4_SRC], packet[f.IPV4_DST] = wanted.source, wanted.target
    if wanted.protocol in _PORTS:
        source_port, target_port = _PORTS[wanted.protocol]
        packet[source_port], packet[target_port] = wanted.source_port, wanted.target_port


def track(tracker: Tracker, zone: int, packet: Fields, ct: a.Ct) -> Connection | None:
    """Send a packet through a zone: look up, commit, translate in place. Sets the packet's ``ct_*`` fields.

    Returns its connection, None when it has none.
    """
    wanted = tuple_of(packet)
    if wanted is None:
        packet[f.CT_STATE] = TRACKED | INVALID
        return None
    found = tracker.find(zone, wanted)
    if found is not None and found[1] and ct.commit and ct.force:
        tracker.forget(zone, found[0])
        found = None
    if found is None:
        connection, reply = (tracker.commit(zone, wanted, ct.nat) if ct.commit else None), False
    else:
        connection, reply = found
    state = _state(connection, reply)
    if connection is not None and ct.nat is not None and connection.translation:
        write_tuple(packet, connection.original.reversed() if reply else connection.reply.reversed())
        state |= connection.translation
    _write_state(packet, zone, state, connection, wanted)
    return connection


def _state(connection: Connection | None, reply: bool) -> int:
    if connection is None:
        return TRACKED | NEW
    connection.replied = connection.replied or reply
    return TRACKED | (EST if connection.replied else NEW) | (REPLY if reply else 0)


def _write_state(packet: Fields, zone: int, state: int, connection: Connection | None, wanted: Tuple5) -> None:
    original = connection.original if connection is not None else wanted
    packet[f.CT_STATE], packet[f.CT_ZONE] = state, zone
    packet[f.CT_MARK] = connection.mark if connection is not None else 0
    packet[f.CT_LABEL] = connection.label if connection is not None else 0
    packet[f.CT_NW_PROTO], packet[f.CT_NW_SRC], packet[f.CT_NW_DST] = (
        original.protocol,
        original.source,
        original.target,
    )
    packet[f.CT_TP_SRC], packet[f.CT_TP_DST] = original.source_port, original.target_port
