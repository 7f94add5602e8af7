"""The cloud that a user asked for: VPCs and what is in them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network

from testbed.model.desired import Direction, NetworkModel, Protocol
from testbed.model.kubernetes import Container
from testbed.model.source import Source


@dataclass(frozen=True, slots=True)
class Vpc:
    name: str
    cidrs: tuple[IPv4Network, ...]
    source: Source


@dataclass(frozen=True, slots=True)
class Subnet:
    """``gateway`` is the first host address; .253-.255 (the last three) and .0 are reserved as in the real VPC."""

    name: str
    vpc: str
    cidr: IPv4Network
    source: Source
    route_table: str | None = None  # None: the VPC's default table

    @property
    def gateway(self) -> IPv4Address:
        return self.cidr[1]

    @property
    def reserved(self) -> tuple[IPv4Address, ...]:
        """The five addresses of a VPC subnet that nobody gets: network, gateway, and the last three."""
        return (self.cidr[0], self.cidr[1], self.cidr[-3], self.cidr[-2], self.cidr[-1])


class RouteTarget(StrEnum):
    SERVER = "server"
    NODE = "node"
    PEERING = "peering"
    NAT_GATEWAY = "natGateway"


@dataclass(frozen=True, slots=True)
class CloudRoute:
    destination: IPv4Network
    kind: RouteTarget
    target: str
    source: Source


@dataclass(frozen=True, slots=True)
class RouteTable:
    """``default`` marks the table of subnets that name none; a VPC without one gets an empty default table.

    ``deleted_node_routes`` are routes that the cluster wants here and somebody has deleted by hand.
    """

    name: str
    vpc: str
    routes: tuple[CloudRoute, ...]
    source: Source
    default: bool = False
    quota: int = 200
    deleted_node_routes: tuple[IPv4Network, ...] = ()


@dataclass(frozen=True, slots=True)
class SecurityGroupRule:
    direction: Direction
    protocol: Protocol
    source: Source
    ports: tuple[int, int] | None = None
    cidr: IPv4Network | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True)
class SecurityGroup:
    name: str
    vpc: str
    rules: tuple[SecurityGroupRule, ...]
    source: Source


@dataclass(frozen=True, slots=True)
class VpcPeering:
    name: str
    requester: str
    accepter: str
    source: Source


@dataclass(frozen=True, slots=True)
class NatSnatRule:
    """Source translation for one subnet (by name) or one CIDR."""

    eip: str
    source: Source
    subnet: str | None = None
    cidr: IPv4Network | None = None


@dataclass(frozen=True, slots=True)
class NatDnatRule:
    """``eip``:``port`` -> ``target`` (``Server/x`` or ``Node/n1``):``target_port``."""

    eip: str
    protocol: Protocol
    port: int
    target: str
    target_port: int
    source: Source


@dataclass(frozen=True, slots=True)
class CloudNatGateway:
    name: str
    vpc: str
    subnet: str
    source: Source
    snat_rules: tuple[NatSnatRule, ...] = ()
    dnat_rules: tuple[NatDnatRule, ...] = ()


@dataclass(frozen=True, slots=True)
class ElasticIp:
    """``bound_to``: ``Server/x``, ``Node/n1``, ``Pod/<namespace>/<name>``, ``LoadBalancer/x`` or None.

    ``address`` None: planning takes the next free one of the lab's public range.
    """

    name: str
    source: Source
    address: IPv4Address | None = None
    bound_to: str | None = None


class ElbClass(StrEnum):
    DEDICATED = "dedicated"
    SHARED = "shared"


@dataclass(frozen=True, slots=True)
class LoadBalancer:
    """An ELB that Services and Ingresses name by ``kubernetes.io/elb.id``."""

    name: str
    vpc: str
    subnet: str
    source: Source
    elb_class: ElbClass = ElbClass.DEDICATED
    address: IPv4Address | None = None
    eip: str | None = None
    advanced_forwarding: bool = False  # layer-7 rules in the order in which they were made


@dataclass(frozen=True, slots=True)
class Server:
    """A plain VM of the VPC. No containers: nothing runs in it but its stack."""

    name: str
    subnet: str
    source: Source
    address: IPv4Address | None = None
    security_groups: tuple[str, ...] = ()  # empty: the VPC's default group (all from itself, all outbound)
    containers: tuple[Container, ...] = ()
    source_dest_check: bool = True


@dataclass(frozen=True, slots=True)
class InternetHost:
    name: str
    address: IPv4Address
    source: Source
    containers: tuple[Container, ...] = ()


@dataclass(frozen=True, slots=True)
class WarmPool:
    """Pre-binding of sub-ENIs (numbers of NICs), as documented for Cloud Native Network 2.0.

    ``cooldown``: seconds for which a NIC whose pod has left is not given back; a new pod may have it at once.
    """

    minimum: int = 10
    maximum: int = 0
    warm: int = 2
    above_warm: int = 2
    cooldown: float = 120.0


@dataclass(frozen=True, slots=True)
class NodePool:
    """``count`` nodes called ``<name>-<i>`` (or ``names``), i from 1. Quotas bound pods per node.

    ``sub_enis`` is the flavour's quota (eni model, virtual machines), ``enis`` that of ``bare_metal`` ones.
    """

    name: str
    source: Source
    count: int = 1
    names: tuple[str, ...] = ()
    subnet: str | None = None  # None: the cluster's node subnet
    max_pods: int = 110
    bare_metal: bool = False
    sub_enis: int = 16
    enis: int = 8
    labels: tuple[tuple[str, str], ...] = ()
    security_groups: tuple[str, ...] = ()  # extra groups of the nodes
    pod_security_groups: tuple[str, ...] = ()  # eni model: default groups of the pool's pods
    warm_pool: WarmPool = WarmPool()  # eni model, virtual machines

    @property
    def node_names(self) -> tuple[str, ...]:
        return self.names or tuple(f"{self.name}-{i}" for i in range(1, self.count + 1))


@dataclass(frozen=True, slots=True)
class Cluster:
    name: str
    vpc: str
    model: NetworkModel
    node_subnet: str
    service_cidr: IPv4Network
    pools: tuple[NodePool, ...]
    source: Source
    masters: int = 0
    container_cidr: IPv4Network | None = None  # tunnel, vpc
    pod_subnets: tuple[str, ...] = ()  # eni
    fix_pool_mask: int = 25  # vpc: prefix length of a node's block, 24-28
    non_masquerade_cidrs: tuple[IPv4Network, ...] = (
        IPv4Network("10.0.0.0/8"),
        IPv4Network("172.16.0.0/12"),
        IPv4Network("192.168.0.0/16"),
    )
    underlay_mtu: int = 1500
    node_security_groups: tuple[str, ...] = ()  # replaces the generated worker group when given
    eni_security_groups: tuple[str, ...] = ()  # replaces the generated default ENI group when given
    kube_proxy_mode: str = "iptables"
    dns: bool = False  # whether the lab runs cluster DNS in it
