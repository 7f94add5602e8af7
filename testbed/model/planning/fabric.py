"""The fabric controller's document: the cloud as resolved facts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network

from testbed.model.cloud import Cluster, RouteTarget
from testbed.model.desired import (
    INTERNET,
    DnatRule,
    EipBinding,
    Eni,
    FabricLoadBalancer,
    FabricRoute,
    FabricRouteTable,
    FabricState,
    FabricSubnet,
    NatGateway,
    Network,
    NetworkModel,
    NextHop,
    Peering,
    SnatRule,
)
from testbed.model.lab import Lab
from testbed.model.planning.allocator import Allocator
from testbed.model.planning.balancers import PlannedBalancer, plan_listeners, with_eips
from testbed.model.planning.eips import PlannedEip
from testbed.model.planning.faults import PlanFault
from testbed.model.planning.names import FABRIC_DATAPATH, eni_mac
from testbed.model.planning.observed import NOTHING, Observed
from testbed.model.planning.resolved import PlannedHost, PlannedNode, PlannedPod
from testbed.model.planning.security import node_group, plan_security_groups, qualified
from testbed.model.planning.services import PlannedService

MAX_ID = 4095


@dataclass(frozen=True, slots=True)
class CloudParts:
    """What the fabric's document is made of."""

    lab: Lab
    nodes: tuple[PlannedNode, ...]
    pods: tuple[PlannedPod, ...]
    hosts: tuple[PlannedHost, ...]  # masters, servers, load balancers and internet hosts
    eips: tuple[PlannedEip, ...]
    balancers: tuple[PlannedBalancer, ...] = ()
    services: tuple[PlannedService, ...] = ()
    dnat: Mapping[str, tuple[DnatRule, ...]] = field(default_factory=dict)
    observed: Observed = NOTHING


def plan_fabric(parts: CloudParts, allocator: Allocator, generation: int, faults: list[PlanFault]) -> FabricState:
    """The whole document. Quota breaches and duplicate destinations become faults."""
    lab = parts.lab
    networks = {vpc.name: allocator.number("network", vpc.name, 1, MAX_ID) for vpc in lab.vpcs}
    ids = _Ids(parts, allocator)
    return FabricState(
        generation=generation,
        datapath_id=FABRIC_DATAPATH,
        networks=tuple(_networks(lab, networks)),
        subnets=tuple(_subnets(lab, networks, ids)),
        route_tables=tuple(_route_tables(parts, networks, ids, faults)),
        security_groups=plan_security_groups(lab, networks),
        enis=tuple(_enis(parts, networks)),
        peerings=tuple(
            Peering(
                ids.peering(p.name),
                p.name,
                networks[p.requester],
                networks[p.accepter],
                f"VpcPeering/{p.name}",
            )
            for p in lab.peerings
        ),
        eips=tuple(_bindings(parts)),
        nat_gateways=tuple(_nat_gateways(parts, networks, ids)),
        load_balancers=_load_balancers(parts, networks),
    )


def _bindings(parts: CloudParts) -> Iterator[EipBinding]:
    """EIPs of single interfaces; a load balancer's is the balancer's own affair."""
    balancers = {balancer.owner for balancer in parts.balancers}
    for eip in parts.eips:
        if eip.eni is not None and eip.bound_to not in balancers:
            yield EipBinding(eip.address, eip.eni, eip.owner)


class _Ids:
    """Numbers of the cloud's objects by their names."""

    def __init__(self, parts: CloudParts, allocator: Allocator) -> None:
        self._allocator = allocator
        self.enis = {node.owner: node.eni for node in parts.nodes} | {host.owner: host.eni for host in parts.hosts}

    def table(self, vpc: str, table: str) -> int:
        return self._allocator.number("route-table", f"{vpc}/{table}", 1, MAX_ID)

    def peering(self, name: str) -> int:
        return self._allocator.number("peering", name, 1, MAX_ID)

    def gateway(self, name: str) -> int:
        return self._allocator.number("nat-gateway", name, 1, 500)


def default_table(lab: Lab, vpc: str) -> str:
    """Name of the table that subnets of ``vpc`` use when they name none."""
    return next((table.name for table in lab.route_tables if table.vpc == vpc and table.default), "default")


def _networks(lab: Lab, networks: Mapping[str, int]) -> Iterator[Network]:
    yield Network(INTERNET, "internet", (), "Internet")
    for vpc in lab.vpcs:
        yield Network(networks[vpc.name], vpc.name, vpc.cidrs, f"Vpc/{vpc.name}")


def _subnets(lab: Lab, networks: Mapping[str, int], ids: _Ids) -> Iterator[FabricSubnet]:
    for subnet in lab.subnets:
        table = ids.table(subnet.vpc, subnet.route_table or default_table(lab, subnet.vpc))
        owner = f"Subnet/{subnet.name}"
        yield FabricSubnet(subnet.name, networks[subnet.vpc], subnet.cidr, subnet.gateway, table, owner)


