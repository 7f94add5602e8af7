"""Packets between ENIs: same subnet, other subnet, sub-ENIs, node blocks, equal ranges in two VPCs, forgery."""

from __future__ import annotations

import pytest

from controllers.openflow.packets import packet
from testbed.model.desired import GATEWAY_MAC, FabricState, NextHop
from tests.unit.fabric.clouds import (
    BLOCKS,
    CARRIER,
    HOST,
    N2,
    NODE,
    A,
    B,
    C,
    Cloud,
    P,
    Q,
    arp_request,
    arrives,
    change_eni,
    dropped_in,
    eni,
    mac,
    ping,
    route,
    state,
    subnet,
    table,
    tcp,
    udp,
)


@pytest.fixture
def cloud() -> Cloud:
    return Cloud(state())


def test_same_subnet_changes_nothing_of_the_packet(cloud: Cloud) -> None:
    received = arrives(cloud.send(A, ping("10.0.0.5", "10.0.0.9")), cloud.eni(B), ipv4_src="10.0.0.5", ip_ttl="64")
    assert received.get("eth_src") == mac(A)
    arrives(cloud.answer(B, received), cloud.eni(A), ipv4_src="10.0.0.9", icmpv4_type="0")


def test_other_subnet_costs_one_hop_and_comes_from_the_gateway(cloud: Cloud) -> None:
    received = arrives(cloud.send(A, tcp("10.0.0.5", "10.0.1.7", 80)), cloud.eni(P), ip_ttl="63", eth_src=GATEWAY_MAC)
    arrives(cloud.answer(P, received), cloud.eni(A), ipv4_src="10.0.1.7", ip_ttl="63")


def test_the_last_hop_of_a_packet(cloud: Cloud) -> None:
    outcome = cloud.send(A, tcp("10.0.0.5", "10.0.1.7", 80, ip_ttl=1))
    assert outcome.sent == []
    assert "time to live" in str(outcome)


def test_two_sub_enis_behind_one_port(cloud: Cloud) -> None:
    received = arrives(cloud.send(P, tcp("10.0.1.7", "10.0.1.8", 80)), cloud.eni(Q), ipv4_src="10.0.1.7")
    arrives(cloud.answer(Q, received), cloud.eni(P))


def test_carrier_and_sub_eni_behind_one_port(cloud: Cloud) -> None:
    received = arrives(cloud.send(P, tcp("10.0.1.7", "10.0.1.5", 80)), cloud.eni(CARRIER))
    arrives(cloud.answer(CARRIER, received), cloud.eni(P))


def test_unknown_tag_and_tag_on_a_plain_port(cloud: Cloud) -> None:
    sent = tcp("10.0.1.7", "10.0.1.8", 80, eth_src=mac(P), eth_dst=mac(Q), vlan_vid=99)
    dropped_in(cloud.switch.send(sent, CARRIER), "classify")
    tagged = tcp("10.0.0.5", "10.0.0.9", 80, eth_src=mac(A), eth_dst=mac(B), vlan_vid=12)
    dropped_in(cloud.switch.send(tagged, A), "classify")


def test_node_block_is_routed_to_the_node_and_back(cloud: Cloud) -> None:
    received = arrives(cloud.send(A, tcp("10.0.0.5", "172.16.0.7", 80)), cloud.eni(NODE), ipv4_dst="172.16.0.7")
    arrives(cloud.answer(NODE, received), cloud.eni(A), ipv4_src="172.16.0.7")


def test_pod_to_pod_of_two_nodes(cloud: Cloud) -> None:
    received = arrives(cloud.send(NODE, tcp("172.16.0.7", "172.16.0.130", 80)), cloud.eni(N2), ipv4_src="172.16.0.7")
    arrives(cloud.answer(N2, received), cloud.eni(NODE), ipv4_src="172.16.0.130")


def test_without_the_route_only_that_nodes_pods_are_lost() -> None:
    cloud = Cloud(state(route_tables=(table(1, 1, BLOCKS[0]), table(2, 2))))
    arrives(cloud.send(A, tcp("10.0.0.5", "172.16.0.7", 80)), cloud.eni(NODE))
    dropped_in(cloud.send(A, tcp("10.0.0.5", "172.16.0.130", 80)), "internet_exit")


def test_a_node_gets_no_reflection_of_its_own_block(cloud: Cloud) -> None:
    assert cloud.send(NODE, tcp("172.16.0.7", "172.16.0.99", 80)).sent == []


