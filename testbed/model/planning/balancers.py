"""Elastic load balancers: which there are, where they are, and what their layer-4 listeners forward to.

Source: CCE user guide, "LoadBalancer", with the annotations ``kubernetes.io/elb.*`` meaning what they mean there.
A dedicated balancer of a Cloud Native Network 2.0 cluster has the pods as members; every other one has the nodes,
by their node port.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network

from testbed.model.cloud import ElbClass, LoadBalancer, Subnet
from testbed.model.components import proxy_container
from testbed.model.desired import FabricLoadBalancer, Listener, Member, NetworkModel, Protocol
from testbed.model.kubernetes import KubeServicePort, Service
from testbed.model.lab import Lab
from testbed.model.planning.allocator import Allocator
from testbed.model.planning.elb import (
    ELB_AFFINITY,
    ELB_AFFINITY_OPTION,
    ELB_ALGORITHM,
    ELB_PASS_THROUGH,
    ELB_TRANSPARENT,
    WantedBalancer,
    wanted_balancers,
)
from testbed.model.planning.endpoints import endpoints_of_port
from testbed.model.planning.faults import PlanFault, told
from testbed.model.planning.names import eni_mac
from testbed.model.planning.observed import Observed
from testbed.model.planning.resolved import PlannedHost, PlannedNode
from testbed.model.planning.services import PlannedService

SHARED_SOURCES = IPv4Network("100.125.0.0/16")
"""Where members of a shared balancer see their clients come from, unless the client's address is handed on."""

_MOST = 4096
"""Shared balancers whose addresses of that range can be told apart."""

_ALGORITHMS = {"ROUND_ROBIN": "round-robin", "LEAST_CONNECTIONS": "least-connections", "SOURCE_IP": "source-ip"}
_DEFAULT_STICKY_MINUTES = 20


@dataclass(frozen=True, slots=True)
class PlannedBalancer:
    """A load balancer with its addresses. ``host`` is its network namespace, ``public`` that it wants an EIP.

    ``shared_address``: its clients, to members of a listener that hides them. ``proxy_address``: what its layer-7
    proxy and its health checks send with, where that is not ``address``.
    """

    name: str
    owner: str
    host: str
    vpc: str
    subnet: str
    elb_class: ElbClass
    address: IPv4Address
    eni: int
    mac: str
    number: int
    shared_address: IPv4Address
    proxy_address: IPv4Address | None
    balancer: LoadBalancer
    public: bool = False
    services: tuple[str, ...] = ()  # keys cluster/namespace/name
    ingresses: tuple[str, ...] = ()  # the same


def plan_balancers(lab: Lab, allocator: Allocator, faults: list[PlanFault]) -> tuple[PlannedBalancer, ...]:
    """The lab's own LoadBalancer objects and those that Services and Ingresses have made for them."""
    subnets = {subnet.name: subnet for subnet in lab.subnets}
    planned = []
    for order in wanted_balancers(lab):
        owner = f"LoadBalancer/{order.balancer.name}"
        with told(faults, order.balancer.source, owner, "a larger subnet"):
            planned.append(_plan_balancer(order, owner, subnets[order.balancer.subnet], allocator))
    return tuple(planned)


def _plan_balancer(order: WantedBalancer, owner: str, subnet: Subnet, allocator: Allocator) -> PlannedBalancer:
    wanted = order.balancer
    address, eni = allocator.address(subnet, owner), allocator.eni(owner)
    number = allocator.balancer(owner)
    shared = allocator.number("balancer", owner, 1, _MOST - 1)
    return PlannedBalancer(
        name=wanted.name,
        owner=owner,
        host=wanted.name,
        vpc=wanted.vpc,
        subnet=wanted.subnet,
        elb_class=wanted.elb_class,
        address=address,
        eni=eni,
        mac=eni_mac(eni),
        number=number,
        shared_address=SHARED_SOURCES[shared],
        proxy_address=SHARED_SOURCES[_MOST + shared] if wanted.elb_class is ElbClass.SHARED else None,
        balancer=wanted,
        public=order.public,
        services=order.services,
        ingresses=order.ingresses,
    )


def as_hosts(balancers: Sequence[PlannedBalancer]) -> tuple[PlannedHost, ...]:
    """The balancers as hosts of their subnets: where their layer-7 proxy runs and their health checks come from."""
    return tuple(
        PlannedHost(
            name=balancer.host,
            owner=balancer.owner,
            address=balancer.address,
            eni=balancer.eni,
            mac=balancer.mac,
            containers=(proxy_container(),) if balancer.ingresses else (),
            source=balancer.balancer.source,
            vpc=balancer.vpc,
            subnet=balancer.subnet,
            filtered=False,
            balancer=True,
            sends_as=balancer.proxy_address,
        )
        for balancer in balancers
    )


