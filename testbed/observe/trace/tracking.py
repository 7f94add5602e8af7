"""Conntrack of every switch and every node's kernel, as far as one traced connection is concerned.

The switch says in its trace what it commits and where it translates to; this remembers it, so that the answer meets
the state and the translation that a real answer would meet. Nothing older is known: a trace is of a new connection.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address

from testbed.observe.trace.packet import Packet, Tuple

_TARGET = re.compile(r"^(?P<side>src|dst)=(?P<address>[\d.]+)(?:-[\d.]+)?(?::(?P<first>\d+)(?:-(?P<last>\d+))?)?")


@dataclass(slots=True)
class Entry:
    """A connection: as its opener sends, and as its answers come."""

    original: Tuple
    reply: Tuple
    translated: str = ""
    mark: int = 0
    answered: bool = False


@dataclass(frozen=True, slots=True)
class Tracked:
    """``state`` is as Open vSwitch writes it (``new|trk``)."""

    packet: Packet
    state: str
    mark: int

    @property
    def invalid(self) -> bool:
        return "inv" in self.state


@dataclass(slots=True)
class Connections:
    """By (where, zone): each switch and each kernel has its own."""

    entries: dict[tuple[str, int], list[Entry]] = field(default_factory=dict)

    def copy(self) -> Connections:
        return Connections({key: [replace(entry) for entry in entries] for key, entries in self.entries.items()})

    def track(self, where: str, zone: int, packet: Packet, translate: bool) -> Tracked:
        """``ct(zone=..)``: the state of the packet, and the packet translated as its connection is."""
        entry = self._find(where, zone, packet)
        if entry is None:
            known = packet.about is None and packet.opens
            return Tracked(packet, "new|trk" if known else "inv|trk", 0)
        if packet.about is not None:
            return self._related(entry, packet, translate)
        answer = packet.key == entry.reply and packet.key != entry.original
        entry.answered = entry.answered or answer
        # Both directions of an echo to oneself are one; the first packet of a connection is new wherever it is seen.
        words = ["est", "rpl"] if answer else ["est" if entry.answered else "new"]
        if translate and entry.translated:
            words.append("snat" if entry.translated == "src" else "dnat")
            packet = _turn(packet, _reverse(entry.original if answer else entry.reply))
        return Tracked(packet, "|".join((*words, "trk")), entry.mark)

    def commit(
        self, where: str, zone: int, packet: Packet, nat: str | None, mark: int = 0, mask: int = 0xFFFFFFFF
    ) -> Packet:
        """``ct(commit,zone=..,nat(..))``: remember it, translate it to what ``nat`` says, set its ``mark/mask``."""
        if packet.about is not None:
            return packet
        known = self._find(where, zone, packet)
        if known is not None:
            known.mark = (known.mark & ~mask) | (mark & mask)
            return packet
        translated, side = translate_to(packet, nat) if nat else (packet, "")
        entry = Entry(packet.key, _reverse(translated.key), side, mark)
        self.entries.setdefault((where, zone), []).append(entry)
        return translated

    def remember(self, where: str, zone: int, first: Packet, last: Packet) -> None:
        """A connection that a kernel translated from ``first`` to ``last``, by whatever rules."""
        if first.about is None and self._find(where, zone, first) is None:
            side = "" if first.key == last.key else "dst" if first.source == last.source else "src"
            self.entries.setdefault((where, zone), []).append(Entry(first.key, _reverse(last.key), side))

    def _related(self, entry: Entry, packet: Packet, translate: bool) -> Tracked:
        """An ICMP error: about what the opener sent (as it was after translation), or about an answer."""
        assert packet.about is not None
        to_opener = packet.about.key == _reverse(entry.reply)
        if translate and entry.translated:
            about = _turn(packet.about, entry.original if to_opener else _reverse(entry.original))
            source = about.destination if packet.source == packet.about.destination else packet.source
            packet = replace(packet, about=about, destination=about.source, source=source)
        return Tracked(packet, "rel|rpl|trk" if to_opener else "rel|trk", entry.mark)

    def _find(self, where: str, zone: int, packet: Packet) -> Entry | None:
        key = _reverse(packet.about.key) if packet.about else packet.key
        for entry in self.entries.get((where, zone), ()):
            if key in (entry.original, entry.reply):
                return entry
        return None


def translate_to(packet: Packet, nat: str) -> tuple[Packet, str]:
    """The packet with the address of ``src=198.51.100.8:1024-65535``, and which side that is.

    The port stays where it is in the range, as the kernel does it; Open vSwitch may choose another one.
    """
    found = _TARGET.match(nat)
    if found is None:
        return packet, ""
    address, side = IPv4Address(found["address"]), found["side"]
    old = packet.source_port if side == "src" else packet.destination_port
    port = old
    if found["first"] and packet.protocol in ("tcp", "udp"):
        first, last = int(found["first"]), int(found["last"] or found["first"])
        port = old if first <= old <= last else first
    if side == "src":
        return replace(packet, source=address, source_port=port), side
    return replace(packet, destination=address, destination_port=port), side


def _reverse(key: Tuple) -> Tuple:
    protocol, source, source_port, destination, destination_port = key
    return (protocol, destination, destination_port, source, source_port)


def _turn(packet: Packet, key: Tuple) -> Packet:
    _, source, source_port, destination, destination_port = key
    return replace(
        packet,
        source=source,
        source_port=source_port,
        destination=destination,
        destination_port=destination_port,
    )
