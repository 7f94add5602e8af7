"""Tables hop and routing: the sender's gateway and its subnet's route table.

A packet to another subnet is addressed to the gateway's MAC: hop takes one from its time to live and sends on as
the gateway. Within a subnet it is addressed to its receiver, and nothing is changed. routing prefers, in this order:

1. the VPC's own subnets, whatever their prefix: a local route beats a route to an overlapping range;
2. routes of the sender's table, longest prefix first: an ENI, a peering, a NAT gateway;
3. what is left is for the internet, and so are the default route and routes to NAT gateways: internet_exit, where the
   sender's own elastic IP goes first. (A default route to a peering is a route like any other: peers never lead
   to the internet.)
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from controllers.fabric import peering
from controllers.fabric.errors import StateError
from controllers.fabric.fields import (
    DST_ENI,
    HAIRPIN,
    NAT_GATEWAY,
    NAT_ZONES,
    NETWORK,
    ROUTE_TABLE,
    SCRATCH,
    SRC_ENI,
)
from controllers.fabric.spoof_guard import OWNER
from controllers.fabric.view import FabricView
from controllers.openflow import Copy, DecTtl, Flow, SetField, match
from controllers.openflow.fields import ETH_DST, ETH_SRC, ICMPV4_TYPE, IPV4_DST, IPV4_SRC
from testbed.model.desired import GATEWAY_MAC, INTERNET, Eni, FabricRoute, FabricSubnet, NextHop

_IPV4 = 0x0800
LOCAL_PRIORITY = 300


def plan(view: FabricView) -> Iterator[Flow]:
    yield from _fixed()
    for subnet in view.state.subnets:
        yield _local(subnet)
        yield _ping_gateway(subnet)
    for table in view.state.route_tables:
        for route in table.routes:
            yield _custom(view, table.id, table.network, route)
    yield from _defaults_to_enis(view)


@lru_cache(1)
def _fixed() -> tuple[Flow, Flow]:
    to_gateway = match(eth_type=_IPV4, eth_dst=GATEWAY_MAC)
    onward = (DecTtl(), SetField(ETH_SRC, GATEWAY_MAC))
    internet = match({NETWORK: INTERNET}, eth_type=_IPV4)
    return (
        Flow("hop", 100, to_gateway, onward, "routing", owner=OWNER, note="sent to the gateway"),
        Flow("routing", 400, internet, goto="internet", owner=OWNER, note="the internet has no route tables"),
    )


@lru_cache(1 << 12)
def _ping_gateway(subnet: FabricSubnet) -> Flow:
    """The gateway answers echo requests; the answer goes to the ENI that asked, also for what is behind it.

    It needs no security group, and passes none: only user space can set an ICMP type, and what is done there
    step by step keeps no connection for a later table of the kernel's datapath.
    """
    echo = match({NETWORK: subnet.network}, ipv4_dst=subnet.gateway, icmpv4_type=8, icmpv4_code=0)
    actions = (
        SetField(ICMPV4_TYPE, 0),
        Copy(IPV4_SRC, SCRATCH),
        Copy(IPV4_DST, IPV4_SRC),
        Copy(SCRATCH, IPV4_DST),
        Copy(ETH_SRC, ETH_DST),
        SetField(ETH_SRC, GATEWAY_MAC),
        Copy(SRC_ENI, DST_ENI),
        SetField(HAIRPIN, 1),
    )
    return Flow("hop", 200, echo, actions, "output", owner=subnet.owner, note="the gateway answers pings")


@lru_cache(1 << 12)
def _local(subnet: FabricSubnet) -> Flow:
    to = match({NETWORK: subnet.network}, ipv4_dst=subnet.cidr)
    return Flow("routing", LOCAL_PRIORITY, to, goto="deliver", owner=subnet.owner, note=f"local {subnet.cidr}")


def _custom(view: FabricView, table: int, network: int, route: FabricRoute) -> Flow:
    match route.kind:
        case NextHop.ENI:
            return _to_eni(table, route, view.eni(route.target, route.owner))
        case NextHop.PEERING:
            if route.target not in view.peerings:
                raise StateError(f"{route.owner}: peering {route.target} isn't in the document")
            link = view.peerings[route.target]
            return peering.route(table, network, route, link, peering.works(view, link))
        case NextHop.NAT_GATEWAY:
            if route.target not in view.gateways:
                raise StateError(f"{route.owner}: NAT gateway {route.target} isn't in the document")
            return _to_gateway(table, route)


@lru_cache(1 << 14)
def _to_eni(table: int, route: FabricRoute, eni: Eni) -> Flow:
    to = match({ROUTE_TABLE: table}, ipv4_dst=route.destination)
    if not eni.source_dest_check:
        goto = "receive" if route.destination.prefixlen else "internet_exit"
        actions = (SetField(DST_ENI, eni.id),)
        return Flow("routing", _priority(route), to, actions, goto, owner=route.owner, note=_note(route, eni.name))
    note = f"{_note(route, eni.name)}, whose source/destination check is on"
    return Flow("routing", _priority(route), to, owner=route.owner, note=note)


@lru_cache(1 << 12)
def _to_gateway(table: int, route: FabricRoute) -> Flow:
    to = match({ROUTE_TABLE: table}, ipv4_dst=route.destination)
    actions = (SetField(NAT_GATEWAY, NAT_ZONES + route.target),)
    note = _note(route, f"NAT gateway {route.target}")
    return Flow("routing", _priority(route), to, actions, "internet_exit", owner=route.owner, note=note)


def _defaults_to_enis(view: FabricView) -> Iterator[Flow]:
    """A default route to a server that translates for others; packets with an elastic IP of their own left before."""
    targets = {
        route.target: route
        for table in view.state.route_tables
        for route in table.routes
        if route.kind is NextHop.ENI and not route.destination.prefixlen
    }
    for target, route in targets.items():
        chosen = match({DST_ENI: target}, eth_type=_IPV4)
        yield Flow("internet_exit", 200, chosen, goto="receive", owner=route.owner, note="default route")


def _priority(route: FabricRoute) -> int:
    """Longest prefix first, and all below the local routes."""
    return 100 + route.destination.prefixlen


def _note(route: FabricRoute, target: str) -> str:
    return f"{route.destination} -> {target}"
