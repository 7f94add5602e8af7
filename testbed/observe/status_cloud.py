"""Items of the cloud's kinds: VPCs, subnets, routes, security groups, ENIs, servers, and what else is in a VPC."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from testbed.model.codec import to_plain
from testbed.model.desired import FabricRoute, NextHop, SecurityRule
from testbed.model.planning.resolved import PlannedHost
from testbed.observe.eips import users_of
from testbed.observe.status import View
from testbed.observe.status_items import NONE, Item, age, columns, container_document, document, listed, resource


def vpcs(view: View) -> Iterator[Item]:
    for vpc in view.memory.lab.vpcs:
        subnets = [subnet.name for subnet in view.memory.lab.subnets if subnet.vpc == vpc.name]
        cidrs = [str(cidr) for cidr in vpc.cidrs]
        text = document("Vpc", vpc.name, vpc.source, spec={"cidrs": cidrs}, status={"subnets": subnets})
        yield Item(vpc.name, (listed(cidrs), listed(subnets)), text, f"Vpc/{vpc.name}", source=vpc.source)


def subnets(view: View) -> Iterator[Item]:
    tables = {table.id: table.name for table in view.fabric.route_tables}
    table_of = {subnet.name: tables.get(subnet.route_table, "") for subnet in view.fabric.subnets}
    for subnet in view.memory.lab.subnets:
        used = len(view.memory.ledger.addresses.get(subnet.name, {}))
        free = subnet.cidr.num_addresses - len(subnet.reserved) - used
        table = table_of.get(subnet.name) or NONE
        cells = (subnet.vpc, str(subnet.cidr), str(subnet.gateway), table, str(used), str(free))
        spec = {"vpc": subnet.vpc, "cidr": str(subnet.cidr)}
        status = {"gateway": str(subnet.gateway), "routeTable": table, "used": used, "free": free}
        text = document("Subnet", subnet.name, subnet.source, spec=spec, status=status)
        yield Item(subnet.name, cells, text, f"Subnet/{subnet.name}", source=subnet.source)


def route_tables(view: View) -> Iterator[Item]:
    declared = {table.name: table for table in view.memory.lab.route_tables}
    networks = _networks(view)
    for table in view.fabric.route_tables:
        written = declared.get(table.name)
        subnets = [subnet.name for subnet in view.fabric.subnets if subnet.route_table == table.id]
        quota = str(written.quota) if written else "200"
        counted = sum(not _of_system(route) for route in table.routes)
        cells = (networks[table.network], f"{counted}/{quota}", listed(subnets))
        routes = [
            {"destination": str(route.destination), "via": _via(view, route), "for": route.owner}
            for route in table.routes
        ]
        source = written.source if written else None
        text = document("RouteTable", table.name, source, status={"routes": routes, "subnets": subnets})
        yield Item(table.name, cells, text, table.owner, source=source)


def routes(view: View) -> Iterator[Item]:
    """What the VPC's router knows, system routes (its own subnets) included."""
    networks = _networks(view)
    for table in view.fabric.route_tables:
        for subnet in view.fabric.subnets:
            if subnet.network == table.network:
                yield _route(table.name, networks[table.network], str(subnet.cidr), "local", "system", subnet.owner)
        for route in table.routes:
            via = _via(view, route)
            kind = "system" if _of_system(route) else "custom"
            yield _route(table.name, networks[table.network], str(route.destination), via, kind, route.owner)


def _of_system(route: FabricRoute) -> bool:
    """Back to a shared load balancer's addresses outside the VPC; no quota counts these."""
    return route.owner.startswith("LoadBalancer/")


def _route(table: str, vpc: str, destination: str, via: str, kind: str, owner: str) -> Item:
    status = {"table": table, "vpc": vpc, "destination": destination, "nextHop": via, "type": kind, "for": owner}
    text = document("Route", destination, None, status=status)
    return Item(destination, (via, table, vpc, kind, owner), text, owner)


def _via(view: View, route: FabricRoute) -> str:
    if route.kind is NextHop.ENI:
        return next((f"{eni.owner} ({eni.address})" for eni in view.fabric.enis if eni.id == route.target), "?")
    named = view.fabric.peerings if route.kind is NextHop.PEERING else view.fabric.nat_gateways
    return next((f"{route.kind} {item.name}" for item in named if item.id == route.target), "?")


def security_groups(view: View) -> Iterator[Item]:
    networks = _networks(view)
    declared = {f"{group.vpc}/{group.name}": group for group in view.memory.lab.security_groups}
    for group in view.fabric.security_groups:
        written = declared.get(group.name)
        members = [eni.name for eni in view.fabric.enis if group.name in eni.security_groups]
        rules = [_rule(rule) for rule in group.rules]
        kind = "user" if written else "generated"
        name = group.name.partition("/")[2] or group.name
        cells = (networks[group.network], str(len(rules)), str(len(members)), kind, "; ".join(rules) or NONE)
        source = written.source if written else None
        status = {"vpc": networks[group.network], "rules": rules, "members": members, "generated": written is None}
        yield Item(name, cells, document("SecurityGroup", name, source, status=status), group.owner, source=source)


def _rule(rule: SecurityRule) -> str:
    side = "from" if rule.direction == "ingress" else "to"
    remote = rule.cidr or (f"group {rule.group.partition('/')[2]}" if rule.group else "anywhere")
    ports = ""
    if rule.ports:
        low, high = rule.ports
        ports = f" {low}" if low == high else f" {low}-{high}"
    return f"{rule.direction} {rule.protocol}{ports} {side} {remote}"


