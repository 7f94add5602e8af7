"""The fake switch behaves as Open vSwitch does, as far as pipelines rely on it."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from controllers.openflow import (
    LOCAL,
    Bucket,
    Clone,
    Conjunction,
    Copy,
    Ct,
    DecTtl,
    Dnat,
    Flow,
    Group,
    GroupKind,
    InPort,
    Nat,
    Output,
    OutputFrom,
    Pipeline,
    PopVlan,
    PushVlan,
    Resubmit,
    SetField,
    Snat,
    Table,
    ToGroup,
    Zone,
    build_program,
    ct_mark,
    fields,
    match,
    register,
)
from controllers.openflow.packets import arp_request, packet, ping, tcp
from controllers.openflow.simulate import FakeSwitch

ANYTHING = tuple(fields.FIELDS.values())
NEXT = register("next", 0)
FLAG = register("flag", 1, low=4, width=2)
ORIGIN = ct_mark("origin", low=8, width=8)
ZONE = Zone("service", 9)
PIPELINE = Pipeline(
    "test",
    (
        Table("one", "First.", ANYTHING, ANYTHING, ("two", "three")),
        Table("two", "Second.", ANYTHING, ANYTHING, ("one", "two", "three")),
        Table("three", "Third.", ANYTHING, ANYTHING),
    ),
    (NEXT, FLAG, ORIGIN),
    (ZONE,),
)
CLIENT, VIP, SERVER = "10.0.0.1", "10.96.0.1", "10.0.0.9"
WEB = tcp(CLIENT, VIP, 80)


def switch_of(*flows: Flow, groups: tuple[Group, ...] = (), **options: object) -> FakeSwitch:
    return FakeSwitch(build_program(PIPELINE, flows, groups), **options)  # type: ignore[arg-type]


def flow(table: str, priority: int, what: object, *actions: object, goto: str | None = None) -> Flow:
    return Flow(table, priority, what, actions, goto, owner=f"Test/{table}-{priority}")  # type: ignore[arg-type]


def test_the_highest_priority_that_matches_decides() -> None:
    switch = switch_of(
        flow("one", 10, match(ipv4_dst="10.96.0.0/16"), Output(1)),
        flow("one", 20, match(ipv4_dst=VIP), Output(2)),
        flow("one", 30, match(ipv4_dst="10.97.0.0/16"), Output(3)),
    )
    assert switch.send(WEB, 5).ports == [2]


def test_a_packet_that_nothing_matches_is_dropped_by_the_table_miss() -> None:
    outcome = switch_of(flow("one", 10, match(in_port=9), Output(1))).send(WEB, 5)
    assert outcome.ports == []
    assert outcome.last_flow is not None
    assert outcome.last_flow.note == "nothing else matched"
    assert outcome.trace[-1] == "dropped"


def test_goto_sees_what_was_set() -> None:
    switch = switch_of(
        flow("one", 10, match(in_port=5), SetField(NEXT, 7), SetField(FLAG, 2), goto="two"),
        flow("two", 10, match({NEXT: 7, FLAG: 2}), Output(1)),
    )
    assert switch.send(WEB, 5).ports == [1]


def test_registers_are_zero_when_a_packet_arrives() -> None:
    assert switch_of(flow("one", 10, match({NEXT: 0, FLAG: 0}, tunnel_id=0), Output(1))).send(WEB, 5).ports == [1]


def test_no_packet_goes_back_out_of_its_port_unless_told() -> None:
    assert switch_of(flow("one", 10, match(), Output(5))).send(WEB, 5).ports == []
    assert switch_of(flow("one", 10, match(), InPort())).send(WEB, 5).ports == [5]


def test_actions_after_output_do_not_change_what_left() -> None:
    switch = switch_of(flow("one", 10, match(ipv4_dst=VIP), Output(1), SetField(fields.IPV4_DST, SERVER), Output(2)))
    first, second = switch.send(WEB, 5).sent
    assert (first.packet.get("ipv4_dst"), second.packet.get("ipv4_dst")) == (VIP, SERVER)


def test_output_to_a_port_in_a_register() -> None:
    assert switch_of(flow("one", 10, match(), SetField(NEXT, 3), OutputFrom(NEXT))).send(WEB, 5).ports == [3]


def test_time_to_live_ends() -> None:
    switch = switch_of(flow("one", 10, match(ipv4_dst=VIP), DecTtl(), Output(1)))
    assert switch.send(WEB, 5).only.packet.get("ip_ttl") == "63"
    assert switch.send(WEB.but(ip_ttl=1), 5).ports == []


def test_tags() -> None:
    switch = switch_of(
        flow("one", 20, match(vlan_vid=7), PopVlan(), Output(2)),
        flow("one", 10, match(vlan_vid=0), PushVlan(), SetField(fields.VLAN_VID, 7), Output(1)),
    )
    tagged = switch.send(WEB, 5).only
    assert (tagged.port, tagged.packet.get("vlan_vid")) == (1, "7")
    bare = switch.send(tagged.packet, 5).only
    assert (bare.port, bare.packet.get("vlan_vid")) == (2, "none")


def test_clone_and_resubmit() -> None:
    switch = switch_of(
        flow("one", 10, match(), Clone((SetField(NEXT, 1), Resubmit("three"))), Resubmit("two"), Resubmit("three")),
        flow("two", 10, match(), SetField(NEXT, 2)),
        flow("three", 10, match({NEXT: 1}), Output(1)),
        flow("three", 10, match({NEXT: 2}), Output(2)),
    )
    assert switch.send(WEB, 5).ports == [1, 2]


def test_arp_responder() -> None:
    answer = (
        Copy(fields.ETH_SRC, fields.ETH_DST),
        SetField(fields.ARP_OP, 2),
        Copy(fields.ARP_SHA, fields.ARP_THA),
        Copy(fields.ARP_SPA, fields.ARP_TPA),
        SetField(fields.ARP_SHA, "02:00:00:00:00:fe"),
        SetField(fields.ARP_SPA, "10.0.0.254"),
        InPort(),
    )
    switch = switch_of(flow("one", 10, match(arp_op=1, arp_tpa="10.0.0.254"), *answer))
    sent = switch.send(arp_request("02:00:00:00:00:01", CLIENT, "10.0.0.254"), 5).only
    assert sent.port == 5
    assert sent.packet.get("arp_tpa") == CLIENT
    assert sent.packet.get("arp_tha") == sent.packet.get("eth_dst") == "02:00:00:00:00:01"
    assert switch.send(arp_request("02:00:00:00:00:01", CLIENT, "10.0.0.253"), 5).ports == []


def service_switch() -> FakeSwitch:
    """A ClusterIP: choose an endpoint, translate, and translate the answers back."""
    return switch_of(
        flow("one", 20, match(ipv4_dst=VIP, tcp_dst=80), ToGroup(1)),
        flow("one", 10, match(ipv4_dst="10.0.0.0/24"), Ct(ZONE, "two", nat=Nat())),
        flow("two", 20, match(ct_state="+trk+rpl", ipv4_dst="10.0.0.0/24"), Output(5)),
        flow("two", 10, match({ORIGIN: 3}, ct_state="+trk-rpl"), Output(9)),
        groups=(Group(1, GroupKind.SELECT, (Bucket((_dnat(SERVER),), 1), Bucket((_dnat("10.0.0.8"),), 0))),),
    )


def _dnat(address: str) -> Ct:
    nat = Dnat(IPv4Address(address), ports=(8080, 8080))
    return Ct(ZONE, "two", commit=True, nat=nat, sets=(SetField(ORIGIN, 3),))


def test_a_service_translates_both_ways_and_remembers_its_mark() -> None:
    switch = service_switch()
    there = switch.send(WEB, 5).only
    assert (there.port, there.packet.get("ipv4_dst"), there.packet.get("tcp_dst")) == (9, SERVER, "8080")
    back = switch.send(there.packet.reply(), 9).only
    assert (back.port, back.packet.get("ipv4_src"), back.packet.get("tcp_src")) == (5, VIP, "80")
    again = switch.send(WEB, 5).only
    assert again.packet.get("ipv4_dst") == SERVER


def test_states_of_a_connection() -> None:
    switch = switch_of(
        flow("one", 10, match(eth_type=0x0800), Ct(ZONE, "two")),
        flow("two", 10, match(ct_state="+trk+new", ipv4_src=CLIENT), Ct(ZONE, commit=True), Output(1)),
        flow("two", 10, match(ct_state="+trk+est+rpl"), Output(2)),
        flow("two", 10, match(ct_state="+trk+est-rpl"), Output(3)),
    )
    assert switch.send(WEB.reply(), 6).ports == []
    assert switch.send(WEB, 5).ports == [1]
    assert switch.send(WEB, 5).ports == [1]
    assert switch.send(WEB.reply(), 6).ports == [2]
    assert switch.send(WEB, 5).ports == [3]
    assert switch.send(ping(CLIENT, VIP), 5).ports == [1]
    assert switch.send(ping(CLIENT, VIP).reply(), 6).ports == [2]


def test_source_translation_keeps_the_port_or_takes_a_free_one() -> None:
    nat = Snat(IPv4Address("203.0.113.1"), ports=(1024, 65535))
    switch = switch_of(flow("one", 10, match(eth_type=0x0800), Ct(ZONE, commit=True, nat=nat), Output(1)))
    first = switch.send(tcp("10.0.0.1", "8.8.8.8", 53), 5).only.packet
    second = switch.send(tcp("10.0.0.2", "8.8.8.8", 53), 5).only.packet
    assert (first.get("ipv4_src"), first.get("tcp_src")) == ("203.0.113.1", "40000")
    assert (second.get("ipv4_src"), second.get("tcp_src")) == ("203.0.113.1", "1024")


def policy_switch() -> FakeSwitch:
    """From 10.0.0.1 or 10.0.0.2, to port 80 or 443."""
    clause = [flow("one", 50, match(ipv4_src=f"10.0.0.{number}"), Conjunction(7, 1, 2)) for number in (1, 2)] + [
        flow("one", 50, match(tcp_dst=port), Conjunction(7, 2, 2)) for port in (80, 443)
    ]
    return switch_of(
        *clause,
        flow("one", 50, match(conj_id=7), Output(1)),
        flow("one", 40, match(ipv4_src="10.0.0.0/24"), Output(2)),
        flow("one", 60, match(ipv4_dst="10.0.0.66"), Output(3)),
    )


@pytest.mark.parametrize(
    ("source", "target", "port", "out"),
    [
        ("10.0.0.1", VIP, 80, [1]),
        ("10.0.0.2", VIP, 443, [1]),
        ("10.0.0.3", VIP, 80, [2]),
        ("10.0.0.1", VIP, 81, [2]),
        ("10.0.0.1", "10.0.0.66", 80, [3]),
        ("10.1.0.1", VIP, 80, []),
    ],
)
def test_conjunctive_matches(source: str, target: str, port: int, out: list[int]) -> None:
    assert policy_switch().send(tcp(source, target, port), 5).ports == out


def test_groups() -> None:
    buckets = (Bucket((Output(1),), watch_port=1), Bucket((Output(2),), watch_port=2))
    to_group = flow("one", 10, match(), ToGroup(1))
    every = Group(1, GroupKind.ALL, buckets)
    one = Group(1, GroupKind.SELECT, buckets)
    assert switch_of(to_group, groups=(every,)).send(WEB, 5).ports == [1, 2]
    assert switch_of(to_group, groups=(one,), down=(1,)).send(WEB, 5).ports == [2]
    assert switch_of(to_group, groups=(one,), down=(1, 2)).send(WEB, 5).ports == []
    assert switch_of(to_group, groups=(one,), select=lambda group, packet: 1).send(WEB, 5).ports == [2]
    spread = switch_of(to_group, groups=(one,))
    assert {spread.send(tcp(CLIENT, VIP, 80, 40000 + n), 5).ports[0] for n in range(50)} == {1, 2}


def test_a_loop_is_an_error() -> None:
    switch = switch_of(flow("one", 10, match(), Resubmit("two")), flow("two", 10, match(), Resubmit("one")))
    with pytest.raises(RecursionError, match="more than 64 tables inside each other"):
        switch.send(WEB, 5)


def test_local_port_and_metadata_of_a_tunnel() -> None:
    from controllers.openflow import Local

    switch = switch_of(
        flow("one", 20, match(tunnel_id=5, tun_ipv4_src="192.0.2.1"), Local()),
        flow("one", 10, match(), SetField(fields.TUNNEL_ID, 5), SetField(fields.TUN_IPV4_DST, "192.0.2.2"), Output(2)),
    )
    assert switch.send(WEB, 2, tunnel_id=5, tun_ipv4_src="192.0.2.1").ports == [LOCAL]
    assert switch.send(WEB, 5).only.packet.get("tun_ipv4_dst") == "192.0.2.2"


def test_packets_show_their_fields() -> None:
    assert repr(packet(eth_type=0x0806, arp_op=1)) == "Packet(eth_type=0x806, arp_op=1)"


def test_the_datapath_gives_up_after_six_recirculations() -> None:
    def switch_with(rounds: int) -> FakeSwitch:
        turns = [
            flow("two", 10, match({NEXT: number}, ipv4_dst=VIP), SetField(NEXT, number + 1), Ct(ZONE, "two"))
            for number in range(rounds)
        ]
        return switch_of(flow("one", 1, match(), goto="two"), *turns, flow("two", 10, match({NEXT: rounds}), Output(1)))

    assert switch_with(6).send(WEB, 5).only.recirculations == 6
    outcome = switch_with(7).send(WEB, 5)
    assert outcome.ports == []
    assert "recirculates a packet at most 6 times" in str(outcome)
    assert switch_with(3).send(WEB, 5, recirculations=4).ports == []


def test_the_first_select_group_recirculates_and_later_ones_do_not() -> None:
    groups = (
        Group(1, GroupKind.SELECT, (Bucket((Resubmit("two"),)),)),
        Group(2, GroupKind.SELECT, (Bucket((Output(1),)),)),
    )
    switch = switch_of(flow("one", 10, match(), ToGroup(1)), flow("two", 10, match(), ToGroup(2)), groups=groups)
    assert switch.send(WEB, 5).only.recirculations == 1
