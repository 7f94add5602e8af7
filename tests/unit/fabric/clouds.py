"""A small cloud to judge: the one of the packet walks in ``controllers/fabric/pipeline.py``, and ways to change it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from controllers.fabric import compile_fabric
from controllers.openflow.packets import Packet, arp_request, ping, tcp, udp
from controllers.openflow.program import Program
from controllers.openflow.simulate import FakeSwitch, Outcome
from testbed.model.desired import (
    GATEWAY_MAC,
    INTERNET,
    Direction,
    DnatRule,
    EipBinding,
    Eni,
    FabricRoute,
    FabricRouteTable,
    FabricSecurityGroup,
    FabricState,
    FabricSubnet,
    NatGateway,
    Network,
    NextHop,
    Peering,
    Protocol,
    SecurityRule,
    SnatRule,
)

DATAPATH = 1
A, B, NODE, N2, P, Q, C, HOST, CARRIER = 3, 4, 6, 7, 8, 9, 11, 12, 5
"""Ids of the ENIs; also their ports, but P and Q are behind CARRIER's."""


def mac(number: int) -> str:
    return f"fa:16:3e:01:00:{number:02x}"


def eni(number: int, address: str, *, network: int = 1, subnet: str | None = "s1", **more: Any) -> Eni:
    values: dict[str, Any] = {
        "id": number,
        "name": f"eni-{number}",
        "network": network,
        "address": IPv4Address(address),
        "mac": mac(number),
        "port": number,
        "owner": f"Server/s{number}",
        "subnet": subnet,
        "security_groups": (f"vpc{network}/open",) if network else (),
        "filtered": network != INTERNET,
    }
    return Eni(**values | more)


def rule(direction: str, protocol: str = "all", **more: Any) -> SecurityRule:
    return SecurityRule(Direction(direction), Protocol(protocol), "SecurityGroup/test (lab.yaml:1)", **more)


def group(name: str, *rules: SecurityRule, network: int = 1) -> FabricSecurityGroup:
    return FabricSecurityGroup(name, network, rules, f"SecurityGroup/{name}")


def open_group(network: int) -> FabricSecurityGroup:
    return group(f"vpc{network}/open", rule("ingress"), rule("egress"), network=network)


def subnet(name: str, network: int, cidr: str, table: int) -> FabricSubnet:
    net = IPv4Network(cidr)
    return FabricSubnet(name, network, net, net[1], table, f"Subnet/{name}")


def route(destination: str, kind: NextHop, target: int) -> FabricRoute:
    return FabricRoute(IPv4Network(destination), kind, target, f"RouteTable/test ({destination})")


def table(number: int, network: int, *routes: FabricRoute) -> FabricRouteTable:
    return FabricRouteTable(number, f"t{number}", network, routes, f"RouteTable/t{number}")


BLOCKS = (route("172.16.0.0/25", NextHop.ENI, NODE), route("172.16.0.128/25", NextHop.ENI, N2))
TO_2, TO_1 = route("10.2.0.0/16", NextHop.PEERING, 1), route("10.0.0.0/16", NextHop.PEERING, 1)


def state(**changes: Any) -> FabricState:
    """VPC 1 with two servers, two nodes and two pods of their own; VPC 2 with one server; an internet host."""
    values: dict[str, Any] = {
        "generation": 1,
        "datapath_id": DATAPATH,
        "networks": (
            Network(INTERNET, "internet", (), "Internet"),
            Network(1, "vpc1", (IPv4Network("10.0.0.0/16"),), "Vpc/vpc1"),
            Network(2, "vpc2", (IPv4Network("10.2.0.0/16"),), "Vpc/vpc2"),
        ),
        "subnets": (
            subnet("s1", 1, "10.0.0.0/24", 1),
            subnet("pods", 1, "10.0.1.0/24", 1),
            subnet("s2", 2, "10.2.0.0/24", 2),
        ),
        "route_tables": (table(1, 1, *BLOCKS), table(2, 2)),
        "security_groups": (open_group(1), open_group(2)),
        "enis": (
            eni(A, "10.0.0.5"),
            eni(B, "10.0.0.9"),
            eni(CARRIER, "10.0.1.5", subnet="pods"),
            eni(NODE, "10.0.0.20", source_dest_check=False, sends_for=(BLOCKS[0].destination,)),
            eni(N2, "10.0.0.21", source_dest_check=False, sends_for=(BLOCKS[1].destination,)),
            eni(P, "10.0.1.7", subnet="pods", port=CARRIER, vlan=12),
            eni(Q, "10.0.1.8", subnet="pods", port=CARRIER, vlan=13),
            eni(C, "10.2.0.5", network=2, subnet="s2"),
            eni(HOST, "203.0.113.9", network=INTERNET, subnet=None),
        ),
    }
    return FabricState(**values | changes)


