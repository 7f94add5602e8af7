"""How packets leave and enter a VPC, for the picture: elastic IPs, NAT gateways, peerings. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

from testbed.model.desired import DnatRule, FabricState, NatGateway, NextHop, Peering
from testbed.observe.eips import users_of
from testbed.observe.graph import Box, listing
from testbed.operations.memory import Memory


def elastic_ips(memory: Memory, fabric: FabricState) -> Iterator[Box]:
    """Each with what it is for: an interface, a balancer, rules of NAT gateways, or nothing yet."""
    for eip in memory.eips:
        users = users_of(fabric, eip)
        lines = (str(eip.address), *(map(_for, users) if users else ("bound to nothing",)))
        yield Box("eip", f"EIP {eip.name}", lines, id=f"ElasticIP/{eip.name}", to=users)


def gateways(fabric: FabricState, vpc: str) -> Iterator[Box]:
    """NAT gateways of the VPC with their rules, and its peerings: these are in both VPCs' boxes."""
    numbers = {network.id for network in fabric.networks if network.name == vpc}
    for gateway in fabric.nat_gateways:
        if gateway.network in numbers:
            names = {eni.address: eni.owner for eni in fabric.enis if eni.network == gateway.network}
            lines = (*_snat_lines(gateway), *(_dnat_line(rule, names) for rule in gateway.dnat))
            targets = dict.fromkeys(owner for rule in gateway.dnat if (owner := names.get(rule.target)))
            yield listing("nat", f"NAT gateway {gateway.name}", lines or ("no rules",), gateway.owner, tuple(targets))
    for peering in fabric.peerings:
        if numbers & {peering.a, peering.b}:
            yield _peering(fabric, peering)


def _for(user: str) -> str:
    return f"for {'NAT gateway ' if user.startswith('NatGateway/') else ''}{_short(user)}"


def _snat_lines(gateway: NatGateway) -> Iterator[str]:
    for rule in gateway.snat:
        yield f"SNAT {rule.cidr} > {rule.eip}"


def _dnat_line(rule: DnatRule, names: dict[IPv4Address, str]) -> str:
    target = f"{_short(names[rule.target])} " if rule.target in names else ""
    return f"DNAT {rule.eip}:{rule.port}/{rule.protocol.value} > {target}{rule.target}:{rule.target_port}"


def _peering(fabric: FabricState, peering: Peering) -> Box:
    sides = [network for number in (peering.a, peering.b) for network in fabric.networks if network.id == number]
    lines = tuple(f"VPC {side.name} {', '.join(map(str, side.cidrs))}" for side in sides)
    tables = tuple(
        table.owner
        for table in fabric.route_tables
        if any(route.kind is NextHop.PEERING and route.target == peering.id for route in table.routes)
    )
    return Box("peering", f"peering {peering.name}", lines, id=peering.owner, to=tables)


def _short(owner: str) -> str:
    return owner.rpartition("/")[2]
