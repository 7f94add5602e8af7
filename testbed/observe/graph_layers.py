"""What lies over the picture of a lab, each layer to be had or left out. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace

from testbed.model.desired import (
    ClustersState,
    ClusterState,
    Direction,
    FabricRoute,
    FabricState,
    NetworkModel,
    NextHop,
    SecurityRule,
    ServicePort,
)
from testbed.model.kubernetes import Ingress
from testbed.model.planning.dns import NAMESPACE
from testbed.observe.graph import Box, Picture, SubnetBox, TunnelBox, VpcBox, listing
from testbed.observe.graph_ways import elastic_ips, gateways
from testbed.operations.memory import Memory

LAYERS = ("pods", "tunnels", "routes", "gateways", "eips", "services", "groups")


def add_layers(
    picture: Picture, memory: Memory, fabric: FabricState, clusters: ClustersState, layers: Collection[str]
) -> Picture:
    """``picture`` with those of :data:`LAYERS` that are wanted, and without its pods where they are not."""
    if "pods" not in layers:
        picture = _map_boxes(picture, _without_pods)
    if "tunnels" in layers:
        picture = replace(picture, tunnels=tuple(_tunnels(clusters)))
    if "routes" in layers:
        picture = replace(picture, vpcs=tuple(replace(vpc, tables=_tables(fabric, vpc.name)) for vpc in picture.vpcs))
    if "gateways" in layers:
        vpcs = tuple(replace(vpc, ways=tuple(gateways(fabric, vpc.name))) for vpc in picture.vpcs)
        picture = replace(picture, vpcs=vpcs)
    if "eips" in layers:
        picture = replace(picture, eips=tuple(elastic_ips(memory, fabric)))
    if "services" in layers:
        picture = replace(picture, services=(*_services(clusters), *map(_ingress, memory.lab.ingresses)))
    if "groups" in layers:
        picture = _with_groups(picture, fabric)
    return picture


def _tunnels(clusters: ClustersState) -> Iterator[TunnelBox]:
    for cluster in clusters.clusters:
        if cluster.model is NetworkModel.TUNNEL and len(cluster.nodes) > 1:
            title = f"VXLAN tunnels of cluster {cluster.name}, VNI {cluster.vni}: every node to every other"
            yield TunnelBox(cluster.owner, title, tuple(node.owner for node in cluster.nodes))


def _tables(fabric: FabricState, vpc: str) -> tuple[Box, ...]:
    network = next((network.id for network in fabric.networks if network.name == vpc), None)
    boxes = []
    for table in fabric.route_tables:
        if table.network == network:
            local = [f"{cidr} local" for item in fabric.networks if item.id == network for cidr in item.cidrs]
            routes = [f"{route.destination} > {_hop(fabric, route)}" for route in table.routes]
            boxes.append(listing("table", f"route table {table.name}", [*local, *routes], table.owner))
    return tuple(boxes)


def _hop(fabric: FabricState, route: FabricRoute) -> str:
    if route.kind is NextHop.ENI:
        names = {eni.id: eni.owner.rpartition("/")[2] for eni in fabric.enis}
    elif route.kind is NextHop.PEERING:
        names = {peering.id: f"peering {peering.name}" for peering in fabric.peerings}
    else:
        names = {gateway.id: f"NAT {gateway.name}" for gateway in fabric.nat_gateways}
    return names.get(route.target, str(route.target))


def _services(clusters: ClustersState) -> Iterator[Box]:
    for cluster in clusters.clusters:
        for name in dict.fromkeys(port.service for port in cluster.services):
            if not name.startswith(f"{NAMESPACE}/"):
                yield _service(cluster, name)


def _service(cluster: ClusterState, name: str) -> Box:
    ports = [port for port in cluster.services if port.service == name]
    lines = [line for port in ports for line in _ways(port)]
    ready = list(dict.fromkeys(_short(end.owner) for port in ports for end in port.endpoints if end.ready))
    lines.append(f"to {', '.join(ready[:4])}" if ready else "no ready endpoint")
    lines += [f"and {', '.join(ready[at : at + 4])}" for at in range(4, len(ready), 4)]
    return listing("service", name.removeprefix("default/"), lines, ports[0].owner)


def _ingress(ingress: Ingress) -> Box:
    """Which host and path leads to which Service."""
    lines = [f"{rule.host or '*'}{path.path} > {path.backend.service}" for rule in ingress.rules for path in rule.paths]
    if ingress.default_backend is not None:
        lines.append(f"anything else > {ingress.default_backend.service}")
    owner = f"Ingress/{ingress.namespace}/{ingress.name}"
    return listing("ingress", f"ingress {ingress.name}", lines, owner)


def _ways(port: ServicePort) -> Iterator[str]:
    kind = port.protocol.value
    if port.cluster_ip is not None:
        yield f"{port.cluster_ip}:{port.port}/{kind}"
    if port.node_port:
        yield f"node port {port.node_port}/{kind}{', Local' if port.external_local else ''}"
    for address in port.external_addresses:
        yield f"outside {address}:{port.port}/{kind}"


def _with_groups(picture: Picture, fabric: FabricState) -> Picture:
    """Groups that something is in, numbered; each member carries their numbers."""
    used = {group for eni in fabric.enis if eni.filtered for group in eni.security_groups}
    groups = [group for group in fabric.security_groups if group.name in used]
    numbers = {group.name: number for number, group in enumerate(groups, 1)}
    members: dict[str, set[int]] = {}
    for eni in fabric.enis:
        members.setdefault(eni.owner, set()).update(numbers[group] for group in eni.security_groups if eni.filtered)

    def numbered(box: Box) -> Box:
        inside = tuple(map(numbered, box.inside))
        return replace(box, groups=tuple(sorted(members.get(box.id, ()))), inside=inside)

    boxes = tuple(
        replace(listing("group", group.name, _rules(group.rules), group_id(group.name)), number=numbers[group.name])
        for group in groups
    )
    return replace(_map_boxes(picture, numbered), groups=boxes)


def group_id(name: str) -> str:
    """``demo/open`` -> ``SecurityGroup/demo/open``."""
    return f"SecurityGroup/{name}"


def _rules(rules: Sequence[SecurityRule]) -> list[str]:
    return [_rule(rule) for rule in sorted(rules, key=lambda rule: rule.direction is Direction.EGRESS)]


def _rule(rule: SecurityRule) -> str:
    inbound = rule.direction is Direction.INGRESS
    ports = "" if rule.ports is None else f" {'-'.join(map(str, dict.fromkeys(rule.ports)))}"
    other = rule.group or rule.cidr or "anywhere"
    return f"{'in ' if inbound else 'out'} {rule.protocol.value}{ports} {'from' if inbound else 'to'} {other}"


def _without_pods(box: Box) -> Box:
    if box.kind != "node":
        return box
    count = len(box.inside) + box.more
    return replace(box, inside=(), more=0, lines=(*box.lines, f"{count} pods"))


def _map_boxes(picture: Picture, change: Callable[[Box], Box]) -> Picture:
    def subnet(old: SubnetBox) -> SubnetBox:
        return replace(old, boxes=tuple(map(change, old.boxes)))

    def vpc(old: VpcBox) -> VpcBox:
        return replace(old, subnets=tuple(map(subnet, old.subnets)))

    internet = tuple(map(change, picture.internet))
    return replace(picture, internet=internet, vpcs=tuple(map(vpc, picture.vpcs)))


def _short(owner: str) -> str:
    return owner.rpartition("/")[2]
