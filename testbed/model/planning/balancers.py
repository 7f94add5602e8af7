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

from testbed.model.cloud import ElbClass, LoadBalancer
from testbed.model.desired import FabricLoadBalancer, Listener, Member, NetworkModel, Protocol
from testbed.model.kubernetes import KubeServicePort, Service
from testbed.model.lab import Lab
from testbed.model.planning.allocator import Allocator, ExhaustedError
from testbed.model.planning.endpoints import endpoints_of_port
from testbed.model.planning.faults import PlanFault
from testbed.model.planning.names import eni_mac
from testbed.model.planning.nodes import MAX_ENIS
from testbed.model.planning.observed import Observed
from testbed.model.planning.resolved import PlannedHost, PlannedNode
from testbed.model.planning.services import PlannedService

ELB_CLASS = "kubernetes.io/elb.class"
ELB_ID = "kubernetes.io/elb.id"
ELB_AUTOCREATE = "kubernetes.io/elb.autocreate"
ELB_ALGORITHM = "kubernetes.io/elb.lb-algorithm"
ELB_AFFINITY = "kubernetes.io/elb.session-affinity-mode"
ELB_AFFINITY_OPTION = "kubernetes.io/elb.session-affinity-option"
ELB_HEALTH = "kubernetes.io/elb.health-check-flag"
ELB_HEALTH_OPTION = "kubernetes.io/elb.health-check-option"
ELB_PASS_THROUGH = "kubernetes.io/elb.pass-through"  # noqa: S105 - an annotation's name
ELB_TRANSPARENT = ("kubernetes.io/elb.enable-transparent-client-ip", "kubernetes.io/elb.transparent-client-ip")

DNAT_CLASS = "dnat"

SHARED_SOURCES = IPv4Network("100.125.0.0/16")
"""Where members of a shared balancer see their clients come from, unless the client's address is handed on."""

_ALGORITHMS = {"ROUND_ROBIN": "round-robin", "LEAST_CONNECTIONS": "least-connections", "SOURCE_IP": "source-ip"}
_CLASSES = {"performance": ElbClass.DEDICATED, "union": ElbClass.SHARED}
_DEFAULT_STICKY_MINUTES = 20


@dataclass(frozen=True, slots=True)
class PlannedBalancer:
    """A load balancer with its addresses. ``host`` is its network namespace, ``public`` that it wants an EIP."""

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
    balancer: LoadBalancer
    public: bool = False
    services: tuple[str, ...] = ()  # keys cluster/namespace/name


def plan_balancers(lab: Lab, allocator: Allocator, faults: list[PlanFault]) -> tuple[PlannedBalancer, ...]:
    """The lab's own LoadBalancer objects and those that Services and Ingresses have made for them."""
    subnets = {subnet.name: subnet for subnet in lab.subnets}
    planned = []
    for wanted, public, services in _wanted(lab):
        owner = f"LoadBalancer/{wanted.name}"
        try:
            address = allocator.address(subnets[wanted.subnet], owner)
            eni = allocator.number("eni", owner, 1, MAX_ENIS)
            # Its listeners track connections in a zone of their own, so their number is one of the ENIs' numbers.
            number = allocator.number("eni", f"{owner}/listeners", 1, MAX_ENIS)
            shared = allocator.number("balancer", owner, 1, 4000)
        except ExhaustedError as error:
            faults.append(PlanFault(wanted.source, owner, str(error), "a larger subnet", "P101"))
            continue
        planned.append(
            PlannedBalancer(
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
                balancer=wanted,
                public=public,
                services=services,
            )
        )
    return tuple(planned)


