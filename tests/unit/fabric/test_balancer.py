"""Layer-4 load balancers: listeners, members, whose address the member sees, who may come."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from controllers.fabric import StateError
from controllers.fabric.balancer import _slots
from testbed.model.desired import FabricLoadBalancer, FabricState, Listener, Member, Protocol
from tests.unit.fabric.clouds import (
    HOST,
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
    group,
    mac,
    peered,
    program,
    rule,
    state,
    tcp,
    with_groups,
)

VIP, EIP, SNAT = "10.0.0.100", "198.51.100.20", "100.125.0.9"
LB_MAC = "fa:16:3e:02:00:07"
A_TO_VIP = tcp("10.0.0.5", VIP, 80)


def member(address: str, port: int = 8080, weight: int = 1) -> Member:
    return Member(IPv4Address(address), port, "Pod/default/web", weight)


TO_P = (member("10.0.1.7"),)


def balanced(members: tuple[Member, ...] = TO_P, cloud: FabricState | None = None, **listener: Any) -> FabricState:
    wanted = Listener(Protocol.TCP, 80, members, "Service/default/web", **listener)
    hidden = None if wanted.keep_client else IPv4Address(SNAT)
    balancer = FabricLoadBalancer(
        40, "lb", 1, "s1", IPv4Address(VIP), LB_MAC, (wanted,), "LoadBalancer/lb", IPv4Address(EIP), hidden
    )
    return replace(cloud or state(), load_balancers=(balancer,))


def test_a_client_of_the_subnet_finds_the_balancer_by_arp() -> None:
    answer = Cloud(balanced()).send(A, arp_request(mac(A), "10.0.0.5", VIP)).only
    assert answer.packet.get("arp_sha") == LB_MAC


def test_the_member_sees_the_client_and_answers_as_the_balancer() -> None:
    cloud = Cloud(balanced())
    received = arrives(cloud.send(A, A_TO_VIP), cloud.eni(P), ipv4_src="10.0.0.5", ipv4_dst="10.0.1.7", tcp_dst="8080")
    assert received.get("eth_src") == LB_MAC
    answer = arrives(cloud.answer(P, received), cloud.eni(A), ipv4_src=VIP, tcp_src="80", tcp_dst="40000")
    assert answer.get("ip_ttl") == "63"
    arrives(cloud.send(A, A_TO_VIP), cloud.eni(P), tcp_dst="8080")


def test_its_groups_do_not_judge_what_the_balancer_brings() -> None:
    cloud = Cloud(with_groups(balanced(), P, group("vpc1/none")))
    received = arrives(cloud.send(A, A_TO_VIP), cloud.eni(P))
    arrives(cloud.answer(P, received), cloud.eni(A), ipv4_src=VIP)
    arrives(cloud.send(A, A_TO_VIP), cloud.eni(P))
    dropped_in(cloud.send(A, tcp("10.0.0.5", "10.0.1.7", 8080, source_port=40001)), "ingress_rules")


def test_a_hidden_client_is_judged_as_the_balancer() -> None:
    only_balancer = group("vpc1/lb", rule("ingress", cidr=IPv4Network("100.125.0.0/16")))
    cloud = Cloud(with_groups(balanced(keep_client=False), P, only_balancer))
    received = arrives(cloud.send(A, A_TO_VIP), cloud.eni(P), ipv4_src=SNAT, tcp_dst="8080")
    arrives(cloud.answer(P, received), cloud.eni(A), ipv4_src=VIP, tcp_dst="40000")
    arrives(cloud.send(A, A_TO_VIP), cloud.eni(P), ipv4_src=SNAT)
    closed = Cloud(with_groups(balanced(keep_client=False), P, group("vpc1/none")))
    dropped_in(closed.send(A, A_TO_VIP), "ingress_rules")


def test_from_the_internet_by_its_elastic_ip() -> None:
    cloud = Cloud(balanced())
    received = arrives(cloud.send(HOST, tcp("203.0.113.9", EIP, 80)), cloud.eni(P), ipv4_src="203.0.113.9")
    arrives(cloud.answer(P, received), cloud.eni(HOST), ipv4_src=EIP, tcp_src="80")


def test_from_a_peered_vpc() -> None:
    cloud = Cloud(balanced(cloud=peered(state())))
    received = arrives(cloud.send(C, tcp("10.2.0.5", VIP, 80)), cloud.eni(P), ipv4_src="10.2.0.5")
    arrives(cloud.answer(P, received), cloud.eni(C), ipv4_src=VIP)


def test_a_member_behind_a_node() -> None:
    cloud = Cloud(balanced((member("172.16.0.7"),)))
    received = arrives(cloud.send(A, A_TO_VIP), cloud.eni(NODE), ipv4_dst="172.16.0.7")
    arrives(cloud.answer(NODE, received), cloud.eni(A), ipv4_src=VIP)


def test_a_member_without_security_groups() -> None:
    cloud = Cloud(change_eni(balanced(), P, filtered=False))
    received = arrives(cloud.send(A, A_TO_VIP), cloud.eni(P))
    arrives(cloud.answer(P, received), cloud.eni(A), ipv4_src=VIP)


@pytest.mark.parametrize("address", ["10.0.1.7", "172.16.0.7"])
def test_who_is_no_member_any_more_still_answers_by_the_balancer(address: str) -> None:
    member_eni = P if address == "10.0.1.7" else NODE
    cloud = Cloud(balanced((member(address),)))
    received = arrives(cloud.send(A, A_TO_VIP), cloud.eni(member_eni))
    cloud.become(balanced((member("10.0.1.8"), member("172.16.0.9"))))
    arrives(cloud.answer(member_eni, received), cloud.eni(A), ipv4_src=VIP, tcp_src="80")
    arrives(cloud.send(A, A_TO_VIP), cloud.eni(member_eni), tcp_dst="8080")


def test_other_ports_and_other_sources() -> None:
    cloud = Cloud(balanced(source_ranges=(IPv4Network("10.0.0.0/30"), IPv4Network("203.0.113.0/24"))))
    dropped_in(cloud.send(A, A_TO_VIP), "balancer")
    arrives(cloud.send(HOST, tcp("203.0.113.9", EIP, 80)), cloud.eni(P))
    dropped_in(Cloud(balanced()).send(A, tcp("10.0.0.5", VIP, 81)), "balancer")


def test_no_members() -> None:
    dropped_in(Cloud(balanced(())).send(A, A_TO_VIP), "pick", "no healthy member")


def members_hit(cloud: Cloud, ports: range) -> list[str | None]:
    return [cloud.send(A, tcp("10.0.0.5", VIP, 80, source_port=port)).only.packet.get("ipv4_dst") for port in ports]


def test_connections_spread_by_weight_and_stay() -> None:
    cloud = Cloud(balanced((member("10.0.1.7", weight=3), member("10.0.1.8"), member("10.0.0.9", weight=0))))
    hit = members_hit(cloud, range(40000, 40200))
    assert set(hit) == {"10.0.1.7", "10.0.1.8"}
    assert hit.count("10.0.1.7") > 2 * hit.count("10.0.1.8")
    assert members_hit(cloud, range(40000, 40200)) == hit


def test_a_removed_member_keeps_its_connections() -> None:
    cloud = Cloud(balanced((member("10.0.1.7"), member("10.0.1.8"))))
    before = members_hit(cloud, range(40000, 40040))
    cloud.become(balanced((member("10.0.1.8"),)))
    assert members_hit(cloud, range(40000, 40040)) == before
    assert set(members_hit(cloud, range(41000, 41040))) == {"10.0.1.8"}


@pytest.mark.parametrize("listener", [{"algorithm": "source-ip"}, {"sticky_seconds": 60}])
def test_a_client_stays_with_its_member(listener: dict[str, Any]) -> None:
    cloud = Cloud(balanced((member("10.0.1.7"), member("10.0.1.8")), **listener))
    assert len(set(members_hit(cloud, range(40000, 40050)))) == 1


def test_slots_are_shared_out_by_weight() -> None:
    one, two, none = member("10.0.1.7", weight=1), member("10.0.1.8", weight=2), member("10.0.0.9", weight=0)
    slots = _slots((one, two, none))
    assert (len(slots), slots.count(one), slots.count(two), slots.count(none)) == (16, 5, 11, 0)
    many = tuple(member(f"10.0.2.{n}") for n in range(1, 11))
    assert {slot.address for slot in _slots(many)} == {m.address for m in many}


def test_a_member_that_dials_its_own_balancer_gets_no_answer() -> None:
    cloud = Cloud(balanced((member("10.0.0.9"),)))
    assert cloud.send(B, tcp("10.0.0.9", VIP, 80)).sent == []
    hidden = Cloud(balanced((member("10.0.0.9"),), keep_client=False))
    received = arrives(hidden.send(B, tcp("10.0.0.9", VIP, 80)), hidden.eni(B), ipv4_src=SNAT)
    arrives(hidden.answer(B, received), hidden.eni(B), ipv4_src=VIP, tcp_dst="40000")


def test_a_sub_eni_that_dials_its_own_balancer_hears_from_itself() -> None:
    cloud = Cloud(balanced((member("10.0.1.8"),)))
    arrives(cloud.send(Q, tcp("10.0.1.8", VIP, 80)), cloud.eni(Q), ipv4_src="10.0.1.8", ipv4_dst="10.0.1.8")
    arrives(cloud.send(P, tcp("10.0.1.7", VIP, 80)), cloud.eni(Q))


def test_a_balancer_shares_the_zones_of_vpcs() -> None:
    cloud = balanced()
    clash = replace(cloud, load_balancers=(replace(cloud.load_balancers[0], id=2),))
    with pytest.raises(StateError, match="both have id 2"):
        program(clash)
