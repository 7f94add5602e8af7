"""Route tables: what routes may lead to, duplicates, and the quota that nodes of the vpc model count against."""

from __future__ import annotations

from ipaddress import IPv4Network

from testbed.model.cloud import CloudRoute, RouteTable, RouteTarget
from testbed.model.desired import NetworkModel
from testbed.spec.codes import Code
from testbed.spec.document import Cursor
from testbed.spec.faults import counted, show
from testbed.spec.index import Index

DEFAULT_QUOTA = 200
DEFAULT_TABLE = "default"
"""What the table is called that a VPC has without any document."""


def check_route_tables(index: Index) -> None:
    defaults: dict[str, str] = {}
    for table in index.lab.route_tables:
        spec = index.cursor("route_tables", table)["spec"]
        index.vpc(spec["vpc"], table.vpc)
        if table.default and table.vpc in defaults:
            what = f"VPC {show(table.vpc)} already has the default table {show(defaults[table.vpc])}"
            spec["default"].fault(Code.ROUTE_TABLE_DEFAULT, what)
        elif table.default:
            defaults[table.vpc] = table.name
        elif table.name == DEFAULT_TABLE:
            what = f'a table called "{DEFAULT_TABLE}" must be its VPC\'s default'
            spec["default"].fault(Code.ROUTE_TABLE_DEFAULT, what, "write default: true, or another name")
        _check_routes(index, spec, table)
    _check_quotas(index)


def _check_routes(index: Index, spec: Cursor, table: RouteTable) -> None:
    subnets = {subnet.cidr: subnet.name for subnet in index.lab.subnets if subnet.vpc == table.vpc}
    cursors = _cursors(spec, table)
    first: dict[IPv4Network, int] = {}
    for route, cursor in zip(table.routes, cursors, strict=True):
        destination = cursor["destination"]
        if route.destination in first:
            what = f"Duplicate value: {show(str(route.destination))}"
            hint = f"first at line {first[route.destination]}; one route per destination"
            destination.fault(Code.ROUTE_DUPLICATE, what, hint)
        elif route.destination in subnets:
            what = f"{route.destination} is the system route of subnet {show(subnets[route.destination])}"
            destination.fault(Code.ROUTE_DUPLICATE, what, "system routes can't be replaced")
        first.setdefault(route.destination, route.source.line)
        _check_target(index, cursor["nextHop"][route.kind.value], table, route)


def _cursors(spec: Cursor, table: RouteTable) -> list[Cursor]:
    written = spec["routes"].items()
    if len(written) == len(table.routes):
        return written
    return [spec.at("routes", position) for position in range(len(table.routes))]


def _check_target(index: Index, cursor: Cursor, table: RouteTable, route: CloudRoute) -> None:
    vpc: str | None
    match route.kind:
        case RouteTarget.SERVER:
            server = index.server(cursor, route.target)
            vpc = index.by_name["subnets"][server.subnet].vpc if server and _has_subnet(index, server.subnet) else None
        case RouteTarget.NODE:
            home = index.node(cursor, route.target)
            vpc = home[0].vpc if home else None
        case RouteTarget.NAT_GATEWAY:
            gateway = index.nat_gateway(cursor, route.target)
            vpc = gateway.vpc if gateway else None
        case RouteTarget.PEERING:
            _check_peering_target(index, cursor, table, route)
            return
    if vpc and vpc != table.vpc:
        what = f"{route.kind.value} {show(route.target)} is in VPC {show(vpc)}"
        cursor.fault(Code.REFERENCE_WRONG, what, f"a next hop must be in VPC {show(table.vpc)}")


def _check_peering_target(index: Index, cursor: Cursor, table: RouteTable, route: CloudRoute) -> None:
    peering = index.peering(cursor, route.target)
    if peering and table.vpc not in (peering.requester, peering.accepter):
        what = f"peering {show(peering.name)} joins {show(peering.requester)} and {show(peering.accepter)}"
        cursor.fault(Code.REFERENCE_WRONG, what, f"not VPC {show(table.vpc)}")


def _has_subnet(index: Index, name: str) -> bool:
    return name in index.by_name["subnets"]


def _check_quotas(index: Index) -> None:
    """Each node of a vpc-model cluster takes a route in every table of its VPC."""
    for table in index.lab.route_tables:
        cursor = index.cursor("route_tables", table)["spec"]["routes"]
        if len(table.routes) > table.quota:
            what = f'{len(table.routes)} routes; route table "{table.name}" allows {table.quota}'
            cursor.fault(Code.QUOTA_ROUTES, what, "fewer routes, or a larger quota", on_key=True)
    for cluster in index.lab.clusters:
        if cluster.model is not NetworkModel.VPC:
            continue
        count = sum(len(pool.node_names) for pool in cluster.pools)
        tables = [
            (table.name, table.quota - len(table.routes))
            for table in index.lab.route_tables
            if table.vpc == cluster.vpc
        ]
        if not any(table.default for table in index.lab.route_tables if table.vpc == cluster.vpc):
            tables.append((DEFAULT_TABLE, DEFAULT_QUOTA))
        for name, room in tables:
            others = _other_nodes(index, cluster.name, cluster.vpc)
            if room >= 0 and count > room - others:
                free = max(room - others, 0)
                needs = f"{counted(count, 'node')} need {counted(count, 'route')}"
                what = f'{needs}; route table "{name}" has room for {free}'
                cursor = index.cursor("clusters", cluster)["spec"]["nodePools"]
                cursor.fault(Code.QUOTA_ROUTES, what, "fewer nodes, or a larger quota", on_key=True)


def _other_nodes(index: Index, cluster: str, vpc: str) -> int:
    """Nodes of the VPC's vpc-model clusters that were declared before this one."""
    count = 0
    for other in index.lab.clusters:
        if other.name == cluster:
            break
        if other.vpc == vpc and other.model is NetworkModel.VPC:
            count += sum(len(pool.node_names) for pool in other.pools)
    return count