def as_hosts(balancers: Sequence[PlannedBalancer]) -> tuple[PlannedHost, ...]:
    """The balancers as hosts of their subnets: where their layer-7 proxy runs and their health checks come from."""
    return tuple(
        PlannedHost(
            name=balancer.host,
            owner=balancer.owner,
            address=balancer.address,
            eni=balancer.eni,
            mac=balancer.mac,
            containers=(),
            source=balancer.balancer.source,
            vpc=balancer.vpc,
            subnet=balancer.subnet,
            filtered=False,
            balancer=True,
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


def balancer_name(service: Service) -> str | None:
    """The balancer that serves ``service``; None when none does (not a LoadBalancer Service, or DNAT)."""
    annotations = dict(service.annotations)
    if service.type != "LoadBalancer" or annotations.get(ELB_CLASS) == DNAT_CLASS:
        return None
    if ELB_ID in annotations:
        return annotations[ELB_ID]
    return _autocreate(service).get("name") or f"elb-{service.namespace}-{service.name}"


def _wanted(lab: Lab) -> Iterator[tuple[LoadBalancer, bool, tuple[str, ...]]]:
    users: dict[str, list[Service]] = {}
    for service in lab.services:
        name = balancer_name(service)
        if name is not None:
            users.setdefault(name, []).append(service)
    for balancer in lab.load_balancers:
        yield balancer, False, _keys(users.pop(balancer.name, []))
    clusters = {cluster.name: cluster for cluster in lab.clusters}
    for name, services in users.items():
        first = services[0]
        cluster = clusters[first.cluster]
        elb_class = _CLASSES.get(dict(first.annotations).get(ELB_CLASS, ""), ElbClass.SHARED)
        made = LoadBalancer(name, cluster.vpc, cluster.node_subnet, first.source, elb_class, first.load_balancer_ip)
        yield made, _autocreate(first).get("type") == "public", _keys(services)


def _keys(services: Sequence[Service]) -> tuple[str, ...]:
    return tuple(f"{service.cluster}/{service.namespace}/{service.name}" for service in services)


def _autocreate(service: Service) -> dict[str, str]:
    try:
        options = json.loads(dict(service.annotations).get(ELB_AUTOCREATE, "{}"))
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in options.items()} if isinstance(options, dict) else {}


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """What a balancer asks of one member, from its own network namespace ``host``.

    A member is down after ``retries`` failures in a row, one each ``interval`` seconds, each waited for ``timeout``
    seconds; it is up again after as many successes. Default values as in CCE: TCP, 5 s, 10 s, 3.
    """

    member: str  # the text of Observed.dead_members
    host: str
    protocol: Protocol
    address: IPv4Address
    port: int
    interval: float = 5.0
    timeout: float = 10.0
    retries: int = 3


def plan_health_checks(
    lab: Lab,
    balancers: Sequence[PlannedBalancer],
    services: Sequence[PlannedService],
    nodes: Sequence[PlannedNode],
) -> tuple[HealthCheck, ...]:
    """One check for every member of every listener, dead ones too, unless the Service turns checks off."""
    models = {cluster.name: cluster.model for cluster in lab.clusters}
    by_key = {f"{planned.service.cluster}/{planned.key}": planned for planned in services}
    checks: dict[str, HealthCheck] = {}
    for balancer in balancers:
        for planned in (by_key[key] for key in balancer.services):
            annotations = dict(planned.service.annotations)
            if annotations.get(ELB_HEALTH) == "off":
                continue
            direct = takes_pods(balancer, models[planned.service.cluster])
            mine = [node for node in nodes if node.cluster == planned.service.cluster]
            for protocol, member in _every_member(planned, direct, mine):
                key = _member_key(balancer, member)
                check = HealthCheck(key, balancer.host, protocol, member.address, member.port)
                checks[key] = _with_options(check, annotations)
    return tuple(checks.values())


def _every_member(
    planned: PlannedService, direct: bool, nodes: Sequence[PlannedNode]
) -> Iterator[tuple[Protocol, Member]]:
    for port, node_port in zip(planned.service.ports, planned.node_ports, strict=True):
        for member in _pod_members(planned, port) if direct else _node_members(planned, port, node_port, nodes):
            yield Protocol(port.protocol.lower()), member


def _with_options(check: HealthCheck, annotations: dict[str, str]) -> HealthCheck:
    """``kubernetes.io/elb.health-check-option``: delay, timeout and max_retries as JSON texts or numbers."""
    try:
        options = json.loads(annotations.get(ELB_HEALTH_OPTION, "{}"))
        return replace(
            check,
            interval=float(options.get("delay", check.interval)),
            timeout=float(options.get("timeout", check.timeout)),
            retries=int(options.get("max_retries", check.retries)),
        )
    except (ValueError, AttributeError, TypeError):
        return check


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
        members = _pod_members(planned, port) if direct else _node_members(planned, port, node_port, nodes)
        alive = [member for member in members if _member_key(balancer, member) not in observed.dead_members]
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


def _member_key(balancer: PlannedBalancer, member: Member) -> str:
    return f"{balancer.name}/{member.address}:{member.port}"


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