def _route_tables(
    parts: CloudParts, networks: Mapping[str, int], ids: _Ids, faults: list[PlanFault]
) -> Iterator[FabricRouteTable]:
    lab = parts.lab
    generated = {vpc.name: tuple(_node_routes(parts, vpc.name)) for vpc in lab.vpcs}
    for vpc in lab.vpcs:
        if default_table(lab, vpc.name) == "default":
            routes = generated[vpc.name]
            _check_quota(parts, vpc.name, "default", len(routes), 200, faults)
            routes = (*routes, *_system_routes(parts, vpc.name))
            yield FabricRouteTable(
                ids.table(vpc.name, "default"), "default", networks[vpc.name], routes, f"Vpc/{vpc.name}"
            )
    for table in lab.route_tables:
        owner = f"RouteTable/{table.name}"
        own = [
            FabricRoute(
                route.destination,
                _KINDS[route.kind],
                _target(route.kind, route.target, ids),
                f"{owner} ({route.source})",
            )
            for route in table.routes
        ]
        kept = (route for route in generated[table.vpc] if route.destination not in table.deleted_node_routes)
        routes = (*own, *kept)
        _check_duplicates(table.name, own, generated[table.vpc], parts, faults)
        _check_quota(parts, table.vpc, table.name, len(routes), table.quota, faults)
        routes = (*routes, *_system_routes(parts, table.vpc))
        yield FabricRouteTable(ids.table(table.vpc, table.name), table.name, networks[table.vpc], routes, owner)


_KINDS = {
    RouteTarget.SERVER: NextHop.ENI,
    RouteTarget.NODE: NextHop.ENI,
    RouteTarget.PEERING: NextHop.PEERING,
    RouteTarget.NAT_GATEWAY: NextHop.NAT_GATEWAY,
}


def _target(kind: RouteTarget, name: str, ids: _Ids) -> int:
    if kind is RouteTarget.PEERING:
        return ids.peering(name)
    if kind is RouteTarget.NAT_GATEWAY:
        return ids.gateway(name)
    return ids.enis[f"{'Server' if kind is RouteTarget.SERVER else 'Node'}/{name}"]


def _node_routes(parts: CloudParts, vpc: str) -> Iterator[FabricRoute]:
    """``vpc`` model: one route per node in every table of the VPC, block -> node."""
    models = {cluster.name: cluster.model for cluster in parts.lab.clusters}
    for node in parts.nodes:
        if node.vpc == vpc and models[node.cluster] is NetworkModel.VPC:
            for block in node.blocks:
                yield FabricRoute(block, NextHop.ENI, node.eni, node.owner)


def _system_routes(parts: CloudParts, vpc: str) -> Iterator[FabricRoute]:
    """In every table and counted by no quota: back to balancers that send with an address of no subnet."""
    for host in parts.hosts:
        if host.vpc == vpc and host.sends_as is not None:
            yield FabricRoute(IPv4Network(host.sends_as), NextHop.ENI, host.eni, host.owner)


def _check_quota(parts: CloudParts, vpc: str, table: str, routes: int, quota: int, faults: list[PlanFault]) -> None:
    if routes <= quota:
        return
    for cluster in parts.lab.clusters:
        if cluster.vpc == vpc and cluster.model is NetworkModel.VPC:
            nodes = sum(1 for node in parts.nodes if node.cluster == cluster.name)
            what = (
                f'{nodes} nodes need {nodes} routes; route table "{table}" of VPC {vpc} '
                f"allows {quota} and would hold {routes}"
            )
            hint = f"at most {nodes - (routes - quota)} nodes, or a larger quota of the table"
            faults.append(PlanFault(cluster.source, f"Cluster/{cluster.name}", what, hint, "P103"))
            return


def _check_duplicates(
    table: str,
    own: list[FabricRoute],
    generated: tuple[FabricRoute, ...],
    parts: CloudParts,
    faults: list[PlanFault],
) -> None:
    nodes = {route.destination: route.owner for route in generated}
    source = next(item.source for item in parts.lab.route_tables if item.name == table)
    for route in own:
        if route.destination in nodes:
            what = f"destination {route.destination} is already the route of {nodes[route.destination]}"
            faults.append(PlanFault(source, f"RouteTable/{table}", what, "one route per destination", "P104"))


