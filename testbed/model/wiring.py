"""What has to exist on the machine for a lab, said without a word about how it is made.

The realiser (``testbed.emulation``) needs to know namespaces, veth pairs, addresses, routes, Open vSwitch
bridges and firewall rulesets, and nothing of clouds or clusters. Everything here is a value with an identity
(``key``), so that *wanted*, *found* and *change* are three values and applying twice does nothing.

Every object carries ``owner``: the object of the user's that asked for it (``Pod/default/web-0``,
``Node/n1``), so that a line of a live dump leads back to the user's YAML.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network


class NamespaceKind(StrEnum):
    FABRIC = "fabric"
    NODE = "node"
    POD = "pod"
    SERVER = "server"
    INTERNET = "internet"
    LOAD_BALANCER = "load-balancer"


@dataclass(frozen=True, slots=True)
class Namespace:
    """One network namespace, which is one Mininet host of the lab.

    ``name`` is what the user types (``web-0``, ``n1``, ``fabric``), unique in the lab, and the Mininet name.
    ``sysctls`` are written inside the namespace before any device is made (``net.ipv4.ip_forward`` -> ``1``).
    """

    name: str
    kind: NamespaceKind
    owner: str
    sysctls: tuple[tuple[str, str], ...] = ()
    nameserver: IPv4Address | None = None
    search: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One end of a veth pair: where it is born, what it is called (at most 15 bytes), its MAC."""

    namespace: str
    interface: str
    mac: str


@dataclass(frozen=True, slots=True)
class Veth:
    """A veth pair. Both ends are born in their namespaces and are never moved."""

    a: Endpoint
    b: Endpoint
    mtu: int
    owner: str

    @property
    def key(self) -> tuple[str, str]:
        return (self.a.namespace, self.a.interface)


@dataclass(frozen=True, slots=True)
class Address:
    namespace: str
    interface: str
    address: IPv4Interface
    owner: str

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.namespace, self.interface, str(self.address))


@dataclass(frozen=True, slots=True)
class Route:
    """``ip route add destination [via gateway] dev interface [src source]`` inside ``namespace``."""

    namespace: str
    destination: IPv4Network
    interface: str
    owner: str
    gateway: IPv4Address | None = None
    source: IPv4Address | None = None

    @property
    def key(self) -> tuple[str, str]:
        return (self.namespace, str(self.destination))


class PortKind(StrEnum):
    SYSTEM = "system"  # an existing device, an end of a Veth
    PATCH = "patch"  # options: peer
    VXLAN = "vxlan"  # options: remote_ip=flow, key=flow, ...


@dataclass(frozen=True, slots=True)
class Port:
    """A port of a bridge. ``number`` is requested and pinned (``ofport_request``), so flows can name it early."""

    interface: str
    number: int
    kind: PortKind
    owner: str
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Bridge:
    """An Open vSwitch bridge, ``fail_mode=secure``.

    ``controller`` names the Ryu process that programs it (``fabric`` or ``cluster``); ``mac`` is the address of
    its local port, which is a device called like the bridge; ``mtu`` is the local port's.
    ``tables`` are the names that dumps show, position = table id. ``by_prefix``: what the datapath caches tells
    addresses apart by as few bits as do, a mask for each number of bits; without it by all bits that flows match.
    """

    name: str
    datapath_id: int
    controller: str
    mac: str
    mtu: int
    ports: tuple[Port, ...]
    owner: str
    tables: tuple[str, ...] = ()
    by_prefix: bool = True


@dataclass(frozen=True, slots=True)
class Switch:
    """One Open vSwitch of its own (database, daemon, sockets, logs) inside ``namespace``.

    ``brief_zones``: conntrack zones that forget a TCP connection soon after it was closed.
    """

    namespace: str
    bridges: tuple[Bridge, ...]
    owner: str
    brief_zones: tuple[int, ...] = ()

    @property
    def key(self) -> str:
        return self.namespace


@dataclass(frozen=True, slots=True)
class Firewall:
    """The nftables ruleset of one namespace: whole tables, in ``nft -f`` syntax, replaced in one transaction."""

    namespace: str
    ruleset: str
    owner: str

    @property
    def key(self) -> str:
        return self.namespace


@dataclass(frozen=True, slots=True)
class TunnelNeighbour:
    """What a userspace Open vSwitch must know to send its first VXLAN packet without losing it to ARP."""

    namespace: str
    bridge: str
    address: IPv4Address
    mac: str

    @property
    def key(self) -> tuple[str, str]:
        return (self.namespace, str(self.address))


@dataclass(frozen=True, slots=True)
class Offload:
    """Transmit offloads switched off on a device, where the datapath can't carry them (``tx off``)."""

    namespace: str
    interface: str

    @property
    def key(self) -> tuple[str, str]:
        return (self.namespace, self.interface)


@dataclass(frozen=True, slots=True)
class Wiring:
    """Everything that has to exist, in the order in which it can be made."""

    namespaces: tuple[Namespace, ...] = ()
    veths: tuple[Veth, ...] = ()
    switches: tuple[Switch, ...] = ()
    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()
    firewalls: tuple[Firewall, ...] = ()
    tunnel_neighbours: tuple[TunnelNeighbour, ...] = ()
    offloads: tuple[Offload, ...] = field(default=())
