"""Security groups: the user's, each VPC's default one, and those that a cluster makes for its nodes and ENIs.

Source of the generated rules: CCE FAQ "How Can I Configure a Security Group Rule for a Cluster?", tables 1-7.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network

from testbed.model.cloud import Cluster
from testbed.model.desired import Direction, FabricSecurityGroup, NetworkModel, Protocol, SecurityRule
from testbed.model.lab import Lab

ANYWHERE = IPv4Network("0.0.0.0/0")
NODE_PORTS = (30000, 32767)
DEFAULT_GROUP = "default"


def plan_security_groups(lab: Lab, networks: dict[str, int]) -> tuple[FabricSecurityGroup, ...]:
    """Every group of the lab by its qualified name; a user's group of the same name replaces a generated one."""
    groups = {group.name: group for group in _generated(lab, networks)}
    groups |= {group.name: group for group in _asked(lab, networks)}
    return tuple(groups.values())


def group_names(lab: Lab) -> set[tuple[str, str]]:
    """(VPC, name) of every group of the lab, those made for it included."""
    names = {(group.vpc, group.name) for group in lab.security_groups}
    names |= {(vpc.name, DEFAULT_GROUP) for vpc in lab.vpcs}
    return names | {
        (cluster.vpc, name(cluster)) for cluster in lab.clusters for name in (node_group, control_group, eni_group)
    }


def qualified(vpc: str, group: str) -> str:
    return f"{vpc}/{group}"


def node_group(cluster: Cluster) -> str:
    return f"{cluster.name}-cce-node"


def control_group(cluster: Cluster) -> str:
    return f"{cluster.name}-cce-control"


def eni_group(cluster: Cluster) -> str:
    return f"{cluster.name}-cce-eni"


def _asked(lab: Lab, networks: dict[str, int]) -> Iterator[FabricSecurityGroup]:
    for group in lab.security_groups:
        owner = f"SecurityGroup/{group.name}"
        rules = tuple(
            SecurityRule(
                rule.direction,
                rule.protocol,
                f"{owner} ({rule.source})",
                rule.ports,
                rule.cidr,
                qualified(group.vpc, rule.group) if rule.group else None,
            )
            for rule in group.rules
        )
        yield FabricSecurityGroup(qualified(group.vpc, group.name), networks[group.vpc], rules, owner)


def _generated(lab: Lab, networks: dict[str, int]) -> Iterator[FabricSecurityGroup]:
    for vpc in lab.vpcs:
        owner = f"Vpc/{vpc.name}"
        make = _Maker(vpc.name, DEFAULT_GROUP, owner)
        name = qualified(vpc.name, DEFAULT_GROUP)
        yield FabricSecurityGroup(name, networks[vpc.name], (make.own(), *make.outbound()), owner)
    cidrs = {vpc.name: vpc.cidrs for vpc in lab.vpcs}
    subnets = {subnet.name: subnet.cidr for subnet in lab.subnets}
    for cluster in lab.clusters:
        owner, network = f"Cluster/{cluster.name}", networks[cluster.vpc]
        make = _Maker(cluster.vpc, node_group(cluster), owner)
        rules = (*_node_rules(cluster, cidrs[cluster.vpc], subnets, make), *make.outbound())
        yield FabricSecurityGroup(qualified(cluster.vpc, node_group(cluster)), network, rules, owner)
        make = _Maker(cluster.vpc, control_group(cluster), owner)
        rules = (
            make.own(),
            *(make.allow(Protocol.ALL, cidr=cidr) for cidr in cidrs[cluster.vpc]),
            *make.outbound(),
        )
        yield FabricSecurityGroup(qualified(cluster.vpc, control_group(cluster)), network, rules, owner)
        if cluster.model is NetworkModel.ENI:
            make = _Maker(cluster.vpc, eni_group(cluster), owner)
            rules = (make.own(), *(make.allow(Protocol.ALL, cidr=cidr) for cidr in cidrs[cluster.vpc]))
            name = qualified(cluster.vpc, eni_group(cluster))
            yield FabricSecurityGroup(name, network, (*rules, *make.outbound()), owner)


def _node_rules(
    cluster: Cluster, vpc_cidrs: tuple[IPv4Network, ...], subnets: dict[str, IPv4Network], make: _Maker
) -> Iterator[SecurityRule]:
    yield make.own()
    yield make.allow(Protocol.TCP, (22, 22), ANYWHERE)
    yield make.allow(Protocol.TCP, NODE_PORTS, ANYWHERE)
    yield make.allow(Protocol.UDP, NODE_PORTS, ANYWHERE)
    control = qualified(cluster.vpc, control_group(cluster))
    if cluster.model is NetworkModel.TUNNEL:
        yield make.allow(Protocol.UDP, (4789, 4789), ANYWHERE)
        yield make.allow(Protocol.TCP, (10250, 10250), group=control)
    elif cluster.model is NetworkModel.VPC:
        for cidr in vpc_cidrs:
            yield make.allow(Protocol.TCP, cidr=cidr)
            yield make.allow(Protocol.UDP, cidr=cidr)
        yield make.allow(Protocol.ICMP, group=control)
        if cluster.container_cidr:
            yield make.allow(Protocol.ALL, cidr=cluster.container_cidr)
    else:
        yield make.allow(Protocol.TCP, (10250, 10250), group=control)
        for name in cluster.pod_subnets:
            yield make.allow(Protocol.ALL, cidr=subnets[name])


class _Maker:
    """Writes the rules of one generated group."""

    def __init__(self, vpc: str, name: str, owner: str) -> None:
        self._name, self._owner = qualified(vpc, name), f"{owner} (generated group {name})"

    def allow(
        self,
        protocol: Protocol,
        ports: tuple[int, int] | None = None,
        cidr: IPv4Network | None = None,
        group: str | None = None,
    ) -> SecurityRule:
        return SecurityRule(Direction.INGRESS, protocol, self._owner, ports, cidr, group)

    def own(self) -> SecurityRule:
        return self.allow(Protocol.ALL, group=self._name)

    def outbound(self) -> tuple[SecurityRule]:
        return (SecurityRule(Direction.EGRESS, Protocol.ALL, self._owner, cidr=ANYWHERE),)
