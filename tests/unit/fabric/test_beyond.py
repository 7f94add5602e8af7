"""Beyond the VPC: peerings, elastic IPs, NAT gateways and who goes first."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network

import pytest

from controllers.fabric import StateError
from controllers.openflow.program import ProgramError
from testbed.model.desired import FabricState, NatGateway, Network, NextHop, Peering
from tests.unit.fabric.clouds import (
    BLOCKS,
    HOST,
    NODE,
    TO_1,
    TO_2,
    A,
    B,
    C,
    Cloud,
    P,
    arrives,
    bind_eip,
    change_eni,
    dropped_in,
    eni,
    group,
    nat_gateway,
    open_group,
    peered,
    program,
    route,
    rule,
    state,
    subnet,
    table,
    tcp,
    udp,
    with_groups,
)

A_TO_C = tcp("10.0.0.5", "10.2.0.5", 80)
A_TO_HOST = tcp("10.0.0.5", "203.0.113.9", 80)
EIP_A, EIP_B, EIP_NAT = "198.51.100.5", "198.51.100.6", "198.51.100.8"


# Peerings


def test_peering_both_ways_keeps_addresses() -> None:
    cloud = Cloud(peered(state()))
    received = arrives(cloud.send(A, A_TO_C), cloud.eni(C), ipv4_src="10.0.0.5", ip_ttl="63")
    arrives(cloud.answer(C, received), cloud.eni(A), ipv4_src="10.2.0.5")
    arrives(cloud.send(C, tcp("10.2.0.5", "10.0.1.7", 80)), cloud.eni(P))


@pytest.mark.parametrize(("from_1", "from_2"), [(True, False), (False, True)])
def test_a_route_on_one_side_only_gives_no_communication(from_1: bool, from_2: bool) -> None:
    cloud = Cloud(peered(state(), from_1=from_1, from_2=from_2))
    assert cloud.send(A, A_TO_C).sent == []
    assert cloud.send(C, tcp("10.2.0.5", "10.0.0.5", 80)).sent == []


def test_one_sided_routes_say_so() -> None:
    cloud = Cloud(peered(state(), from_2=False))
    dropped_in(cloud.send(A, A_TO_C), "routing", "to which only this side has a route")


def chain(*extra_of_1: int) -> FabricState:
    """VPCs 1 - 2 - 3, peered in a row, everybody with routes to everybody."""
    cloud = state()
    to_3, from_3 = route("10.3.0.0/16", NextHop.PEERING, 1), route("10.0.0.0/15", NextHop.PEERING, 2)
    return replace(
        cloud,
        networks=(*cloud.networks, Network(3, "vpc3", (IPv4Network("10.3.0.0/16"),), "Vpc/vpc3")),
        subnets=(*cloud.subnets, subnet("s3", 3, "10.3.0.0/24", 3)),
        security_groups=(*cloud.security_groups, open_group(3)),
        enis=(*cloud.enis, eni(31, "10.3.0.5", network=3, subnet="s3")),
        peerings=(Peering(1, "p12", 1, 2, "VpcPeering/p12"), Peering(2, "p23", 2, 3, "VpcPeering/p23")),
        route_tables=(
            table(1, 1, TO_2, to_3),
            table(2, 2, TO_1, route("10.3.0.0/16", NextHop.PEERING, 2)),
            table(3, 3, from_3, route("10.2.0.0/16", NextHop.PEERING, 2)),
        ),
    )


def test_peering_is_not_transitive() -> None:
    cloud = Cloud(chain())
    arrives(cloud.send(A, A_TO_C), cloud.eni(C))
    arrives(cloud.send(C, tcp("10.2.0.5", "10.3.0.5", 80)), cloud.eni(31))
    dropped_in(cloud.send(A, tcp("10.0.0.5", "10.3.0.5", 80)), "arrival")
    dropped_in(cloud.send(31, tcp("10.3.0.5", "10.0.0.5", 80)), "arrival")


def test_container_range_needs_a_route_of_its_own_in_the_peer() -> None:
    to_pod = tcp("10.2.0.5", "172.16.0.7", 80)
    dropped_in(Cloud(peered(state())).send(C, to_pod), "internet_exit")
    with_route = replace(
        peered(state()),
        route_tables=(table(1, 1, *BLOCKS, TO_2), table(2, 2, TO_1, route("172.16.0.0/16", NextHop.PEERING, 1))),
    )
    cloud = Cloud(with_route)
    received = arrives(cloud.send(C, to_pod), cloud.eni(NODE), ipv4_src="10.2.0.5", ipv4_dst="172.16.0.7")
    arrives(cloud.answer(NODE, received), cloud.eni(C), ipv4_src="172.16.0.7")


def test_a_local_subnet_beats_a_peering_route() -> None:
    cloud = peered(state())
    overlapping = replace(
        cloud, route_tables=(table(1, 1, route("10.0.0.9/32", NextHop.PEERING, 1)), table(2, 2, TO_1))
    )
    lab = Cloud(overlapping)
    arrives(lab.send(A, tcp("10.0.0.5", "10.0.0.9", 80)), lab.eni(B))


def test_a_peer_does_not_share_its_way_to_the_internet() -> None:
    cloud = bind_eip(peered(state()), EIP_B, C)
    default = route("0.0.0.0/0", NextHop.PEERING, 1)
    lab = Cloud(replace(cloud, route_tables=(table(1, 1, default), table(2, 2, TO_1))))
    dropped_in(lab.send(A, A_TO_HOST), "arrival")


# Elastic IPs


def test_elastic_ip_out_and_back() -> None:
    cloud = Cloud(bind_eip(state(), EIP_A, A))
    received = arrives(cloud.send(A, A_TO_HOST), cloud.eni(HOST), ipv4_src=EIP_A, ip_ttl="63")
    arrives(cloud.answer(HOST, received), cloud.eni(A), ipv4_src="203.0.113.9", ipv4_dst="10.0.0.5")


def test_elastic_ip_inbound_is_judged_with_the_clients_address() -> None:
    only_host = group("vpc1/public", rule("ingress", "tcp", ports=(80, 80), cidr=IPv4Network("203.0.113.9/32")))
    cloud = Cloud(with_groups(bind_eip(state(), EIP_A, A), A, only_host))
    received = arrives(cloud.send(HOST, tcp("203.0.113.9", EIP_A, 80)), cloud.eni(A), ipv4_src="203.0.113.9")
    arrives(cloud.answer(A, received), cloud.eni(HOST), ipv4_src=EIP_A)
    dropped_in(cloud.send(HOST, tcp("203.0.113.9", EIP_A, 22)), "ingress_rules")


def test_no_way_out_without_eip_or_gateway() -> None:
    dropped_in(Cloud(state()).send(A, A_TO_HOST), "internet_exit")


def test_only_the_nodes_own_address_has_its_elastic_ip() -> None:
    cloud = Cloud(bind_eip(state(), EIP_A, NODE))
    arrives(cloud.send(NODE, tcp("10.0.0.20", "203.0.113.9", 80)), cloud.eni(HOST), ipv4_src=EIP_A)
    dropped_in(cloud.send(NODE, tcp("172.16.0.7", "203.0.113.9", 80)), "internet_exit")


def test_to_the_elastic_ip_of_a_neighbour_by_the_internet() -> None:
    cloud = Cloud(bind_eip(bind_eip(state(), EIP_A, A), EIP_B, B))
    received = arrives(cloud.send(A, tcp("10.0.0.5", EIP_B, 80)), cloud.eni(B), ipv4_src=EIP_A, ipv4_dst="10.0.0.9")
    arrives(cloud.answer(B, received), cloud.eni(A), ipv4_src=EIP_B)
    dropped_in(cloud.send(P, tcp("10.0.1.7", EIP_B, 80)), "internet_exit")


def test_to_ones_own_elastic_ip() -> None:
    cloud = Cloud(bind_eip(state(), EIP_A, NODE))
    received = arrives(cloud.send(NODE, tcp("10.0.0.20", EIP_A, 30080)), cloud.eni(NODE), ipv4_src=EIP_A)
    arrives(cloud.answer(NODE, received), cloud.eni(NODE), ipv4_src=EIP_A, ipv4_dst="10.0.0.20")


def test_an_address_bound_twice_is_refused() -> None:
    with pytest.raises(ProgramError, match=EIP_A):
        program(bind_eip(bind_eip(state(), EIP_A, A), EIP_A, B))


def test_a_dangling_binding_is_named() -> None:
    with pytest.raises(StateError, match=f"ElasticIp/{EIP_A}: ENI 77 isn't in the document"):
        program(bind_eip(state(), EIP_A, 77))


# NAT gateways

TO_NAT = route("0.0.0.0/0", NextHop.NAT_GATEWAY, 1)


def natted(gateway: NatGateway, *, routed: bool = True) -> FabricState:
    return state(
        nat_gateways=(gateway,),
        route_tables=(table(1, 1, *BLOCKS, *([TO_NAT] if routed else [])), table(2, 2)),
    )


@pytest.mark.parametrize("routed", [True, False])
def test_source_translation_for_the_subnets_of_its_rules(routed: bool) -> None:
    cloud = Cloud(natted(nat_gateway(snat=[("10.0.0.0/24", EIP_NAT)]), routed=routed))
    received = arrives(cloud.send(A, A_TO_HOST), cloud.eni(HOST), ipv4_src=EIP_NAT)
    assert arrives(cloud.send(A, A_TO_HOST), cloud.eni(HOST)) == received, "sent again before the answer"
    arrives(cloud.answer(HOST, received), cloud.eni(A), ipv4_src="203.0.113.9", ipv4_dst="10.0.0.5", tcp_dst="40000")
    arrives(cloud.send(A, A_TO_HOST), cloud.eni(HOST), ipv4_src=EIP_NAT)
    assert cloud.send(P, tcp("10.0.1.7", "203.0.113.9", 80)).sent == []


def test_two_servers_with_one_port_behind_one_address() -> None:
    cloud = Cloud(natted(nat_gateway(snat=[("10.0.0.0/24", EIP_NAT)])))
    first = arrives(cloud.send(A, A_TO_HOST), cloud.eni(HOST), ipv4_src=EIP_NAT)
    second = arrives(cloud.send(B, tcp("10.0.0.9", "203.0.113.9", 80)), cloud.eni(HOST), ipv4_src=EIP_NAT)
    assert first.get("tcp_src") != second.get("tcp_src")
    arrives(cloud.answer(HOST, second), cloud.eni(B), tcp_dst="40000")
    arrives(cloud.answer(HOST, first), cloud.eni(A), tcp_dst="40000")


def test_source_translation_of_a_container_range() -> None:
    cloud = Cloud(natted(nat_gateway(snat=[("172.16.0.0/16", EIP_NAT)])))
    received = arrives(cloud.send(NODE, tcp("172.16.0.7", "203.0.113.9", 80)), cloud.eni(HOST), ipv4_src=EIP_NAT)
    arrives(cloud.answer(HOST, received), cloud.eni(NODE), ipv4_dst="172.16.0.7")


def test_a_gateway_is_not_a_way_in() -> None:
    cloud = Cloud(natted(nat_gateway(snat=[("10.0.0.0/24", EIP_NAT)])))
    dropped_in(cloud.send(HOST, tcp("203.0.113.9", EIP_NAT, 80)), "nat_in")


def test_a_reset_begins_no_connection() -> None:
    cloud = Cloud(natted(nat_gateway(snat=[("10.0.0.0/24", EIP_NAT)], dnat=[(EIP_NAT, 80, "10.0.0.9", 8080)])))
    reset = tcp("10.0.0.5", "203.0.113.9", 80, tcp_flags=4)
    dropped_in(cloud.send(A, reset), "nat_out")
    dropped_in(cloud.send(HOST, tcp("203.0.113.9", EIP_NAT, 80, tcp_flags=4)), "nat_in")
    arrives(cloud.send(A, A_TO_HOST), cloud.eni(HOST), ipv4_src=EIP_NAT)
    arrives(cloud.send(A, reset), cloud.eni(HOST), ipv4_src=EIP_NAT)


@pytest.mark.parametrize("routed", [True, False])
def test_destination_translation_keeps_the_client(routed: bool) -> None:
    cloud = Cloud(natted(nat_gateway(dnat=[(EIP_NAT, 80, "10.0.0.9", 8080)]), routed=routed))
    sent = tcp("203.0.113.9", EIP_NAT, 80)
    received = arrives(cloud.send(HOST, sent), cloud.eni(B), ipv4_src="203.0.113.9", tcp_dst="8080")
    arrives(cloud.send(HOST, sent), cloud.eni(B), tcp_dst="8080")
    arrives(cloud.answer(B, received), cloud.eni(HOST), ipv4_src=EIP_NAT, tcp_src="80")
    arrives(cloud.send(HOST, sent), cloud.eni(B), tcp_dst="8080")
    dropped_in(cloud.send(HOST, tcp("203.0.113.9", EIP_NAT, 81)), "nat_in")
    dropped_in(cloud.send(HOST, udp("203.0.113.9", EIP_NAT, 80)), "nat_in")


def test_destination_translation_asks_the_security_group() -> None:
    cloud = natted(nat_gateway(dnat=[(EIP_NAT, 80, "10.0.0.9", 8080)]))
    lab = Cloud(with_groups(cloud, B, group("vpc1/none")))
    dropped_in(lab.send(HOST, tcp("203.0.113.9", EIP_NAT, 80)), "ingress_rules")


def test_elastic_ip_before_route_before_gateway() -> None:
    cloud = bind_eip(natted(nat_gateway(snat=[("10.0.0.0/24", EIP_NAT)])), EIP_A, A)
    lab = Cloud(cloud)
    arrives(lab.send(A, A_TO_HOST), lab.eni(HOST), ipv4_src=EIP_A)
    arrives(lab.send(B, tcp("10.0.0.9", "203.0.113.9", 80)), lab.eni(HOST), ipv4_src=EIP_NAT)


def test_a_custom_default_route_goes_before_an_implied_gateway() -> None:
    cloud = natted(nat_gateway(snat=[("10.0.0.0/16", EIP_NAT)]), routed=False)
    default = route("0.0.0.0/0", NextHop.ENI, B)
    cloud = replace(cloud, route_tables=(table(1, 1, default), table(2, 2)))
    lab = Cloud(change_eni(bind_eip(cloud, EIP_A, A), B, source_dest_check=False))
    arrives(lab.send(P, tcp("10.0.1.7", "203.0.113.9", 80)), lab.eni(B), ipv4_src="10.0.1.7")
    arrives(lab.send(A, A_TO_HOST), lab.eni(HOST), ipv4_src=EIP_A)


def test_an_explicit_route_in_one_table_leaves_the_others_without() -> None:
    cloud = natted(nat_gateway(snat=[("10.0.0.0/16", EIP_NAT)]))
    subnets = (subnet("s1", 1, "10.0.0.0/24", 1), subnet("pods", 1, "10.0.1.0/24", 3), cloud.subnets[2])
    lab = Cloud(replace(cloud, subnets=subnets, route_tables=(*cloud.route_tables, table(3, 1))))
    arrives(lab.send(A, A_TO_HOST), lab.eni(HOST))
    dropped_in(lab.send(P, tcp("10.0.1.7", "203.0.113.9", 80)), "internet_exit")


def test_translated_server_with_another_elastic_ip_answers_by_that_one() -> None:
    """The client dialled the gateway's address and gets an answer from the server's: the connection fails."""
    cloud = bind_eip(natted(nat_gateway(dnat=[(EIP_NAT, 80, "10.0.0.9", 80)])), EIP_B, B)
    lab = Cloud(cloud)
    received = arrives(lab.send(HOST, tcp("203.0.113.9", EIP_NAT, 80)), lab.eni(B))
    arrives(lab.answer(B, received), lab.eni(HOST), ipv4_src=EIP_B)


def test_from_behind_the_gateway_to_its_own_port() -> None:
    gateway = nat_gateway(snat=[("10.0.0.0/24", EIP_NAT)], dnat=[(EIP_NAT, 80, "10.0.0.9", 8080)])
    cloud = Cloud(natted(gateway))
    received = arrives(cloud.send(A, tcp("10.0.0.5", EIP_NAT, 80)), cloud.eni(B), ipv4_src=EIP_NAT, tcp_dst="8080")
    arrives(cloud.answer(B, received), cloud.eni(A), ipv4_src=EIP_NAT, tcp_src="80", tcp_dst="40000")
