"""Security groups: allow lists, state, changed rules, references to groups, profiles."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.fabric import StateError
from controllers.fabric.numbering import port_masks, stable_numbers
from controllers.openflow.fields import TCP_DST
from testbed.model.desired import FabricSecurityGroup, FabricState
from tests.unit.fabric.clouds import (
    NODE,
    A,
    B,
    Cloud,
    P,
    arrives,
    change_eni,
    dropped_in,
    eni,
    group,
    open_group,
    ping,
    program,
    rule,
    state,
    table,
    tcp,
    udp,
    with_groups,
)

NOBODY_IN = group("vpc1/closed", rule("egress"))
ACK = 0x010
A_TO_B = tcp("10.0.0.5", "10.0.0.9", 80)


def web(*ports: int, cidr: str = "10.0.0.0/24") -> FabricSecurityGroup:
    allowed = (rule("ingress", "tcp", ports=(port, port), cidr=IPv4Network(cidr)) for port in ports)
    return group("vpc1/web", *allowed)


def test_inbound_rules_name_protocol_port_and_source() -> None:
    cloud = Cloud(with_groups(state(), B, web(80)))
    arrives(cloud.send(A, A_TO_B), cloud.eni(B))
    dropped_in(cloud.send(A, tcp("10.0.0.5", "10.0.0.9", 81)), "ingress_rules", "no inbound rule")
    dropped_in(cloud.send(A, udp("10.0.0.5", "10.0.0.9", 80)), "ingress_rules")
    dropped_in(cloud.send(A, ping("10.0.0.5", "10.0.0.9")), "ingress_rules")
    dropped_in(cloud.send(P, tcp("10.0.1.7", "10.0.0.9", 80)), "ingress_rules")


def test_a_drop_names_the_groups_in_the_way() -> None:
    cloud = Cloud(with_groups(state(), B, web(80), NOBODY_IN))
    outcome = cloud.send(A, ping("10.0.0.5", "10.0.0.9"))
    assert outcome.last_flow is not None
    assert outcome.last_flow.owner == "SecurityGroup/vpc1/closed+vpc1/web"


def test_answers_pass_without_a_rule() -> None:
    cloud = Cloud(with_groups(with_groups(state(), B, web(80)), A, NOBODY_IN))
    received = arrives(cloud.send(A, A_TO_B), cloud.eni(B))
    arrives(cloud.answer(B, received), cloud.eni(A))
    arrives(cloud.send(A, A_TO_B), cloud.eni(B))
    dropped_in(cloud.send(B, tcp("10.0.0.9", "10.0.0.5", 22)), "egress_rules", "no outbound rule")


def test_no_groups_means_nothing_in_or_out() -> None:
    cloud = Cloud(change_eni(state(), B, security_groups=()))
    dropped_in(cloud.send(A, A_TO_B), "ingress_rules")
    dropped_in(cloud.send(B, tcp("10.0.0.9", "10.0.0.5", 80)), "egress_rules")


def test_unfiltered_enis_are_not_even_tracked() -> None:
    cloud = Cloud(change_eni(change_eni(state(), A, filtered=False), B, filtered=False))
    outcome = cloud.send(A, A_TO_B)
    arrives(outcome, cloud.eni(B))
    assert "ct zone" not in str(outcome)


def test_outbound_rules() -> None:
    out = group("vpc1/out", rule("egress", "tcp", ports=(80, 80), cidr=IPv4Network("10.0.0.9/32")))
    cloud = Cloud(with_groups(state(), A, out))
    arrives(cloud.send(A, A_TO_B), cloud.eni(B))
    dropped_in(cloud.send(A, tcp("10.0.0.5", "10.0.0.20", 80)), "egress_rules")
    dropped_in(cloud.send(A, udp("10.0.0.5", "10.0.0.9", 80)), "egress_rules")


def test_tightening_an_inbound_rule_cuts_a_live_connection() -> None:
    cloud = Cloud(with_groups(state(), B, web(80, 443)))
    cloud.answer(B, arrives(cloud.send(A, A_TO_B), cloud.eni(B)))
    arrives(cloud.send(A, A_TO_B), cloud.eni(B))
    cloud.become(with_groups(state(), B, web(443)))
    dropped_in(cloud.send(A, A_TO_B), "ingress_rules", "no inbound rule")


def test_tightening_an_outbound_rule_leaves_live_connections() -> None:
    cloud = Cloud(state())
    cloud.answer(B, arrives(cloud.send(A, A_TO_B), cloud.eni(B)))
    cloud.become(with_groups(state(), A, group("vpc1/silent", rule("ingress"))))
    arrives(cloud.send(A, A_TO_B.but(tcp_flags=ACK)), cloud.eni(B))
    dropped_in(cloud.send(A, A_TO_B.but(tcp_src=40001)), "egress_rules")


def test_the_ports_of_a_known_connection_open_no_other_one() -> None:
    """The address may be somebody else's by now."""
    cloud = Cloud(state())
    cloud.answer(B, arrives(cloud.send(A, A_TO_B), cloud.eni(B)))
    cloud.become(with_groups(state(), A, group("vpc1/silent", rule("ingress"))))
    dropped_in(cloud.send(A, A_TO_B), "egress_rules", "no outbound rule")


