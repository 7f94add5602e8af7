"""The desired state that the two controllers get: one JSON document each, with a generation number.

The documents hold resolved facts only (addresses, MACs, port numbers, ids); every choice was made by planning.
``owner`` fields name the user's object (``Pod/default/web-0``) and reach each flow, so a dump can be read back.

Ids are small integers that fit registers: networks and route tables 1-4095, ENIs 1-65535, load balancers 4096-64999
(a network's id is also its conntrack zone, and so is a balancer's), NAT gateways 1-500; network id 0 is the internet.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import TypeVar

from testbed.model.codec import from_plain
from testbed.model.document import read_document

INTERNET = 0
"""Id of the network in which internet hosts live and where elastic IPs are addresses."""


class Direction(StrEnum):
    INGRESS = "ingress"
    EGRESS = "egress"


class Protocol(StrEnum):
    TCP = "tcp"
    UDP = "udp"
    ICMP = "icmp"
    ALL = "all"


# --- the cloud: what the fabric controller programs ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Network:
    """A VPC (id >= 1) or the internet (id 0, no CIDRs)."""

    id: int
    name: str
    cidrs: tuple[IPv4Network, ...]
    owner: str


@dataclass(frozen=True, slots=True)
class FabricSubnet:
    name: str
    network: int
    cidr: IPv4Network
    gateway: IPv4Address
    route_table: int
    owner: str


class NextHop(StrEnum):
    ENI = "eni"  # target: an ENI id (a node's block, a forwarding server)
    PEERING = "peering"  # target: a peering id
    NAT_GATEWAY = "nat-gateway"  # target: a NAT gateway id


@dataclass(frozen=True, slots=True)
class FabricRoute:
    destination: IPv4Network
    kind: NextHop
    target: int
    owner: str


@dataclass(frozen=True, slots=True)
class FabricRouteTable:
    """Custom routes only; system routes (the VPC's own subnets) are implied and win over peering routes."""

    id: int
    name: str
    network: int
    routes: tuple[FabricRoute, ...]
    owner: str


@dataclass(frozen=True, slots=True)
class SecurityRule:
    """One allow rule. ``ports`` are (first, last), None = all. Remote: ``cidr``, or members of ``group``, or any."""

    direction: Direction
    protocol: Protocol
    owner: str
    ports: tuple[int, int] | None = None
    cidr: IPv4Network | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True)
class FabricSecurityGroup:
    """``name`` is unique in the document (``<vpc>/<group>``)."""

    name: str
    network: int
    rules: tuple[SecurityRule, ...]
    owner: str


@dataclass(frozen=True, slots=True)
class Eni:
    """An elastic network interface: a port of the fabric, or (port, VLAN) for a sub-ENI.

    ``security_groups`` is aggregated (union of rules); an empty tuple with ``filtered`` means nothing is allowed
    in or out, ``filtered=False`` (internet hosts, load balancers) means no security group applies.
    ``source_dest_check`` on: only packets from/to ``address`` pass; off: the ENI may forward for others, and send for
    the addresses of ``sends_for`` (a node's container blocks, a shared balancer's second address), or for anybody's
    when that is empty.
    ``internet hosts`` are ENIs of network 0 without a subnet.
    """

    id: int
    name: str
    network: int
    address: IPv4Address
    mac: str
    port: int
    owner: str
    subnet: str | None = None
    vlan: int | None = None
    security_groups: tuple[str, ...] = ()
    filtered: bool = True
    source_dest_check: bool = True
    sends_for: tuple[IPv4Network, ...] = ()


@dataclass(frozen=True, slots=True)
class Peering:
    id: int
    name: str
    a: int
    b: int
    owner: str


@dataclass(frozen=True, slots=True)
class EipBinding:
    """A public address translated one to one with ``eni`` (a load balancer's EIP is bound to the balancer)."""

    address: IPv4Address
    eni: int
    owner: str


@dataclass(frozen=True, slots=True)
class SnatRule:
    cidr: IPv4Network
    eip: IPv4Address
    owner: str


@dataclass(frozen=True, slots=True)
class DnatRule:
    eip: IPv4Address
    protocol: Protocol
    port: int
    target: IPv4Address
    target_port: int
    owner: str


@dataclass(frozen=True, slots=True)
class NatGateway:
    id: int
    name: str
    network: int
    snat: tuple[SnatRule, ...]
    dnat: tuple[DnatRule, ...]
    owner: str


@dataclass(frozen=True, slots=True)
class Member:
    """A load balancer's backend: an address and port that the balancer's VPC can reach."""

    address: IPv4Address
    port: int
    owner: str
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Listener:
    """Layer-4 listener. ``members`` are healthy ones. ``keep_client`` False: members see ``snat_address``."""

    protocol: Protocol
    port: int
    members: tuple[Member, ...]
    owner: str
    algorithm: str = "round-robin"  # round-robin, least-connections, source-ip
    sticky_seconds: int = 0
    keep_client: bool = True
    source_ranges: tuple[IPv4Network, ...] = ()


@dataclass(frozen=True, slots=True)
class FabricLoadBalancer:
    """A layer-4 ELB served by the fabric itself: a virtual address of ``subnet``, and an EIP if it has one."""

    id: int
    name: str
    network: int
    subnet: str
    address: IPv4Address
    mac: str
    listeners: tuple[Listener, ...]
    owner: str
    eip: IPv4Address | None = None
    snat_address: IPv4Address | None = None
    eni: int | None = None  # ports without a listener here go to this ENI (the balancer's layer-7 proxy)


