"""Programs as text, for golden files and people; the pipeline document."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from controllers.openflow import (
    ANY,
    LOCAL,
    Action,
    Bucket,
    Clone,
    Conjunction,
    Copy,
    Ct,
    CtClear,
    DecTtl,
    Dnat,
    Flow,
    Group,
    GroupKind,
    InPort,
    Local,
    Match,
    Nat,
    Output,
    OutputFrom,
    PopVlan,
    PushVlan,
    Resubmit,
    SetField,
    Snat,
    ToGroup,
    build_program,
    fields,
    match,
)
from controllers.openflow.document import render_document
from controllers.openflow.render import render_action, render_match, render_program
from tests.unit.openflow.pipelines import LOW, MARK, MIDDLE, NEXT, PORT, WIDE, ZONE
from tests.unit.openflow.test_pipeline import PIPELINE


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        (ANY, "any"),
        (match(in_port=LOCAL), "in_port=LOCAL"),
        (match({NEXT: 7, LOW: 1}, in_port=3), "next=7,low=1,in_port=3"),
        (match({MIDDLE: (4, 0xC)}), "middle=0x4/0xc"),
        (match(reg1=(0x80000000, 0x80000000)), "reg1=0x80000000/0x80000000"),
        (match(tcp_dst=80, ipv4_dst="10.0.0.0/24"), "ipv4_dst=10.0.0.0/24,tcp_dst=80"),
        (match(tcp_src=(0x8000, 0x8000)), "tcp_src=32768/32768"),
        (match(eth_type=0x0800), "eth_type=0x800"),
        (match(arp_op=1, arp_tpa="10.0.0.1"), "arp_op=1,arp_tpa=10.0.0.1"),
        (match(eth_dst="02:00:00:00:00:01"), "eth_dst=02:00:00:00:00:01"),
        (match(vlan_vid=5), "vlan_vid=5"),
        (match(vlan_vid=0), "vlan_vid=none"),
        (match(vlan_vid=(0x1000, 0x1000)), "vlan_vid=any"),
        (match(ct_state="+trk-new"), "ct_state=-new+trk"),
    ],
)
def test_matches(wanted: Match, text: str) -> None:
    assert render_match(WIDE, wanted) == text


@pytest.mark.parametrize(
    ("action", "text"),
    [
        (Output(3), "output:3"),
        (Output(LOCAL), "output:LOCAL"),
        (Local(), "output:LOCAL"),
        (InPort(), "in_port"),
        (OutputFrom(PORT), "output(port)"),
        (ToGroup(4), "group:4"),
        (SetField(NEXT, 4), "set(next=4)"),
        (SetField(fields.ETH_DST, "02:00:00:00:00:01"), "set(eth_dst=02:00:00:00:00:01)"),
        (SetField(fields.VLAN_VID, 5), "set(vlan_vid=5)"),
        (Copy(fields.ETH_SRC, fields.ETH_DST), "copy(eth_src->eth_dst)"),
        (PushVlan(), "push_vlan"),
        (PopVlan(), "pop_vlan"),
        (DecTtl(), "dec_ttl"),
        (CtClear(), "ct_clear"),
        (Resubmit("two"), "resubmit(two)"),
        (Conjunction(5, 1, 2), "conjunction(5,1/2)"),
        (Clone((Output(1), Output(2))), "clone(output:1,output:2)"),
        (Ct(ZONE, "two", nat=Nat()), "ct(zone=zone,table=two,nat)"),
        (
            Ct(ZONE, commit=True, force=True, nat=Snat(IPv4Address("1.1.1.1"), IPv4Address("1.1.1.9"), (1, 2))),
            "ct(commit,force,zone=zone,nat(src=1.1.1.1-1.1.1.9:1-2))",
        ),
        (
            Ct(PORT, "two", commit=True, nat=Dnat(IPv4Address("1.1.1.1")), sets=(SetField(MARK, 3),)),
            "ct(commit,zone=port,table=two,nat(dst=1.1.1.1),set(mark=3))",
        ),
    ],
)
def test_actions(action: Action, text: str) -> None:
    assert render_action(WIDE, action) == text


def test_a_program_is_in_the_order_of_lookup() -> None:
    flows = [
        Flow("two", 5, match(in_port=2), (Output(1),), owner="Pod/default/b"),
        Flow("two", 9, match(in_port=1), (ToGroup(1),), owner="Service/default/s", note="balanced", idle_timeout=3),
        Flow("one", 1, ANY, goto="two", owner="Node/n1"),
    ]
    group = Group(1, GroupKind.SELECT, (Bucket((Output(1),), 5), Bucket((), watch_port=2)), "Service/default/s")
    assert render_program(build_program(WIDE, flows, [group])) == (
        "one 1 any actions=goto:two  # Node/n1\n"
        "one 0 any actions=drop  # Pipeline/wide: nothing else matched\n"
        "two 9 in_port=1 idle_timeout=3 actions=group:1  # Service/default/s: balanced\n"
        "two 5 in_port=2 actions=output:1  # Pod/default/b\n"
        "two 0 any actions=drop  # Pipeline/wide: nothing else matched\n"
        "three 0 any actions=drop  # Pipeline/wide: nothing else matched\n"
        "group 1 select bucket=(weight=5,output:1) bucket=(weight=1,watch_port=2,drop)  # Service/default/s\n"
    )


def test_the_document_lists_tables_bits_and_zones() -> None:
    text = render_document([PIPELINE])
    assert "| 1 | `track` | Known? | ct_state, vpc, eth_type | origin, eni | `route`, `classify` | `route` |" in text
    assert "| reg0[0..11] | `vpc` | the packet's VPC |  |" in text
    assert "| 1 | `security` |  |" in text
