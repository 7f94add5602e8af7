"""The pure parts of a trace: rulesets, conntrack, datapath actions, and what a switch answers."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

import pytest

from testbed.observe.trace.actions import apply_set, push_tunnel, read_actions, read_conntrack
from testbed.observe.trace.packet import ECHO_REQUEST, Packet, changes
from testbed.observe.trace.reply import read_reply
from testbed.observe.trace.ruleset import Context, judge
from testbed.observe.trace.ruleset_text import MOST_SHOWN, describe
from testbed.observe.trace.tracking import Connections

CLIENT, BALANCER, SERVICE, POD = map(IPv4Address, ("192.168.0.2", "192.168.1.2", "10.247.1.7", "172.16.0.17"))
SYN = Packet("tcp", CLIENT, BALANCER, 40000, 80, flags="syn")


def payload(protocol: str, field: str) -> dict[str, Any]:
    return {"payload": {"protocol": protocol, "field": field}}


def match(left: dict[str, Any], right: Any, op: str = "==") -> dict[str, Any]:
    return {"match": {"op": op, "left": left, "right": right}}


def ruleset(hook: str, kind: str, *rules: list[dict[str, Any]], policy: str = "accept") -> list[dict[str, Any]]:
    """As ``nft -j list ruleset`` has it: one chain at ``hook``, and its rules."""
    chain = {"family": "ip", "table": "cnlab", "name": "it", "type": kind, "hook": hook, "prio": 0, "policy": policy}
    made = [{"rule": {"family": "ip", "table": "cnlab", "chain": "it", "expr": rule}} for rule in rules]
    return [{"metainfo": {}}, {"chain": chain}, *made]


def balancers(*addresses: str) -> dict[str, Any]:
    key = {"concat": [payload("ip", "daddr"), payload("tcp", "dport")]}
    elements = [[{"concat": [address, 80]}, str(SERVICE)] for address in addresses]
    return {"dnat": {"addr": {"map": {"key": key, "data": {"set": elements}}}}}


def test_a_map_translates_what_it_has_and_nothing_else() -> None:
    rules = ruleset("output", "nat", [balancers("192.168.1.3", str(BALANCER))])
    assert judge(rules, "output", ("nat",), SYN, Context()).nat == f"dst={SERVICE}"
    elsewhere = Packet("tcp", CLIENT, POD, 40000, 80, flags="syn")
    assert judge(rules, "output", ("nat",), elsewhere, Context()).nat == ""
    datagram = Packet("udp", CLIENT, BALANCER, 40000, 80)  # has no TCP port to look up
    assert judge(rules, "output", ("nat",), datagram, Context()).nat == ""


def test_a_rule_reads_as_nft_writes_it_and_a_long_map_is_cut() -> None:
    assert describe([balancers("192.168.1.3")]) == "dnat to ip daddr . tcp dport map { 192.168.1.3 . 80 : 10.247.1.7 }"
    text = describe([balancers(*(f"192.168.1.{n}" for n in range(MOST_SHOWN + 2)))])
    assert text.endswith("and 2 more }")
    ports = match(payload("th", "dport"), {"range": [30000, 32767]}, "!=")
    assert describe([ports, {"counter": {}}, {"drop": None}]) == "th dport != 30000-32767 drop"


def test_the_first_rule_that_matches_decides_and_a_policy_where_none_does() -> None:
    devices = match({"meta": {"key": "iifname"}}, {"set": ["lo", "br-ex"]}, "!=")
    rules = ruleset("prerouting", "filter", [devices, {"drop": None}])
    assert judge(rules, "prerouting", ("filter",), SYN, Context(iif="eth0")).verdict == "drop"
    assert judge(rules, "prerouting", ("filter",), SYN, Context(iif="br-ex")).verdict == "accept"
    closed = ruleset("input", "filter", policy="drop")
    judged = judge(closed, "input", ("filter",), SYN, Context())
    assert (judged.verdict, judged.rules) == ("drop", ("cnlab it: policy drop",))


def test_a_rule_that_is_not_understood_is_named_and_passed_over() -> None:
    rules = ruleset("input", "filter", [{"jump": {"target": "other"}}], [{"drop": None}])
    judged = judge(rules, "input", ("filter",), SYN, Context())
    assert judged.verdict == "drop"
    assert judged.unknown == ("ip cnlab it: jump",)


def test_an_answer_is_translated_back_and_a_stray_one_is_invalid() -> None:
    connections = Connections()
    assert connections.track("n1", 1, SYN, True).state == "new|trk"
    there = connections.commit("n1", 1, SYN, f"dst={POD}:8080")
    assert (there.destination, there.destination_port) == (POD, 8080)
    back = connections.track("n1", 1, there.answer(), True)
    assert back.state == "est|rpl|dnat|trk"
    assert (back.packet.source, back.packet.source_port) == (BALANCER, 80)
    assert connections.track("n2", 1, there.answer(), True).invalid


def test_an_error_belongs_to_the_connection_that_it_tells_of() -> None:
    connections = Connections()
    datagram = Packet("udp", CLIENT, BALANCER, 40000, 53)
    there = connections.commit("n1", 1, datagram, f"dst={POD}:5353")
    back = connections.track("n1", 1, there.refusal(), True)
    assert back.state == "rel|rpl|trk"
    assert back.packet.about is not None
    assert back.packet.about.key == datagram.key
    assert back.packet.destination == CLIENT


@pytest.mark.parametrize(
    ("nat", "port"), [("src=198.51.100.8:1024-65535", 40000), ("src=198.51.100.8:61440-65535", 61440)]
)
def test_a_source_port_stays_where_its_range_allows_it(nat: str, port: int) -> None:
    there = Connections().commit("fabric", 65001, SYN, nat)
    assert (str(there.source), there.source_port) == ("198.51.100.8", port)


def test_datapath_actions_are_split_at_the_outer_commas_only() -> None:
    text = "set(ipv4(src=10.0.0.1,ttl=63)),ct(commit,zone=4,mark=0x8/0xff,nat(dst=10.0.0.9:80)),recirc(0x2),7"
    first, tracked, again, out = read_actions(text)
    assert (first.name, again.argument, out.name, out.argument) == ("set", "0x2", "output", "7")
    assert apply_set(SYN, first.argument).ttl == 63
    read = read_conntrack(tracked.argument)
    assert (read.zone, read.commit, read.nat, read.mark, read.mark_mask) == (4, True, "dst=10.0.0.9:80", 8, 0xFF)


def test_a_tunnel_header_is_read_and_told_as_a_change() -> None:
    argument = (
        "tnl_port(4),header(size=50,type=4,eth(dst=fa:16:3e:00:00:01,src=fa:16:3e:01:00:02,dl_type=0x0800),"
        "ipv4(src=192.168.0.2,dst=192.168.0.3,proto=17,tos=0,ttl=64,frag=0x4000),udp(src=0,dst=4789,csum=0x0),"
        "vxlan(flags=0x8000000,vni=0x64)),out_port(1)"
    )
    tunnelled = push_tunnel(SYN, argument)
    assert changes(SYN, tunnelled) == ("VXLAN 192.168.0.2 -> 192.168.0.3 VNI 100 put around it",)
    with pytest.raises(ValueError, match="not a VXLAN header"):
        push_tunnel(SYN, "header(gre)")


REPLY = """Flow: tcp,in_port=101