@dataclass(frozen=True, slots=True)
class FabricState:
    generation: int
    datapath_id: int
    networks: tuple[Network, ...]
    subnets: tuple[FabricSubnet, ...] = ()
    route_tables: tuple[FabricRouteTable, ...] = ()
    security_groups: tuple[FabricSecurityGroup, ...] = ()
    enis: tuple[Eni, ...] = ()
    peerings: tuple[Peering, ...] = ()
    eips: tuple[EipBinding, ...] = ()
    nat_gateways: tuple[NatGateway, ...] = ()
    load_balancers: tuple[FabricLoadBalancer, ...] = ()


# --- the clusters: what the cluster controller programs -----------------------------------------------------


class NetworkModel(StrEnum):
    TUNNEL = "tunnel"
    VPC = "vpc"
    ENI = "eni"


@dataclass(frozen=True, slots=True)
class PodPort:
    """A pod's attachment to its node's br-int. ``vlan`` is its sub-ENI on the carrier (``eni`` model).

    ``exclusive``: the pod's own ENI goes to the fabric; this port (and ``mac``) carries the Service range only.
    """

    namespace: str
    name: str
    address: IPv4Address
    mac: str
    port: int
    owner: str
    vlan: int | None = None
    exclusive: bool = False


@dataclass(frozen=True, slots=True)
class ClusterNode:
    """``mac`` is br-ex's (= the ENI's), ``int_mac`` is br-int's local port, ``gateway_mac`` the VPC gateway's.

    ``blocks`` are the container ranges that this node owns (``tunnel``: /28s, ``vpc``: one, ``eni``: none).
    """

    name: str
    index: int
    address: IPv4Address
    mac: str
    int_mac: str
    gateway_mac: str
    ex_datapath_id: int
    int_datapath_id: int
    owner: str
    blocks: tuple[IPv4Network, ...] = ()
    pods: tuple[PodPort, ...] = ()
    carrier: bool = False


@dataclass(frozen=True, slots=True)
class ServiceEndpoint:
    """``ready``: takes new connections. ``serving``: still answers while terminating. ``node``: its node's name."""

    address: IPv4Address
    port: int
    node: str | None
    owner: str
    ready: bool = True
    serving: bool = True
    host_network: bool = False


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of a Service with everything that decides about it."""

    service: str  # namespace/name
    name: str
    protocol: Protocol
    port: int
    endpoints: tuple[ServiceEndpoint, ...]
    owner: str
    cluster_ip: IPv4Address | None = None
    node_port: int | None = None
    external_addresses: tuple[IPv4Address, ...] = ()  # load balancer addresses short-circuited on the node
    external_from_pods: bool = True  # False: only the node's own traffic is short-circuited
    external_local: bool = False
    internal_local: bool = False
    affinity_seconds: int = 0
    source_ranges: tuple[IPv4Network, ...] = ()
    bound: bool = False  # kube-proxy's IPVS mode: the Service's addresses are the node's own, whole


@dataclass(frozen=True, slots=True)
class ClusterState:
    """One cluster. ``local_networks`` are destinations that pods reach with their own address (vpc model)."""

    name: str
    model: NetworkModel
    vni: int
    nodes: tuple[ClusterNode, ...]
    owner: str
    container_cidr: IPv4Network | None = None
    service_cidr: IPv4Network | None = None
    non_masquerade: tuple[IPv4Network, ...] = ()
    services: tuple[ServicePort, ...] = ()


@dataclass(frozen=True, slots=True)
class ClustersState:
    generation: int
    clusters: tuple[ClusterState, ...]


State = TypeVar("State", FabricState, ClustersState)


def load_state(kind: type[State], path: Path) -> State:
    """The document at ``path``. Raises ``OSError``, ``ValueError``, ``KeyError`` or ``TypeError`` if unreadable."""
    return from_plain(kind, read_document(path.read_text(encoding="utf-8")))


# --- constants that both sides of a wire must agree on -------------------------------------------------------

GATEWAY_MAC = "fa:16:3e:00:00:01"
"""MAC of every VPC subnet's gateway; the prefix is the one that ENIs of the real cloud carry."""

POD_GATEWAY_MAC = "0a:58:a9:fe:01:01"
"""MAC that pods of ``tunnel`` and ``vpc`` see for everybody else: br-int answers their ARP with it."""

REFUSE_MAC = "0a:58:a9:fe:01:02"
"""Source MAC of packets that br-int gives to the node's kernel to refuse (a Service without endpoints)."""

VIRTUAL_RANGE = IPv4Network("169.254.64.0/29")
"""Addresses that exist between a node's kernel and br-int only; the kernel routes them to br-int."""

NODE_STAND_IN = VIRTUAL_RANGE[1]
"""Source of Service packets to the node's stack that would otherwise have the node's own address; the kernel turns it
into that once they are in."""

NODE_PORT_ADDRESS = VIRTUAL_RANGE[2]
"""Where the kernel sends the node's own connections to its NodePorts, which would else stay on its loopback."""

NODE_PORTS = (30000, 32767)
SERVICE_SOURCE_PORTS = (61440, 65535)
"""Source ports of Service connections that take the node's address: above the kernel's own (32768-60999)."""

HAIRPIN_SOURCE_PORTS = (64512, 65535)
"""Those of them that a pod sees which is its own endpoint."""

SERVICE_ZONE, DISGUISE_ZONE = 1, 2
"""br-int's conntrack zones: connections to Services, and those whose source becomes another address."""

UPLINK_PORT = 1  # br-ex: eth0, the node's primary ENI
CARRIER_PORT = 2  # br-ex: eth1, the carrier ENI of the sub-ENIs
PATCH_INT_PORT = 10  # br-ex: patch to br-int
PATCH_EX_PORT = 1  # br-int: patch to br-ex
TUNNEL_PORT = 2  # br-int: vxlan
FIRST_POD_PORT = 100  # br-int: pods
