"""Servers of the VPCs and hosts of the internet."""

from __future__ import annotations

from testbed.model.cloud import Server, Subnet
from testbed.model.lab import Lab
from testbed.model.planning.allocator import Allocator
from testbed.model.planning.faults import PlanFault, told
from testbed.model.planning.names import eni_mac
from testbed.model.planning.resolved import PlannedHost


def claim_fixed_addresses(lab: Lab, allocator: Allocator) -> None:
    """Addresses that users chose are taken before any is handed out."""
    subnets = {subnet.name: subnet for subnet in lab.subnets}
    for server in lab.servers:
        if server.address is not None:
            allocator.claim(subnets[server.subnet], f"Server/{server.name}", server.address)
    for balancer in lab.load_balancers:
        if balancer.address is not None:
            allocator.claim(subnets[balancer.subnet], f"LoadBalancer/{balancer.name}", balancer.address)


def plan_servers(lab: Lab, allocator: Allocator, faults: list[PlanFault]) -> tuple[PlannedHost, ...]:
    subnets = {subnet.name: subnet for subnet in lab.subnets}
    planned = []
    for server in lab.servers:
        owner = f"Server/{server.name}"
        with told(faults, server.source, owner, "a larger subnet"):
            planned.append(_plan_server(server, owner, subnets[server.subnet], allocator))
    return tuple(planned)


def _plan_server(server: Server, owner: str, subnet: Subnet, allocator: Allocator) -> PlannedHost:
    address, eni = allocator.address(subnet, owner), allocator.eni(owner)
    return PlannedHost(
        name=server.name,
        owner=owner,
        address=address,
        eni=eni,
        mac=eni_mac(eni),
        containers=server.containers,
        source=server.source,
        vpc=subnet.vpc,
        subnet=subnet.name,
        security_groups=server.security_groups or ("default",),
        source_dest_check=server.source_dest_check,
    )


def plan_internet_hosts(lab: Lab, allocator: Allocator) -> tuple[PlannedHost, ...]:
    planned = []
    for host in lab.internet_hosts:
        owner = f"InternetHost/{host.name}"
        eni = allocator.eni(owner)
        planned.append(PlannedHost(host.name, owner, host.address, eni, eni_mac(eni), host.containers, host.source))
    return tuple(planned)
