"""Peerings: one step into another VPC, and the lookup there (table arrival).

A route to a peering changes the packet's network and ends the sender's part. In the other VPC only its own subnets
and its routes to ENIs are looked up, so a peering is never transitive: from a to c over b, the packet is in b and b's
peering with c is not asked. A peering works when both VPCs have a route to it; with one side only nothing passes,
not even the question whose answer would be lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from controllers.fabric.errors import StateError
from controllers.fabric.fields import DST_ENI, NETWORK, ROUTE_TABLE
from controllers.fabric.security import LEAVE
from controllers.fabric.view import FabricView
from controllers.openflow import Flow, SetField, match
from testbed.model.desired import Eni, FabricRoute, FabricSubnet, NextHop, Peering


def plan(view: FabricView) -> Iterator[Flow]:
    """Table arrival of every network that can be entered from outside."""
    entered = view.networks_entered()
    for subnet in view.state.subnets:
        if subnet.network in entered:
            yield _local(subnet)
    for network in sorted(entered):
        for route in _eni_routes(view, network):
            eni = view.eni(route.target, route.owner)
            if not eni.source_dest_check:
                yield _to_eni(network, route, eni)


def works(view: FabricView, peering: Peering) -> bool:
    """Whether both sides have a route to it."""
    sides = {
        table.network
        for table in view.state.route_tables
        for route in table.routes
        if route.kind is NextHop.PEERING and route.target == peering.id
    }
    return sides >= {peering.a, peering.b}


@lru_cache(1 << 12)
def route(table: int, network: int, wanted: FabricRoute, peering: Peering, both_sides: bool) -> Flow:
    """A route to a peering. Raises StateError when the peering isn't one of ``network``."""
    if network not in (peering.a, peering.b):
        raise StateError(f"{wanted.owner}: {peering.owner} doesn't connect network {network}")
    priority = 100 + wanted.destination.prefixlen
    to = match({ROUTE_TABLE: table}, ipv4_dst=wanted.destination)
    note = f"{wanted.destination} -> peering {peering.name}"
    if not both_sides:
        return Flow("routing", priority, to, owner=wanted.owner, note=f"{note}, to which only this side has a route")
    other = peering.b if network == peering.a else peering.a
    enter = (*LEAVE, SetField(NETWORK, other))
    return Flow("routing", priority, to, enter, "arrival", owner=wanted.owner, note=note)


def _eni_routes(view: FabricView, network: int) -> Iterator[FabricRoute]:
    """Routes to ENIs in all tables of a VPC, each destination once: who comes from outside has no table.
    The default route is for the VPC's own."""
    seen = set()
    for table in view.tables_of(network):
        for each in table.routes:
            if each.kind is NextHop.ENI and each.destination.prefixlen and each.destination not in seen:
                seen.add(each.destination)
                yield each


@lru_cache(1 << 12)
def _local(subnet: FabricSubnet) -> Flow:
    to = match({NETWORK: subnet.network}, ipv4_dst=subnet.cidr)
    return Flow("arrival", 300, to, goto="deliver", owner=subnet.owner, note=f"local {subnet.cidr}")


@lru_cache(1 << 14)
def _to_eni(network: int, wanted: FabricRoute, eni: Eni) -> Flow:
    to = match({NETWORK: network}, ipv4_dst=wanted.destination)
    actions = (SetField(DST_ENI, eni.id),)
    note = f"{wanted.destination} -> {eni.name}"
    return Flow("arrival", 100 + wanted.destination.prefixlen, to, actions, "receive", owner=wanted.owner, note=note)