bridge("br-int")
----------------
 0. ip,in_port=101, priority 100, cookie 0x12
    load:0x1->NXM_NX_REG0[0..3]
    goto_table:6
 6. priority 0, cookie 0x3
    ct(table=7,zone=1,nat)
    nat
     -> A clone of the packet is forked to recirculate. The forked pipeline will be resumed at table 7.
     -> Sets the packet to an untracked state, and clears all the conntrack fields.

Final flow: tcp,reg0=0x1,in_port=101
Megaflow: recirc_id=0,ip
Datapath actions: ct(zone=1,nat),recirc(0x4)

====================================================================================
recirc(0x4) - resume conntrack with default ct_state=trk|new (use --ct-next to customize)
====================================================================================

Flow: recirc_id=0x4,ct_state=new|trk,ct_zone=1,eth,tcp,reg0=0x1,in_port=101

bridge("br-int")
----------------
    thaw
        Resuming from table 7
 7. No match.
    drop
"""


def test_a_reply_is_read_up_to_its_first_conntrack() -> None:
    reply = read_reply(REPLY)
    assert [(step.table, step.cookie, step.match) for step in reply.steps] == [
        (0, "0x12", "ip,in_port=101"),
        (6, "0x3", ""),
    ]
    assert (reply.resumes_at, reply.actions) == (7, "ct(zone=1,nat),recirc(0x4)")
    assert reply.frozen == "reg0=0x1,in_port=101"
    with pytest.raises(ValueError, match="not an answer"):
        read_reply("unknown bridge")


def test_the_words_of_a_packet() -> None:
    assert str(SYN) == "192.168.0.2:40000 > 192.168.1.2:80 TCP syn"
    ping = Packet("icmp", CLIENT, POD, 7, 7, icmp_type=ECHO_REQUEST)
    assert str(ping.answer()) == "172.16.0.17 > 192.168.0.2 ICMP echo reply"
    assert SYN.refusal().flags == "rst|ack"
    assert not SYN.answer().opens