def _enis(parts: CloudParts, networks: Mapping[str, int]) -> Iterator[Eni]:
    clusters = {cluster.name: cluster for cluster in parts.lab.clusters}
    for node in parts.nodes:
        yield from _node_enis(node, clusters[node.cluster], networks[node.vpc], _routed_to(parts.lab, node))
    for pod in parts.pods:
        if pod.nic is not None and pod.node is not None:
            yield _pod_eni(pod, parts, clusters[pod.cluster], networks)
    for host in parts.hosts:
        yield Eni(
            id=host.eni,
            name=host.name,
            network=networks[host.vpc] if host.vpc else INTERNET,
            address=host.address,
            mac=host.mac,
            port=host.eni,
            owner=host.owner,
            subnet=host.subnet,
            security_groups=_qualify(host.vpc or "", host.security_groups),
            filtered=host.vpc is not None and host.filtered,
            source_dest_check=host.source_dest_check and host.sends_as is None,
            sends_for=() if host.sends_as is None else (IPv4Network(host.sends_as),),
        )


def _routed_to(lab: Lab, node: PlannedNode) -> tuple[IPv4Network, ...]:
    """Where the user's routes to a node lead, besides its own blocks."""
    asked = (route for table in lab.route_tables for route in table.routes if route.kind is RouteTarget.NODE)
    return tuple(sorted({route.destination for route in asked if route.target == node.name}))


def _node_enis(node: PlannedNode, cluster: Cluster, network: int, routed: tuple[IPv4Network, ...]) -> Iterator[Eni]:
    groups = (cluster.node_security_groups or (node_group(cluster),)) + node.pool.security_groups
    yield Eni(
        id=node.eni,
        name=f"{node.name}-eth0",
        network=network,
        address=node.address,
        mac=node.mac,
        port=node.eni,
        owner=node.owner,
        subnet=node.subnet,
        security_groups=_qualify(node.vpc, groups),
        source_dest_check=cluster.model is not NetworkModel.VPC,
        sends_for=(*node.blocks, *routed) if cluster.model is NetworkModel.VPC else (),
    )
    if node.carrier is not None and node.carrier_address is not None:
        yield Eni(
            id=node.carrier,
            name=f"{node.name}-eth1",
            network=network,
            address=node.carrier_address,
            mac=eni_mac(node.carrier),
            port=node.carrier,
            owner=node.owner,
            subnet=node.carrier_subnet,
            security_groups=_qualify(node.vpc, groups),
        )
    for nic in node.nics:
        if not nic.pod and node.carrier is not None:
            yield Eni(
                id=nic.eni,
                name=f"{node.name}-nic-{nic.vlan}",
                network=network,
                address=nic.address,
                mac=eni_mac(nic.eni),
                port=node.carrier,
                owner=f"{node.owner} (pre-bound)",
                subnet=nic.subnet,
                vlan=nic.vlan,
            )


def _pod_eni(pod: PlannedPod, parts: CloudParts, cluster: Cluster, networks: Mapping[str, int]) -> Eni:
    nic = pod.nic
    assert nic is not None
    node = next(node for node in parts.nodes if node.name == pod.node and node.cluster == pod.cluster)
    return Eni(
        id=nic.eni,
        name=pod.host,
        network=networks[cluster.vpc],
        address=nic.address,
        mac=pod.mac,
        port=node.carrier if nic.vlan is not None and node.carrier is not None else nic.eni,
        owner=pod.owner,
        subnet=nic.subnet,
        vlan=nic.vlan,
        security_groups=_qualify(cluster.vpc, pod.security_groups),
    )


def _qualify(vpc: str, groups: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(qualified(vpc, group) for group in groups) if vpc else ()


def _nat_gateways(parts: CloudParts, networks: Mapping[str, int], ids: _Ids) -> Iterator[NatGateway]:
    lab = parts.lab
    eips = {eip.name: eip.address for eip in parts.eips}
    cidrs = {subnet.name: subnet.cidr for subnet in lab.subnets}
    addresses = {host.owner: host.address for host in parts.hosts} | {n.owner: n.address for n in parts.nodes}
    for gateway in lab.nat_gateways:
        owner = f"NatGateway/{gateway.name}"
        snat = tuple(
            SnatRule(cidr, eips[rule.eip], f"{owner} ({rule.source})")
            for rule in gateway.snat_rules
            if (cidr := cidrs[rule.subnet] if rule.subnet else rule.cidr) is not None
        )
        dnat = tuple(
            DnatRule(
                eips[rule.eip],
                rule.protocol,
                rule.port,
                addresses[rule.target],
                rule.target_port,
                f"{owner} ({rule.source})",
            )
            for rule in gateway.dnat_rules
        )
        rules = (*dnat, *parts.dnat.get(gateway.name, ()))
        yield NatGateway(ids.gateway(gateway.name), gateway.name, networks[gateway.vpc], snat, rules, owner)


def _load_balancers(parts: CloudParts, networks: dict[str, int]) -> tuple[FabricLoadBalancer, ...]:
    eips = {eip.bound_to: eip.address for eip in parts.eips if eip.bound_to}
    documents = plan_listeners(parts.lab, parts.balancers, parts.services, parts.nodes, networks, parts.observed)
    return with_eips(documents, eips)
