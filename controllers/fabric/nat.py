"""NAT gateways: many addresses behind one elastic IP, with connection tracking in a zone of the gateway's own.

Out (SNAT): 10.0.1.7 -> 203.0.113.9, routed to the gateway: internet_exit -> tracked in the gateway's zone -> nat_out.
A known connection is already translated, a new one needs the SNAT rule that covers 10.0.1.7; it gets the rule's
address and a port of its own. Back: internet[to the gateway's address] -> same zone, translated back -> nat_in ->
arrival, which finds 10.0.1.7 in the VPC.

In (DNAT): 203.0.113.9 -> 198.51.100.8:80: nat_in[new, rule for port 80] -> 10.0.1.7:8080, which sees the client's
address. Its answer is routed to the gateway as any packet to the internet and translated back by the zone, unless
the server has an elastic IP, which goes first.

Implied default route: as the console adds a route when a gateway is made, a VPC none of whose tables names a NAT
gateway sends what nothing else takes to the gateway that has a rule for the sender.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from ipaddress import IPv4Address

from controllers.fabric.fields import HAIRPIN, NAT_GATEWAY, NAT_ZONES, NETWORK, SOURCE_OWN
from controllers.fabric.security import LEAVE
from controllers.fabric.spoof_guard import OWNER
from controllers.fabric.view import FabricView
from controllers.openflow import Action, Ct, CtClear, Dnat, Flow, Match, Nat, SetField, Snat, match
from controllers.openflow.fields import TCP_RESET, Value
from testbed.model.desired import INTERNET, DnatRule, NatGateway, NextHop, Protocol, SnatRule

PORTS = (1024, 65535)
"""Source ports that a gateway hands out."""

_IPV4 = 0x0800


def plan(view: FabricView) -> Iterator[Flow]:
    routed = _routed_networks(view)
    if view.state.nat_gateways:
        yield from (begins_nothing(table) for table in ("nat_out", "nat_in"))
    for gateway in view.state.nat_gateways:
        yield from _gateway(gateway)
        if gateway.network not in routed:
            yield from _implied(gateway)


def begins_nothing(table: str) -> Flow:
    """A late reset, of a connection that is forgotten: as one of its own nobody would answer it, and it would stay."""
    return Flow(table, 190, match(tcp_flags=TCP_RESET), owner=OWNER, note="a reset begins no connection")


def _routed_networks(view: FabricView) -> frozenset[int]:
    """VPCs with a route to a NAT gateway."""
    return frozenset(
        table.network
        for table in view.state.route_tables
        for route in table.routes
        if route.kind is NextHop.NAT_GATEWAY
    )


@lru_cache(1 << 10)
def _gateway(gateway: NatGateway) -> tuple[Flow, ...]:
    known = match({NAT_GATEWAY: NAT_ZONES + gateway.id}, eth_type=_IPV4)
    flows = [
        Flow("internet_exit", 200, known, _leave(gateway), owner=gateway.owner, note="routed to the NAT gateway"),
        *_known(gateway),
    ]
    flows += [_snat(gateway, rule) for rule in gateway.snat]
    flows += [_dnat(gateway, rule) for rule in gateway.dnat]
    flows += [_addressed(gateway, address) for address in sorted(_addresses(gateway))]
    return tuple(flows)


def _leave(gateway: NatGateway) -> tuple[Action, ...]:
    return (
        *LEAVE,
        SetField(NAT_GATEWAY, NAT_ZONES + gateway.id),
        SetField(SOURCE_OWN, 0),
        SetField(HAIRPIN, 1),
        Ct(NAT_GATEWAY, table="nat_out", nat=Nat()),
    )


def _known(gateway: NatGateway) -> Iterator[Flow]:
    """A connection stays new until it is answered, but its packets may be translated already."""
    ways = (("nat_out", "+trk+snat", INTERNET, "internet"), ("nat_in", "+trk+dnat", gateway.network, "arrival"))
    for table, translated, network, goto in ways:
        for state in ("+trk+est", translated, "+trk+rel"):
            what = match({NAT_GATEWAY: NAT_ZONES + gateway.id}, ct_state=state, eth_type=_IPV4)
            enter = (SetField(NETWORK, network),)
            yield Flow(table, 200, what, enter, goto, owner=gateway.owner, note="known and translated")


def _snat(gateway: NatGateway, rule: SnatRule) -> Flow:
    what = match({NAT_GATEWAY: NAT_ZONES + gateway.id}, ct_state="+trk+new", ipv4_src=rule.cidr)
    translate = Ct(NAT_GATEWAY, table="internet", commit=True, nat=Snat(rule.eip, ports=PORTS))
    actions = (SetField(NETWORK, INTERNET), translate)
    return Flow(
        "nat_out", 100 + rule.cidr.prefixlen, what, actions, owner=rule.owner, note=f"SNAT {rule.cidr} -> {rule.eip}"
    )


def _dnat(gateway: NatGateway, rule: DnatRule) -> Flow:
    priority, ports = (100, (rule.target_port, rule.target_port)) if rule.protocol in _PORT_FIELDS else (50, None)
    translate = Ct(NAT_GATEWAY, table="arrival", commit=True, nat=Dnat(rule.target, ports=ports))
    actions = (SetField(NETWORK, gateway.network), translate)
    note = f"DNAT {rule.eip}:{rule.port} -> {rule.target}:{rule.target_port}"
    return Flow("nat_in", priority, _dnat_match(gateway, rule), actions, owner=rule.owner, note=note)


_PORT_FIELDS = {Protocol.TCP: "tcp_dst", Protocol.UDP: "udp_dst"}


def _dnat_match(gateway: NatGateway, rule: DnatRule) -> Match:
    fields: dict[str, Value] = {"ipv4_dst": rule.eip, "ct_state": "+trk+new"}
    if rule.protocol in _PORT_FIELDS:
        fields[_PORT_FIELDS[rule.protocol]] = rule.port
    elif rule.protocol is Protocol.ICMP:
        fields["ip_proto"] = 1
    return match({NAT_GATEWAY: NAT_ZONES + gateway.id}, **fields)


def _addresses(gateway: NatGateway) -> set[IPv4Address]:
    return {rule.eip for rule in gateway.snat} | {rule.eip for rule in gateway.dnat}


def _addressed(gateway: NatGateway, address: IPv4Address) -> Flow:
    """A packet may come from behind the same gateway, translated in its zone a moment ago; the datapaths look a
    packet up in one zone twice only if it forgot the first time."""
    back: tuple[Action, ...] = (SetField(NAT_GATEWAY, NAT_ZONES + gateway.id), CtClear())
    note = f"{address} is an address of the NAT gateway"
    actions = (*back, Ct(NAT_GATEWAY, table="nat_in", nat=Nat()))
    return Flow("internet", 100, match(ipv4_dst=address), actions, owner=gateway.owner, note=note)


@lru_cache(1 << 10)
def _implied(gateway: NatGateway) -> tuple[Flow, ...]:
    """Nothing more specific decided (NAT_GATEWAY is 0, priority is low) and a rule has the sender."""
    sources: dict[Value, None] = {rule.cidr: None for rule in gateway.snat}
    sources |= {rule.target: None for rule in gateway.dnat}
    return tuple(
        Flow(
            "internet_exit",
            100,
            match({NETWORK: gateway.network}, ipv4_src=source),
            _leave(gateway),
            owner=gateway.owner,
            note=f"implied default route of {source}",
        )
        for source in sources
    )
