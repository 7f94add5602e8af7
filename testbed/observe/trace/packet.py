"""The packet that a trace follows, as a value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

BROADCAST = "ff:ff:ff:ff:ff:ff"
NO_MAC = "00:00:00:00:00:00"
TUNNEL_PORT = 4789

ECHO_REQUEST, ECHO_REPLY, UNREACHABLE = 8, 0, 3
PORT_UNREACHABLE = 3
ARP_REQUEST, ARP_REPLY = 1, 2

Tuple = tuple[str, IPv4Address, int, IPv4Address, int]
"""Protocol, source, source port, destination, destination port; an echo's ports are its identifier."""


@dataclass(frozen=True, slots=True)
class Tunnel:
    """The header around a packet: VXLAN between two nodes."""

    source: IPv4Address
    destination: IPv4Address
    vni: int


@dataclass(frozen=True, slots=True)
class Packet:
    """``protocol`` is ``tcp``, ``udp``, ``icmp`` or ``arp``. ``flags`` are TCP's as Open vSwitch writes them (``syn``).

    An ICMP echo has its identifier in both ports. ``about``: the packet that an ICMP error tells of. For ARP,
    ``source`` and ``destination`` are the sender's and the target's address, ``icmp_type`` is the operation.
    ``tunnel`` is the header that a packet came or goes with; ``inner`` is what a VXLAN packet on the wire carries.
    """

    protocol: str
    source: IPv4Address
    destination: IPv4Address
    source_port: int = 0
    destination_port: int = 0
    eth_src: str = NO_MAC
    eth_dst: str = NO_MAC
    vlan: int | None = None
    ttl: int = 64
    flags: str = ""
    icmp_type: int = 0
    icmp_code: int = 0
    arp_sha: str = NO_MAC
    arp_tha: str = NO_MAC
    about: Packet | None = None
    tunnel: Tunnel | None = None
    inner: Packet | None = None

    @property
    def is_arp(self) -> bool:
        return self.protocol == "arp"

    @property
    def is_error(self) -> bool:
        return self.about is not None

    @property
    def key(self) -> Tuple:
        return (self.protocol, self.source, self.source_port, self.destination, self.destination_port)

    @property
    def opens(self) -> bool:
        """Whether a connection may begin with it: conntrack calls answers to nothing invalid."""
        if self.protocol == "tcp":
            return self.flags == "syn"
        return self.protocol != "icmp" or self.icmp_type == ECHO_REQUEST

    @property
    def refuses(self) -> bool:
        return self.is_error or "rst" in self.flags

    def __str__(self) -> str:
        if self.is_arp:
            ask = self.icmp_type == ARP_REQUEST
            return f"ARP who has {self.destination}" if ask else f"ARP {self.source} is at {self.arp_sha}"
        ports = (f":{self.source_port}", f":{self.destination_port}") if self.protocol in ("tcp", "udp") else ("", "")
        text = f"{self.source}{ports[0]} > {self.destination}{ports[1]} {self.kind}"
        return f"{self.source} > {self.destination} VXLAN [ {self.inner} ]" if self.inner else text

    @property
    def kind(self) -> str:
        """``TCP syn``, ``ICMP echo``, ``UDP``."""
        if self.protocol == "icmp":
            names = {ECHO_REQUEST: "echo", ECHO_REPLY: "echo reply", UNREACHABLE: "unreachable"}
            return f"ICMP {names.get(self.icmp_type, f'type {self.icmp_type}')}"
        return f"{self.protocol.upper()} {self.flags}".rstrip()

    def answer(self) -> Packet:
        """What a host that is willing sends back."""
        back = replace(
            self,
            source=self.destination,
            destination=self.source,
            source_port=self.destination_port,
            destination_port=self.source_port,
            ttl=64,
            vlan=None,
            tunnel=None,
        )
        if self.protocol == "icmp":
            return replace(back, icmp_type=ECHO_REPLY)
        return replace(back, flags="syn|ack") if self.protocol == "tcp" else back

    def refusal(self, sender: IPv4Address | None = None) -> Packet:
        """What says no: a reset to TCP, else an ICMP error by ``sender`` (default: the destination)."""
        if self.protocol == "tcp":
            return replace(self.answer(), flags="rst|ack")
        return Packet(
            "icmp",
            sender or self.destination,
            self.source,
            icmp_type=UNREACHABLE,
            icmp_code=PORT_UNREACHABLE,
            about=replace(self, tunnel=None, vlan=None),
        )

    def header(self) -> str:
        """As ``ofproto/trace`` reads it, without the port that it comes in by."""
        return ",".join(self._fields())

    def _fields(self) -> Iterator[str]:
        if self.tunnel is not None:
            yield f"tun_id={self.tunnel.vni:#x},tun_src={self.tunnel.source},tun_dst={self.tunnel.destination}"
        yield self.protocol
        yield f"dl_src={self.eth_src},dl_dst={self.eth_dst}"
        if self.vlan is not None:
            yield f"dl_vlan={self.vlan}"
        if self.is_arp:
            yield f"arp_op={self.icmp_type},arp_spa={self.source},arp_tpa={self.destination}"
            yield f"arp_sha={self.arp_sha},arp_tha={self.arp_tha}"
            return
        yield f"nw_src={self.source},nw_dst={self.destination},nw_ttl={self.ttl}"
        if self.protocol == "icmp":
            yield f"icmp_type={self.icmp_type},icmp_code={self.icmp_code}"
        else:
            yield f"{self.protocol}_src={self.source_port},{self.protocol}_dst={self.destination_port}"
        if self.protocol == "tcp":
            yield f"tcp_flags={self.flags}"


def ask_arp(mac: str, source: IPv4Address, target: IPv4Address) -> Packet:
    return Packet(
        "arp", source, target, eth_src=mac, eth_dst=BROADCAST, icmp_type=ARP_REQUEST, arp_sha=mac, arp_tha=NO_MAC
    )


def answer_arp(question: Packet, mac: str) -> Packet:
    return Packet(
        "arp",
        question.destination,
        question.source,
        eth_src=mac,
        eth_dst=question.eth_src,
        icmp_type=ARP_REPLY,
        arp_sha=mac,
        arp_tha=question.arp_sha,
    )


def changes(before: Packet, after: Packet) -> tuple[str, ...]:
    """What happened to the headers, in words: ``destination 10.247.0.9:80 -> 172.16.0.3:8080``."""
    found = []
    for name, old, new in (
        ("source", _end(before, True), _end(after, True)),
        ("destination", _end(before, False), _end(after, False)),
        ("time to live", str(before.ttl), str(after.ttl)),
        ("VLAN", _text(before.vlan), _text(after.vlan)),
        ("from MAC", before.eth_src, after.eth_src),
        ("to MAC", before.eth_dst, after.eth_dst),
    ):
        if old != new:
            found.append(f"{name} {old} -> {new}")
    if after.tunnel and after.tunnel != before.tunnel:
        tunnel = after.tunnel
        found.append(f"VXLAN {tunnel.source} -> {tunnel.destination} VNI {tunnel.vni} put around it")
    elif before.tunnel and not after.tunnel:
        found.append("VXLAN taken off")
    return tuple(found)


def _end(packet: Packet, source: bool) -> str:
    address = packet.source if source else packet.destination
    port = packet.source_port if source else packet.destination_port
    return f"{address}:{port}" if packet.protocol in ("tcp", "udp") else str(address)


def _text(vlan: int | None) -> str:
    return "none" if vlan is None else str(vlan)