def test_route_to_an_eni_that_checks_destinations_leads_nowhere() -> None:
    cloud = Cloud(change_eni(state(), NODE, source_dest_check=True))
    dropped_in(cloud.send(A, tcp("10.0.0.5", "172.16.0.7", 80)), "routing", "source/destination check is on")


def test_longest_prefix_wins_and_local_beats_both() -> None:
    routes = (
        route("172.16.0.0/16", NextHop.ENI, N2),
        route("172.16.3.0/24", NextHop.ENI, NODE),
        route("10.0.1.7/32", NextHop.ENI, NODE),
    )
    cloud = Cloud(state(route_tables=(table(1, 1, *routes), table(2, 2))))
    arrives(cloud.send(A, tcp("10.0.0.5", "172.16.3.1", 80)), cloud.eni(NODE))
    arrives(cloud.send(A, tcp("10.0.0.5", "172.16.4.1", 80)), cloud.eni(N2))
    arrives(cloud.send(A, tcp("10.0.0.5", "10.0.1.7", 80)), cloud.eni(P))


def test_route_tables_are_per_subnet() -> None:
    subnets = (
        subnet("s1", 1, "10.0.0.0/24", 1),
        subnet("pods", 1, "10.0.1.0/24", 3),
        subnet("s2", 2, "10.2.0.0/24", 2),
    )
    cloud = Cloud(state(subnets=subnets, route_tables=(table(1, 1, *BLOCKS), table(2, 2), table(3, 1))))
    arrives(cloud.send(A, tcp("10.0.0.5", "172.16.0.7", 80)), cloud.eni(NODE))
    dropped_in(cloud.send(P, tcp("10.0.1.7", "172.16.0.7", 80)), "internet_exit")


def twins() -> FabricState:
    """Two VPCs with equal ranges and equal addresses in them."""
    twin = (eni(21, "10.0.0.5", network=2, subnet="t"), eni(22, "10.0.0.9", network=2, subnet="t"))
    subnets = (*state().subnets[:2], subnet("t", 2, "10.0.0.0/24", 2))
    enis = (*(e for e in state().enis if e.id != C), *twin)
    return state(subnets=subnets, enis=enis)


def test_equal_addresses_in_two_vpcs_are_apart() -> None:
    cloud = Cloud(twins())
    arrives(cloud.send(A, tcp("10.0.0.5", "10.0.0.9", 80)), cloud.eni(B))
    arrives(cloud.send(21, tcp("10.0.0.5", "10.0.0.9", 80)), cloud.eni(22))
    dropped_in(cloud.send(21, tcp("10.0.0.5", "10.0.0.20", 80)), "deliver")


def test_no_path_between_vpcs_without_a_peering(cloud: Cloud) -> None:
    dropped_in(cloud.send(A, tcp("10.0.0.5", "10.2.0.5", 80)), "internet_exit")


@pytest.mark.parametrize(
    "changes",
    [
        {"ipv4_src": "10.0.0.9"},
        {"eth_src": mac(B)},
        {"ipv4_src": "10.0.0.9", "eth_src": mac(B)},
        {"ipv4_src": "172.16.0.7"},
    ],
)
def test_a_server_speaks_for_itself_only(cloud: Cloud, changes: dict[str, str]) -> None:
    sent = tcp("10.0.0.5", "10.0.0.9", 80, eth_dst=mac(B)).but(eth_src=mac(A)).but(**changes)
    dropped_in(cloud.switch.send(sent, A), "spoof_guard", "is not the ENI's")


def test_a_node_speaks_for_its_own_block_only(cloud: Cloud) -> None:
    dropped_in(cloud.send(NODE, tcp("172.16.0.130", "10.0.0.5", 80)), "spoof_guard")
    dropped_in(cloud.send(NODE, tcp("10.0.0.9", "10.0.0.5", 80)), "spoof_guard")


def test_a_server_without_the_check_forwards_for_anybody() -> None:
    cloud = Cloud(change_eni(state(), B, source_dest_check=False))
    arrives(cloud.send(B, tcp("192.0.2.1", "10.0.0.5", 80)), cloud.eni(A), ipv4_src="192.0.2.1")


def test_a_server_that_routes_lead_to_forwards_for_anybody() -> None:
    routed = state(route_tables=(table(1, 1, route("10.9.0.0/16", NextHop.ENI, B)),))
    cloud = Cloud(change_eni(routed, B, source_dest_check=False))
    arrives(cloud.send(A, tcp("10.0.0.5", "10.9.0.1", 80)), cloud.eni(B), ipv4_src="10.0.0.5")
    arrives(cloud.send(B, tcp("192.0.2.1", "10.0.0.5", 80)), cloud.eni(A), ipv4_src="192.0.2.1")


