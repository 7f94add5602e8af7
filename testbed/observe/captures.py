"""Frames seen at named places of the lab while something happens: the proof of which way a packet went.

A capture is a packet socket in each place's namespace, opened before the traffic starts, so nothing is missed while
a program starts up. Frames are decoded with Scapy, VXLAN included.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from testbed.observe.sniffing import Place, open_sniffer, read_all

__all__ = ["VXLAN_PORT", "Capture", "Frame", "Place", "capturing", "decode"]

VXLAN_PORT = 4789


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. ``inner`` is the frame inside VXLAN, None for others; addresses and ports are of this level.

    ``info``: what kind it is of its protocol: TCP's flags (``SA``), ICMP's type (``echo-request``), ARP's operation.
    """

    place: str
    at: float
    source: str
    destination: str
    protocol: str
    source_port: int = 0
    destination_port: int = 0
    vni: int | None = None
    vlan: int | None = None
    ttl: int = 0
    length: int = 0
    inner: Frame | None = None
    info: str = ""

    def __str__(self) -> str:
        ports = f":{self.source_port}", f":{self.destination_port}"
        start, end = ports if self.source_port else ("", "")
        tag = f" vlan {self.vlan}" if self.vlan is not None else ""
        text = f"{self.place}{tag}: {self.source}{start} > {self.destination}{end} {self.protocol}"
        if self.inner is not None:
            inner = str(self.inner).partition(": ")[2]
            return f"{text} VXLAN vni {self.vni} [ {inner} ]"
        return text

    @property
    def flattened(self) -> tuple[Frame, ...]:
        return (self, *(self.inner.flattened if self.inner else ()))


@dataclass(slots=True)
class Capture:
    """Filled when the ``capturing`` block ends; ``frames`` are in the order of arrival, all places together."""

    frames: list[Frame] = field(default_factory=list)
    raw: list[tuple[Place, float, bytes]] = field(default_factory=list)

    def at(self, place: str) -> list[Frame]:
        return [frame for frame in self.frames if frame.place == place]

    def where(self, condition: Callable[[Frame], bool]) -> list[Frame]:
        return [frame for frame in self.frames if condition(frame)]

    @property
    def encapsulated(self) -> list[Frame]:
        return [frame for frame in self.frames if frame.inner is not None]

    def between(self, one: str, other: str) -> list[Frame]:
        """Frames whose outermost addresses are ``one`` and ``other``, in either direction."""
        return self.where(lambda frame: {frame.source, frame.destination} == {one, other})


@contextmanager
def capturing(places: Sequence[Place], settle: float = 0.05) -> Iterator[Capture]:
    """Capture at ``places`` while the block runs, and ``settle`` seconds longer for what is still on its way.

    ``settle`` is a bound on in-flight frames on one machine, not a wait for an event.
    """
    capture = Capture()
    with ExitStack() as stack:
        sockets = [(place, stack.enter_context(open_sniffer(place))) for place in places]
        yield capture
        end = time.monotonic() + settle
        while _drain(sockets, capture) or time.monotonic() < end:
            time.sleep(0.005)
    capture.raw.sort(key=lambda item: item[1])
    capture.frames = [frame for place, at, data in capture.raw if (frame := decode(place.name, at, data))]


def _drain(sockets: Sequence[tuple[Place, socket.socket]], capture: Capture) -> int:
    found = [(one.place, one.at, one.data) for place, sniffer in sockets for one in read_all(place, sniffer)]
    capture.raw += found
    return len(found)


def decode(place: str, at: float, data: bytes) -> Frame | None:
    """The frame's addresses and ports as a value; None for what is neither IPv4 nor ARP."""
    # These bind IP to Ethernet and VXLAN to UDP: without them the first frame would stay bytes.
    import scapy.layers.inet
    import scapy.layers.vxlan  # noqa: F401
    from scapy.layers.l2 import Ether

    return _decode(place, at, Ether(data))


def _decode(place: str, at: float, packet: Any) -> Frame | None:
    from scapy.layers.inet import ICMP, IP, TCP, UDP
    from scapy.layers.l2 import ARP, Dot1Q
    from scapy.layers.vxlan import VXLAN

    vlan = int(packet[Dot1Q].vlan) if packet.haslayer(Dot1Q) else None
    if packet.haslayer(ARP):
        arp = packet[ARP]
        info = {1: "who-has", 2: "is-at"}.get(arp.op, "")
        return Frame(place, at, str(arp.psrc), str(arp.pdst), "ARP", vlan=vlan, length=len(packet), info=info)
    if not packet.haslayer(IP):
        return None
    ip = packet[IP]
    values: dict[str, Any] = {"vlan": vlan, "ttl": int(ip.ttl), "length": int(ip.len or 0)}
    if isinstance(ip.payload, (TCP, UDP)):
        values |= {"source_port": int(ip.payload.sport), "destination_port": int(ip.payload.dport)}
    if isinstance(ip.payload, TCP):
        values["info"] = str(ip.payload.flags)
    elif isinstance(ip.payload, ICMP):
        values["info"] = ip.payload.sprintf("%ICMP.type%")
    kinds = {TCP: "TCP", UDP: "UDP", ICMP: "ICMP"}
    protocol = kinds.get(type(ip.payload), f"IP protocol {ip.proto}")
    if isinstance(ip.payload, UDP) and ip.payload.dport == VXLAN_PORT and ip.haslayer(VXLAN):
        tunnel = ip[VXLAN]
        values |= {"vni": int(tunnel.vni), "inner": _decode(place, at, tunnel.payload)}
    return Frame(place, at, str(ip.src), str(ip.dst), protocol, **values)