def test_who_was_not_let_in_has_nothing_to_answer() -> None:
    """From the port that a asked, b may send what its own outbound rules allow, and that is then b's connection."""
    asks, answers = udp("10.0.0.5", "10.0.0.9", 500, 500), udp("10.0.0.9", "10.0.0.5", 500, 500)
    closed = with_groups(with_groups(state(), A, NOBODY_IN), B, group("vpc1/mute"))
    cloud = Cloud(closed)
    dropped_in(cloud.send(A, asks), "ingress_rules")
    dropped_in(cloud.send(B, answers), "egress_rules", "no outbound rule")
    cloud.become(with_groups(with_groups(closed, B, NOBODY_IN), A, open_group(1)))
    arrives(cloud.send(B, answers), cloud.eni(A))
    arrives(cloud.send(A, asks), cloud.eni(B))
    cloud.become(with_groups(with_groups(closed, B, NOBODY_IN), A, NOBODY_IN))
    dropped_in(cloud.send(B, answers), "ingress_rules")


def test_what_rules_let_pass_on_both_sides_is_remembered_but_not_looked_up() -> None:
    cloud = Cloud(state())
    asked = cloud.send(A, A_TO_B)
    for outcome in (asked, cloud.answer(B, arrives(asked, cloud.eni(B))), cloud.send(A, A_TO_B.but(tcp_flags=ACK))):
        assert outcome.only.recirculations == 0
        assert str(outcome).count("ct zone") == 1
    assert len(cloud.switch.tracker.zones[1]) == 1


def test_one_lookup_for_both_sides() -> None:
    """Where no rule lets the answer out, and where none lets it in."""
    for who in (A, B):
        cloud = Cloud(with_groups(state(), A, NOBODY_IN) if who == A else with_groups(state(), B, web(80)))
        answer = cloud.answer(B, arrives(cloud.send(A, A_TO_B), cloud.eni(B)))
        assert answer.only.recirculations == 1
        assert str(answer).count("ct zone") == 1


def test_who_is_refused_leaves_no_trace() -> None:
    cloud = Cloud(with_groups(state(), B, web(443)))
    dropped_in(cloud.send(A, A_TO_B), "ingress_rules")
    assert not cloud.switch.tracker.zones.get(1)


def test_answers_of_who_is_not_tracked_pass_without_a_rule() -> None:
    cloud = Cloud(change_eni(with_groups(state(), A, NOBODY_IN), B, filtered=False))
    arrives(cloud.answer(B, arrives(cloud.send(A, A_TO_B), cloud.eni(B))), cloud.eni(A))
    dropped_in(cloud.send(B, tcp("10.0.0.9", "10.0.0.5", 80)), "ingress_rules")