def test_arp_answers_for_who_exists(cloud: Cloud) -> None:
    for asked, owner in (("10.0.0.9", mac(B)), ("10.0.0.1", GATEWAY_MAC), ("10.0.0.20", mac(NODE))):
        answer = cloud.send(A, arp_request(mac(A), "10.0.0.5", asked)).only
        assert answer.port == A
        seen = {name: answer.packet.get(name) for name in ("arp_op", "arp_spa", "arp_sha", "arp_tpa", "arp_tha")}
        assert seen == {
            "arp_op": "2", "arp_spa": asked, "arp_sha": owner, "arp_tpa": "10.0.0.5", "arp_tha": mac(A),
        }  # fmt: skip
        assert (answer.packet.get("eth_src"), answer.packet.get("eth_dst")) == (owner, mac(A))
    dropped_in(cloud.send(A, arp_request(mac(A), "10.0.0.5", "10.0.0.77")), "arp")


def test_arp_answer_for_a_sub_eni_has_its_tag(cloud: Cloud) -> None:
    answer = cloud.send(P, arp_request(mac(P), "10.0.1.7", "10.0.1.8")).only
    assert (answer.port, answer.packet.get("vlan_vid"), answer.packet.get("arp_sha")) == (CARRIER, "12", mac(Q))


def test_arp_of_an_internet_host_is_always_answered(cloud: Cloud) -> None:
    answer = cloud.send(HOST, arp_request(mac(HOST), "203.0.113.9", "169.254.1.1")).only
    assert (answer.packet.get("arp_sha"), answer.packet.get("arp_spa")) == (GATEWAY_MAC, "169.254.1.1")
    dropped_in(cloud.send(HOST, arp_request(mac(HOST), "203.0.113.9", "203.0.113.9")), "arp")


@pytest.mark.parametrize(
    "forged",
    [
        {"arp_spa": "10.0.0.9"},
        {"arp_spa": "10.0.0.1"},
        {"arp_sha": "02:00:00:00:00:66"},
        {"eth_src": "02:00:00:00:00:66"},
        {"arp_op": 2},
    ],
)
def test_forged_arp_is_dropped(cloud: Cloud, forged: dict[str, str]) -> None:
    dropped_in(cloud.send(A, arp_request(mac(A), "10.0.0.5", "10.0.0.9").but(**forged)), "spoof_guard", "ARP")


def test_a_node_may_ask_in_the_name_of_its_pods_only(cloud: Cloud) -> None:
    answer = cloud.send(NODE, arp_request(mac(NODE), "172.16.0.7", "10.0.0.1")).only
    assert (answer.port, answer.packet.get("arp_sha")) == (NODE, GATEWAY_MAC)
    dropped_in(cloud.send(NODE, arp_request(mac(NODE), "172.16.0.130", "10.0.0.1")), "spoof_guard", "ARP")


def test_what_a_cloud_does_not_carry(cloud: Cloud) -> None:
    dhcp = udp("10.0.0.5", "10.0.0.9", 68, source_port=67)
    multicast = udp("10.0.0.5", "224.0.0.251", 5353, eth_dst="01:00:5e:00:00:fb")
    broadcast = udp("10.0.0.5", "10.0.0.255", 9, eth_dst="ff:ff:ff:ff:ff:ff")
    dropped_in(cloud.send(A, dhcp), "spoof_guard", "DHCP")
    dropped_in(cloud.send(A, multicast), "spoof_guard", "multicast")
    dropped_in(cloud.send(A, broadcast), "spoof_guard", "broadcast")
    for eth_type in (0x86DD, 0x88CC, 0x05DD):
        frame = packet(eth_src=mac(A), eth_dst=mac(B), eth_type=eth_type, vlan_vid=0)
        dropped_in(cloud.switch.send(frame, A), "spoof_guard")


def test_the_gateway_answers_pings(cloud: Cloud) -> None:
    arrives(cloud.send(A, ping("10.0.0.5", "10.0.0.1")), cloud.eni(A), ipv4_src="10.0.0.1", icmpv4_type="0")
    arrives(cloud.send(P, ping("10.0.1.7", "10.0.1.1")), cloud.eni(P), ipv4_src="10.0.1.1", icmpv4_type="0")
    arrives(cloud.send(NODE, ping("172.16.0.7", "10.0.0.1")), cloud.eni(NODE), ipv4_dst="172.16.0.7")
    dropped_in(cloud.send(A, tcp("10.0.0.5", "10.0.0.1", 80)), "deliver")