def change_eni(cloud: FabricState, number: int, **changes: Any) -> FabricState:
    return replace(cloud, enis=tuple(replace(e, **changes) if e.id == number else e for e in cloud.enis))


def with_groups(cloud: FabricState, number: int, *groups: FabricSecurityGroup) -> FabricState:
    """The ENI has exactly these groups."""
    kept = tuple(g for g in cloud.security_groups if g.name not in {new.name for new in groups})
    cloud = replace(cloud, security_groups=(*kept, *groups))
    return change_eni(cloud, number, security_groups=tuple(g.name for g in groups))


def peered(cloud: FabricState, *, from_1: bool = True, from_2: bool = True) -> FabricState:
    tables = (table(1, 1, *BLOCKS, *([TO_2] if from_1 else [])), table(2, 2, *([TO_1] if from_2 else [])))
    return replace(cloud, peerings=(Peering(1, "p12", 1, 2, "VpcPeering/p12"),), route_tables=tables)


def bind_eip(cloud: FabricState, address: str, number: int) -> FabricState:
    return replace(cloud, eips=(*cloud.eips, EipBinding(IPv4Address(address), number, f"ElasticIp/{address}")))


def nat_gateway(
    snat: Iterable[tuple[str, str]] = (), dnat: Iterable[tuple[str, int, str, int]] = (), network: int = 1
) -> NatGateway:
    owner = "NatGateway/nat"
    return NatGateway(
        1,
        "nat",
        network,
        tuple(SnatRule(IPv4Network(cidr), IPv4Address(eip), owner) for cidr, eip in snat),
        tuple(
            DnatRule(IPv4Address(eip), Protocol.TCP, port, IPv4Address(target), target_port, owner)
            for eip, port, target, target_port in dnat
        ),
        owner,
    )


def program(cloud: FabricState) -> Program:
    return compile_fabric(cloud)[cloud.datapath_id]


class Cloud:
    """The bridge of a state, seen by its ENIs: they resolve next hops and tag as the real ones do."""

    def __init__(self, cloud: FabricState) -> None:
        self.state = cloud
        self.switch = FakeSwitch(program(cloud))

    def become(self, cloud: FabricState) -> None:
        """The document changes; connections stay."""
        tracker = self.switch.tracker
        self.state, self.switch = cloud, FakeSwitch(program(cloud))
        self.switch.tracker = tracker

    def eni(self, number: int) -> Eni:
        return next(e for e in self.state.enis if e.id == number)

    def send(self, number: int, packet: Packet) -> Outcome:
        """``packet`` leaves ENI ``number``: next hop's MAC and the tag are filled in unless they were given."""
        sender = self.eni(number)
        fields: dict[str, Any] = {"vlan_vid": sender.vlan or 0}
        if packet.get("eth_src") == "02:00:00:00:00:01":
            fields["eth_src"] = sender.mac
        if packet.get("eth_dst") == "02:00:00:00:00:02":
            fields["eth_dst"] = self.next_hop(sender, packet)
        return self.switch.send(packet.but(**fields), sender.port)

    def next_hop(self, sender: Eni, packet: Packet) -> str:
        target = IPv4Address(packet.get("ipv4_dst") or "0.0.0.0")
        local = next((s for s in self.state.subnets if s.network == sender.network and s.name == sender.subnet), None)
        if local is None or target not in local.cidr:
            return GATEWAY_MAC
        answer = self.send(sender.id, arp_request(sender.mac, sender.address, target))
        return (answer.only.packet.get("arp_sha") or "") if answer.sent else GATEWAY_MAC

    def answer(self, number: int, received: Packet) -> Outcome:
        """ENI ``number`` answers a packet that it received."""
        reply = received.reply()
        return self.send(number, reply.but(eth_src=self.eni(number).mac, eth_dst="02:00:00:00:00:02"))


def arrives(outcome: Outcome, at: Eni, **fields: str) -> Packet:
    """Judge: exactly one packet left, to this ENI (port, tag, MAC), with these fields."""
    sent = outcome.only
    assert sent.port == at.port, outcome
    seen = {"vlan_vid": str(at.vlan or "none"), "eth_dst": at.mac, **fields}
    assert {name: sent.packet.get(name) for name in seen} == seen, outcome
    return sent.packet


def dropped_in(outcome: Outcome, where: str, note: str = "") -> None:
    """Judge: nothing left, and the last flow was in this table with this in its note."""
    assert outcome.sent == [], outcome
    assert outcome.last_flow is not None
    assert outcome.last_flow.table == where, outcome
    assert note in outcome.last_flow.note, outcome


__all__ = ["Cloud", "Packet", "arp_request", "arrives", "dropped_in", "ping", "tcp", "udp"]