def plan_listeners(
    lab: Lab,
    balancers: Sequence[PlannedBalancer],
    services: Sequence[PlannedService],
    nodes: Sequence[PlannedNode],
    networks: dict[str, int],
    observed: Observed,
) -> tuple[FabricLoadBalancer, ...]:
    """What the fabric serves: each balancer with its layer-4 listeners."""
    models = {cluster.name: cluster.model for cluster in lab.clusters}
    by_key = {f"{planned.service.cluster}/{planned.key}": planned for planned in services}
    documents = []
    for balancer in balancers:
        listeners: list[Listener] = []
        for key in balancer.services:
            planned = by_key[key]
            direct = takes_pods(balancer, models[planned.service.cluster])
            mine = [node for node in nodes if node.cluster == planned.service.cluster]
            listeners.extend(_listeners(planned, balancer, direct, mine, observed))
        documents.append(
            FabricLoadBalancer(
                id=balancer.number,
                name=balancer.name,
                network=networks[balancer.vpc],
                subnet=balancer.subnet,
                address=balancer.address,
                mac=balancer.mac,
                listeners=tuple(listeners),
                owner=balancer.owner,
                snat_address=balancer.shared_address if balancer.elb_class is ElbClass.SHARED else None,
                eni=balancer.eni,
            )
        )
    return tuple(documents)


def takes_pods(balancer: PlannedBalancer, model: NetworkModel) -> bool:
    """Whether the members are pods; else they are nodes."""
    return balancer.elb_class is ElbClass.DEDICATED and model is NetworkModel.ENI


def short_circuit(service: Service, model: NetworkModel) -> tuple[bool, bool]:
    """Whether traffic of nodes and of pods to the balancer's address is served on the node, not by the balancer.

    The default is yes, for pods of Cloud Native Network 2.0 no. ``pass-through`` turns it off, and
    externalTrafficPolicy ``Local`` brings ``onlyLocal`` with it, which does so too.
    """
    annotations = dict(service.annotations)
    if annotations.get(ELB_PASS_THROUGH) in ("true", "onlyLocal") or service.external_traffic_policy == "Local":
        return False, False
    return True, model is not NetworkModel.ENI


def _listeners(
    planned: PlannedService,
    balancer: PlannedBalancer,
    direct: bool,
    nodes: Sequence[PlannedNode],
    observed: Observed,
) -> Iterator[Listener]:
    service = planned.service
    annotations = dict(service.annotations)
    transparent = any(annotations.get(name) == "true" for name in ELB_TRANSPARENT)
    for port, node_port in zip(service.ports, planned.node_ports, strict=True):
        members = members_of(planned, port, node_port, direct, nodes)
        alive = [member for member in members if member_key(balancer, member) not in observed.dead_members]
        yield Listener(
            protocol=Protocol(port.protocol.lower()),
            port=port.port,
            members=tuple(alive),
            owner=planned.owner,
            algorithm=_ALGORITHMS.get(annotations.get(ELB_ALGORITHM, ""), "round-robin"),
            sticky_seconds=_sticky_seconds(annotations),
            keep_client=balancer.elb_class is ElbClass.DEDICATED or transparent,
            source_ranges=service.source_ranges,
        )


def member_key(balancer: PlannedBalancer, member: Member) -> str:
    return f"{balancer.name}/{member.address}:{member.port}"


def members_of(
    planned: PlannedService, port: KubeServicePort, node_port: int | None, direct: bool, nodes: Sequence[PlannedNode]
) -> Iterator[Member]:
    """Ready pods where the balancer reaches them (``direct``), else its cluster's nodes at ``node_port``."""
    return _pod_members(planned, port) if direct else _node_members(planned, port, node_port, nodes)


def _pod_members(planned: PlannedService, port: KubeServicePort) -> Iterator[Member]:
    for endpoint in endpoints_of_port(planned.backends, port):
        if endpoint.ready:
            yield Member(endpoint.address, endpoint.port, endpoint.owner)


def _node_members(
    planned: PlannedService, port: KubeServicePort, node_port: int | None, nodes: Sequence[PlannedNode]
) -> Iterator[Member]:
    """Every node, or with ``Local`` those whose health check answers because they have a ready endpoint."""
    if node_port is None:
        return
    having = {endpoint.node for endpoint in endpoints_of_port(planned.backends, port) if endpoint.ready}
    for node in nodes:
        if planned.service.external_traffic_policy != "Local" or node.name in having:
            yield Member(node.address, node_port, node.owner)


def _sticky_seconds(annotations: dict[str, str]) -> int:
    if annotations.get(ELB_AFFINITY) != "SOURCE_IP":
        return 0
    try:
        option = json.loads(annotations.get(ELB_AFFINITY_OPTION, "{}"))
        return int(option.get("persistence_timeout", _DEFAULT_STICKY_MINUTES)) * 60
    except (ValueError, AttributeError):
        return _DEFAULT_STICKY_MINUTES * 60


def with_eips(documents: Sequence[FabricLoadBalancer], eips: dict[str, IPv4Address]) -> tuple[FabricLoadBalancer, ...]:
    """The same balancers with their elastic IPs; ``eips`` is by owner."""
    return tuple(replace(document, eip=eips.get(document.owner)) for document in documents)