def enis(view: View) -> Iterator[Item]:
    networks = _networks(view)
    for eni in view.fabric.enis:
        groups = [group.partition("/")[2] for group in eni.security_groups]
        vlan = NONE if eni.vlan is None else str(eni.vlan)
        check = "on" if eni.source_dest_check else "off"
        network = networks.get(eni.network, "internet")
        cells = (str(eni.address), network, eni.owner, listed(groups), eni.mac, str(eni.port), vlan, check)
        text = document("Eni", eni.name, None, status={**to_plain(eni), "vpc": network})
        yield Item(eni.name, cells, text, eni.owner)


def servers(view: View) -> Iterator[Item]:
    for host in view.memory.hosts:
        if host.vpc is not None and host.cluster is None:
            yield _host(view, "Server", host)


def internet_hosts(view: View) -> Iterator[Item]:
    for host in view.memory.hosts:
        if host.vpc is None:
            yield _host(view, "InternetHost", host)


def _host(view: View, kind: str, host: PlannedHost) -> Item:
    status = view.workloads.get(host.owner)
    state = status.phase if status else "Running" if not host.containers else "ContainerCreating"
    groups = [group.partition("/")[2] or group for group in host.security_groups]
    place = (host.vpc or "", host.subnet or "", listed(groups)) if kind == "Server" else ()
    cells = (state, age(view.memory.started), str(host.address), *place, host.mac)
    detail: dict[str, Any] = {
        "status": state,
        "address": str(host.address),
        "mac": host.mac,
        "containers": to_plain(status.containers) if status else [],
    }
    if kind == "Server":
        detail |= {"vpc": host.vpc, "subnet": host.subnet, "securityGroups": groups}
    spec = {"containers": [container_document(container) for container in host.containers]}
    return Item(
        host.name, cells, document(kind, host.name, host.source, spec=spec, status=detail), host.owner, "", host.source
    )


def clusters(view: View) -> Iterator[Item]:
    for cluster in view.memory.lab.clusters:
        nodes = [node for node in view.memory.nodes if node.cluster == cluster.name]
        pods = [pod for pod in view.memory.pods if pod.cluster == cluster.name]
        ranges = str(cluster.container_cidr or listed(cluster.pod_subnets))
        cells = (
            cluster.model.value,
            cluster.vpc,
            ranges,
            str(cluster.service_cidr),
            str(len(nodes)),
            str(len(pods)),
        )
        spec = {
            "networkModel": cluster.model.value,
            "vpc": cluster.vpc,
            "podRange": ranges,
            "serviceCIDR": str(cluster.service_cidr),
        }
        status = {"nodes": [node.name for node in nodes], "pods": len(pods)}
        text = document("Cluster", cluster.name, cluster.source, spec=spec, status=status)
        yield Item(cluster.name, cells, text, f"Cluster/{cluster.name}", source=cluster.source)


def elastic_ips(view: View) -> Iterator[Item]:
    for eip in view.memory.eips:
        users = users_of(view.fabric, eip)
        status = {"address": str(eip.address), "boundTo": eip.bound_to, "for": list(users)}
        text = document("ElasticIP", eip.name, eip.source, status=status)
        yield Item(eip.name, (str(eip.address), listed(users)), text, eip.owner, source=eip.source)


def peerings(view: View) -> Iterator[Item]:
    for peering in view.memory.lab.peerings:
        cells = (peering.requester, peering.accepter)
        spec = {"requester": peering.requester, "accepter": peering.accepter}
        text = document("VpcPeering", peering.name, peering.source, spec=spec)
        yield Item(peering.name, cells, text, f"VpcPeering/{peering.name}", source=peering.source)


def nat_gateways(view: View) -> Iterator[Item]:
    for gateway in view.memory.lab.nat_gateways:
        cells = (gateway.vpc, gateway.subnet, str(len(gateway.snat_rules)), str(len(gateway.dnat_rules)))
        spec = {"vpc": gateway.vpc, "subnet": gateway.subnet}
        text = document("NatGateway", gateway.name, gateway.source, spec=spec)
        yield Item(gateway.name, cells, text, f"NatGateway/{gateway.name}", source=gateway.source)


def _networks(view: View) -> dict[int, str]:
    return {network.id: network.name for network in view.fabric.networks}


RESOURCES = (
    resource("clusters", columns("MODEL", "VPC", "POD-RANGE", "SERVICE-CIDR", "NODES", "PODS"), clusters),
    resource("vpcs", columns("CIDRS", "SUBNETS"), vpcs),
    resource("subnets", columns("VPC", "CIDR", "GATEWAY", "ROUTE-TABLE", "USED", "FREE"), subnets),
    resource("servers", columns("STATUS", "AGE", "IP", "VPC", "SUBNET", wide=("SECURITY-GROUPS", "MAC")), servers),
    resource("internethosts", columns("STATUS", "AGE", "IP", wide=("MAC",)), internet_hosts),
    resource("routetables", columns("VPC", "ROUTES", "SUBNETS"), route_tables),
    resource("routes", columns("NEXT-HOP", "TABLE", "VPC", "TYPE", wide=("FOR",)), routes),
    resource(
        "securitygroups",
        columns("VPC", "RULES", "ENIS", "MADE-BY", wide=("ALLOWS",), flexible=("ALLOWS",)),
        security_groups,
    ),
    resource("enis", columns("IP", "VPC", "FOR", "SECURITY-GROUPS", wide=("MAC", "PORT", "VLAN", "CHECK")), enis),
    resource("elasticips", columns("ADDRESS", "FOR"), elastic_ips),
    resource("vpcpeerings", columns("REQUESTER", "ACCEPTER"), peerings),
    resource("natgateways", columns("VPC", "SUBNET", "SNAT", "DNAT"), nat_gateways),
)
