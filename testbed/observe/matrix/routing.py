"""Which way the cloud promises to send a packet: its own subnets, route tables, peerings, elastic IPs, NAT. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from testbed.model.desired import (
    INTERNET,
    DnatRule,
    Eni,
    FabricRoute,
    FabricState,
    NatGateway,
    NextHop,
    Protocol,
)
from testbed.observe.matrix.packets import Arrival, DeniedError, Packet, Question, Traffic


@dataclass(frozen=True)
class Way:
    """Routing of one packet that ``sender`` sends; ``answers`` what, if it is an answer."""

    state: FabricState
    enis: Mapping[int, Eni]
    by_address: Mapping[tuple[int, IPv4Address], Eni]
    sender: Eni
    answers: Question | None = None

    def route(self, packet: Packet) -> Arrival:
        sender = self.sender
        if sender.network == INTERNET:
            return self._internet(packet)
        if self._is_local(sender.network, packet.destination):
            return self._deliver(sender.network, packet)
        route = self._find_route(packet.destination)
        if route is None or not route.destination.prefixlen or route.kind is NextHop.NAT_GATEWAY:
            return self._leave(packet, route)
        return self._by_route(route, packet)

    def _find_route(self, destination: IPv4Address) -> FabricRoute | None:
        state, sender = self.state, self.sender
        subnet = next(one for one in state.subnets if (one.name, one.network) == (sender.subnet, sender.network))
        table = next(one for one in state.route_tables if one.id == subnet.route_table)
        return _longest([route for route in table.routes if destination in route.destination])

    def _by_route(self, route: FabricRoute, packet: Packet) -> Arrival:
        if route.kind is NextHop.PEERING:
            return self._by_peering(route, packet)
        eni = self.enis[route.target]
        if eni.source_dest_check:
            raise DeniedError(f"{eni.name}, to which {route.destination} is routed, checks source and destination")
        return Arrival(eni, packet)

    def _by_peering(self, route: FabricRoute, packet: Packet) -> Arrival:
        peering = next(one for one in self.state.peerings if one.id == route.target)
        sides = {network for network, each in self._routes() if (each.kind, each.target) == (route.kind, route.target)}
        if not sides >= {peering.a, peering.b}:
            raise DeniedError(f"only one side of peering {peering.name} has a route to it")
        return self._arrive(peering.b if self.sender.network == peering.a else peering.a, packet)

    def _arrive(self, network: int, packet: Packet) -> Arrival:
        """In another VPC: its own subnets and its routes to ENIs, and nothing further."""
        if self._is_local(network, packet.destination):
            return self._deliver(network, packet)
        route = _longest(
            [
                route
                for owner, route in self._routes()
                if (owner, route.kind) == (network, NextHop.ENI)
                and route.destination.prefixlen
                and packet.destination in route.destination
            ]
        )
        if route is None:
            raise DeniedError(f"no route to {packet.destination} in VPC {self._network(network)}")
        return self._by_route(route, packet)

    def _leave(self, packet: Packet, route: FabricRoute | None) -> Arrival:
        """To the internet: by the sender's own elastic IP, else where the default route says, else by a NAT gateway."""
        eip = next((one.address for one in self.state.eips if one.eni == self.sender.id), None)
        if eip is not None and packet.source == self.sender.address:
            return self._internet(_from(packet, eip))
        if route is not None and route.kind is not NextHop.NAT_GATEWAY:
            return self._by_route(route, packet)
        gateway = self._gateway(packet, route)
        if self.answers is not None and self.answers.there.dnat:
            return self._internet(_from(packet, self.answers.asked))
        rule = max((one for one in gateway.snat if packet.source in one.cidr), key=lambda one: one.cidr.prefixlen,
                   default=None)  # fmt: skip
        if rule is None:
            raise DeniedError(f"NAT gateway {gateway.name} has no rule for {packet.source}")
        return replace(self._internet(_from(packet, rule.eip)), snat=True)

    def _gateway(self, packet: Packet, route: FabricRoute | None) -> NatGateway:
        """The one that the route names; with no such route in the VPC, the one that has a rule for the sender."""
        gateways = [one for one in self.state.nat_gateways if one.network == self.sender.network]
        if route is not None:
            return next(one for one in gateways if one.id == route.target)
        if not any(
            each.kind is NextHop.NAT_GATEWAY for network, each in self._routes() if network == self.sender.network
        ):
            for gateway in gateways:
                if _serves(gateway, packet.source):
                    return gateway
        raise DeniedError(f"no route to {packet.destination}, and neither elastic IP nor NAT rule for {packet.source}")

    def _internet(self, packet: Packet) -> Arrival:
        """A public address: an elastic IP, one of a NAT gateway, an internet host."""
        asked = self.answers
        if asked is not None and asked.there.snat and packet.destination == asked.there.packet.source:
            return Arrival(asked.asker, packet)
        bound = {one.address: self.enis[one.eni] for one in self.state.eips}
        if packet.destination in bound:
            eni = bound[packet.destination]
            return Arrival(eni, replace(packet, destination=eni.address))
        for gateway in self.state.nat_gateways:
            for rule in gateway.dnat:
                if rule.eip == packet.destination and (inside := _translated(rule, packet)):
                    return replace(self._arrive(gateway.network, inside), dnat=True)
        return self._deliver(INTERNET, packet)

    def _deliver(self, network: int, packet: Packet) -> Arrival:
        eni = self.by_address.get((network, packet.destination))
        if eni is None:
            where = f"in VPC {self._network(network)}" if network != INTERNET else "in the internet"
            raise DeniedError(f"nobody {where} has the address {packet.destination}")
        return Arrival(eni, packet)

    def _is_local(self, network: int, address: IPv4Address) -> bool:
        return any(subnet.network == network and address in subnet.cidr for subnet in self.state.subnets)

    def _routes(self) -> Iterator[tuple[int, FabricRoute]]:
        for table in self.state.route_tables:
            for route in table.routes:
                yield table.network, route

    def _network(self, number: int) -> str:
        return next(network.name for network in self.state.networks if network.id == number)


def _translated(rule: DnatRule, packet: Packet) -> Packet | None:
    """What a DNAT rule makes of a packet to its address; None when it is not for it."""
    if rule.protocol is Protocol.ALL:
        return replace(packet, destination=rule.target, own=False)
    if (rule.protocol, rule.port) != (packet.traffic.protocol, packet.traffic.port):
        return None
    return replace(packet, destination=rule.target, traffic=Traffic(rule.protocol, rule.target_port), own=False)


def _from(packet: Packet, source: IPv4Address) -> Packet:
    return replace(packet, source=source, own=False)


def _longest(routes: list[FabricRoute]) -> FabricRoute | None:
    return max(routes, key=lambda route: route.destination.prefixlen, default=None)


def _serves(gateway: NatGateway, source: IPv4Address) -> bool:
    return any(source in rule.cidr for rule in gateway.snat) or any(rule.target == source for rule in gateway.dnat)
