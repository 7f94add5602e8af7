"""Validated cloud documents to model objects. What only other documents can say is asked of ``Clouds``."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network

from testbed.model.cloud import (
    CloudNatGateway,
    CloudRoute,
    ElasticIp,
    ElbClass,
    InternetHost,
    LoadBalancer,
    NatDnatRule,
    NatSnatRule,
    RouteTable,
    RouteTarget,
    SecurityGroup,
    SecurityGroupRule,
    Server,
    Subnet,
    Vpc,
    VpcPeering,
)
from testbed.model.desired import Direction, Protocol
from testbed.model.kubernetes import Container
from testbed.model.source import Source
from testbed.spec.cloud.fields import Part
from testbed.spec.cloud.kinds import (
    CHOICES,
    ElasticIpSpec,
    InternetHostSpec,
    LoadBalancerSpec,
    NatGatewaySpec,
    RouteTableSpec,
    RuleSpec,
    SecurityGroupSpec,
    ServerSpec,
    SubnetSpec,
    VpcPeeringSpec,
    VpcSpec,
)
from testbed.spec.codes import Code
from testbed.spec.document import Cursor, Document
from testbed.spec.faults import show
from testbed.spec.kube.containers import check_containers, read_containers
from testbed.spec.kube.metadata import name_of

ANYWHERE = IPv4Network("0.0.0.0/0")

CloudObject = (
    Vpc
    | Subnet
    | RouteTable
    | SecurityGroup
    | VpcPeering
    | CloudNatGateway
    | ElasticIp
    | LoadBalancer
    | Server
    | InternetHost
)


@dataclass(slots=True)
class Clouds:
    """What conversion has to know of other documents: the VPC of each subnet."""

    subnet_vpcs: dict[str, str] = field(default_factory=dict)


def convert_cloud(document: Document, spec: Part, clouds: Clouds) -> CloudObject:  # noqa: C901 - one case a kind
    """The model object of any cloud kind but Cluster."""
    name, source = name_of(document), document.source
    match spec:
        case VpcSpec():
            return Vpc(name, (spec.cidr, *spec.secondary_cidrs), source)
        case SubnetSpec():
            clouds.subnet_vpcs[name] = spec.vpc
            return Subnet(name, spec.vpc, spec.cidr, source, spec.route_table)
        case RouteTableSpec():
            deleted = tuple(spec.deleted_node_routes)
            return RouteTable(name, spec.vpc, _routes(document, spec), source, spec.default, spec.quota, deleted)
        case SecurityGroupSpec():
            return SecurityGroup(name, spec.vpc, _rules(document, spec), source)
        case VpcPeeringSpec():
            return VpcPeering(name, spec.requester, spec.accepter, source)
        case NatGatewaySpec():
            return _nat_gateway(document, spec, clouds)
        case ElasticIpSpec():
            return ElasticIp(name, source, spec.address, _eip_target(document, spec))
        case LoadBalancerSpec():
            vpc, elb_class = clouds.subnet_vpcs.get(spec.subnet, ""), ElbClass(spec.elb_class)
            return LoadBalancer(
                name, vpc, spec.subnet, source, elb_class, spec.address, spec.eip, spec.advanced_forwarding
            )
        case ServerSpec():
            return _server(document, spec)
        case InternetHostSpec():
            return InternetHost(name, spec.address, source, _containers(document))
    raise TypeError(f"no conversion for {type(spec).__name__}")


def chosen(cursor: Cursor, path: tuple[str, ...]) -> str:
    """Which one of several exclusive fields is written; checking has made sure that one is."""
    return next(name for name in CHOICES[path] if cursor[name].present)


def _at(document: Document, cursor: Cursor) -> Source:
    return Source(document.file, document.position(cursor.path)[0])


def _routes(document: Document, spec: RouteTableSpec) -> tuple[CloudRoute, ...]:
    routes = []
    for cursor, route in zip(document.root["spec"]["routes"].items(), spec.routes, strict=True):
        kind = chosen(cursor["nextHop"], ("routes", "*", "nextHop"))
        target = cursor["nextHop"][kind].text_or("")
        routes.append(CloudRoute(route.destination, RouteTarget(kind), target, _at(document, cursor)))
    return tuple(routes)


def _rules(document: Document, spec: SecurityGroupSpec) -> tuple[SecurityGroupRule, ...]:
    rules: list[SecurityGroupRule] = []
    for direction, written in ((Direction.INGRESS, spec.ingress), (Direction.EGRESS, spec.egress)):
        cursors = document.root["spec"][direction.value].items()
        for cursor, rule in zip(cursors, written or (), strict=True):
            rules += _expand_rule(direction, rule, cursor)
    if spec.egress is None:
        rules.append(SecurityGroupRule(Direction.EGRESS, Protocol.ALL, document.source, cidr=ANYWHERE))
    return tuple(rules)


def _expand_rule(direction: Direction, rule: RuleSpec, cursor: Cursor) -> list[SecurityGroupRule]:
    """One rule of the model for each port range."""
    if rule.cidr is not None and rule.security_group is not None:
        why = "Forbidden: set together with cidr"
        cursor["securityGroup"].fault(Code.FIELD_FORBIDDEN, why, "write two rules")
    if rule.ports and rule.protocol not in ("tcp", "udp"):
        what = f"Forbidden: protocol {show(rule.protocol)} has no ports"
        cursor["ports"].fault(Code.FIELD_FORBIDDEN, what, "write protocol: tcp or udp, or leave the ports out")
    cidr = ANYWHERE if rule.cidr is None and rule.security_group is None else rule.cidr
    source = _at(cursor.document, cursor)
    return [
        SecurityGroupRule(direction, Protocol(rule.protocol), source, ports, cidr, rule.security_group)
        for ports in rule.ports or (None,)
    ]


def _nat_gateway(document: Document, spec: NatGatewaySpec, clouds: Clouds) -> CloudNatGateway:
    root = document.root["spec"]
    snat, dnat = [], []
    for cursor, rule in zip(root["snatRules"].items(), spec.snat_rules, strict=True):
        snat.append(NatSnatRule(rule.eip, _at(document, cursor), rule.subnet, rule.cidr))
    for cursor, opening in zip(root["dnatRules"].items(), spec.dnat_rules, strict=True):
        kind = chosen(cursor["target"], ("dnatRules", "*", "target"))
        target = f"{kind.capitalize()}/{cursor['target'][kind].text_or('')}"
        protocol, port = Protocol(opening.protocol), opening.port
        source = _at(document, cursor)
        dnat.append(NatDnatRule(opening.eip, protocol, port, target, opening.target_port, source))
    vpc = clouds.subnet_vpcs.get(spec.subnet, "")
    return CloudNatGateway(name_of(document), vpc, spec.subnet, document.source, tuple(snat), tuple(dnat))


def _eip_target(document: Document, spec: ElasticIpSpec) -> str | None:
    if spec.bound_to is None:
        return None
    cursor = document.root["spec"]["boundTo"]
    kind = chosen(cursor, ("boundTo",))
    name = cursor[kind].text_or("")
    if kind == "pod" and "/" not in name:
        name = f"default/{name}"
    return f"{kind[0].upper()}{kind[1:]}/{name}"


def _server(document: Document, spec: ServerSpec) -> Server:
    return Server(
        name=name_of(document),
        subnet=spec.subnet,
        source=document.source,
        address=spec.address,
        security_groups=tuple(spec.security_groups),
        containers=_containers(document),
        source_dest_check=spec.source_dest_check,
    )


def _containers(document: Document) -> tuple[Container, ...]:
    containers = document.root["spec"]["containers"]
    check_containers(containers)
    return read_containers(containers)