def test_rules_without_ports_go_first() -> None:
    """Else the datapath would have to tell ports apart also for whom they don't matter."""
    flows = program(with_groups(state(), B, group("vpc1/both", rule("ingress"), *web(80).rules))).flows.values()
    allowing = [flow for flow in flows if flow.table == "ingress_rules" and flow.goto == "accept"]
    with_ports = {flow.priority for flow in allowing if flow.match.get(TCP_DST)}
    without = {flow.priority for flow in allowing if not flow.match.get(TCP_DST)}
    assert min(without) > max(with_ports), allowing


def members_only() -> FabricState:
    """B takes what members of ``peers`` send; A and NODE are members."""
    peers = group("vpc1/peers", rule("egress"))
    inside = group("vpc1/inside", rule("ingress", group="vpc1/peers"), rule("egress"))
    cloud = with_groups(with_groups(with_groups(state(), A, peers), NODE, peers), B, inside)
    return replace(cloud, security_groups=(open_group(1), open_group(2), peers, inside))


def test_members_of_a_group_by_their_own_addresses() -> None:
    cloud = Cloud(members_only())
    arrives(cloud.send(A, A_TO_B), cloud.eni(B))
    arrives(cloud.send(NODE, tcp("10.0.0.20", "10.0.0.9", 80)), cloud.eni(B))
    dropped_in(cloud.send(NODE, tcp("172.16.0.7", "10.0.0.9", 80)), "ingress_rules")
    dropped_in(cloud.send(P, tcp("10.0.1.7", "10.0.0.9", 80)), "ingress_rules")


def test_outbound_to_members_of_a_group() -> None:
    peers = group("vpc1/peers", rule("ingress"))
    out = group("vpc1/out", rule("egress", group="vpc1/peers"))
    cloud = Cloud(with_groups(with_groups(state(), B, peers), A, out))
    arrives(cloud.send(A, A_TO_B), cloud.eni(B))
    dropped_in(cloud.send(A, tcp("10.0.0.5", "10.0.0.20", 80)), "egress_rules")


def test_rules_do_not_grow_with_members() -> None:
    own = group("vpc1/own", rule("ingress", group="vpc1/own"), rule("egress", group="vpc1/own"))

    def rules_with(members: int) -> int:
        enis = tuple(eni(100 + n, f"10.0.0.{100 + n}", security_groups=("vpc1/own",)) for n in range(members))
        flows = program(state(enis=enis, security_groups=(own,), route_tables=(table(1, 1),))).flows.values()
        return sum(1 for flow in flows if flow.table in ("ingress_rules", "egress_rules"))

    assert rules_with(2) == rules_with(50)


def test_port_ranges_of_node_ports() -> None:
    node_ports = group("vpc1/ports", rule("ingress", "tcp", ports=(30000, 32767)))
    cloud = Cloud(with_groups(state(), B, node_ports))
    for port in (30000, 31234, 32767):
        arrives(cloud.send(A, tcp("10.0.0.5", "10.0.0.9", port)), cloud.eni(B))
    for port in (29999, 32768):
        dropped_in(cloud.send(A, tcp("10.0.0.5", "10.0.0.9", port)), "ingress_rules")


@given(st.integers(0, 65535), st.integers(0, 65535), st.integers(0, 65535))
def test_port_masks_match_exactly_the_range(one: int, other: int, port: int) -> None:
    first, last = sorted((one, other))
    pairs = port_masks(first, last)
    assert any(port & mask == value for value, mask in pairs) == (first <= port <= last)
    assert len(pairs) <= 30
    for edge in (first, last):
        assert sum(edge & mask == value for value, mask in pairs) == 1


def test_numbers_stay_when_others_come_and_go() -> None:
    before = stable_numbers((f"key {n}" for n in range(50)), 0xFFFF)
    after = stable_numbers((f"key {n}" for n in range(10, 60)), 0xFFFF)
    assert sum(before[key] != after[key] for key in before if key in after) == 0
    assert sorted(stable_numbers((str(n) for n in range(8)), 8).values()) == list(range(1, 9))


def test_a_missing_group_is_named() -> None:
    with pytest.raises(StateError, match="Server/s4: security group vpc1/nowhere isn't in the document"):
        program(change_eni(state(), B, security_groups=("vpc1/nowhere",)))
