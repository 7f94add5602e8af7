"""Our bytes are Ryu's bytes, and what is read back compares equal."""

from __future__ import annotations

import eventlet.wsgi

if not hasattr(eventlet.wsgi, "ALREADY_HANDLED"):
    eventlet.wsgi.ALREADY_HANDLED = None

from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ryu.ofproto import nicira_ext, nx_actions  # noqa: F401
from ryu.ofproto import ofproto_v1_4 as ofproto
from ryu.ofproto import ofproto_v1_4_parser as parser
from ryu.ofproto.ofproto_protocol import ProtocolDesc

from controllers.openflow import (
    LOCAL,
    Answers,
    Bucket,
    Conjunction,
    Copy,
    Ct,
    CtClear,
    DecTtl,
    Dnat,
    FieldError,
    Flow,
    Group,
    GroupKind,
    InPort,
    Local,
    Nat,
    Output,
    OutputFrom,
    PopVlan,
    PushVlan,
    Resubmit,
    SetField,
    Snat,
    ToGroup,
    Zone,
    cookie_of,
    fields,
    match,
)
from controllers.openflow.decode import canonical_fields
from controllers.openflow.encode import (
    ADD,
    MODIFY,
    encode_delete,
    encode_group,
    encode_group_delete,
    encode_put,
    wire_key,
)
from controllers.openflow.messages import forget_connections
from tests.unit.openflow.pipelines import LAST, LOW, MARK, MIDDLE, NEXT, PORT, WIDE, ZONE

DATAPATH = ProtocolDesc(ofproto.OFP_VERSION)
MAXIMUM = ofproto.OFPCML_MAX
ADDRESS = "192.0.2.7"


def ryu_bytes(message: Any) -> bytes:
    message.set_xid(77)
    message.serialize()
    return bytes(message.buf)


def ryu_flow(wanted: Flow, ryu_match: dict[str, Any], ryu_actions: list[Any]) -> bytes:
    """The flow-mod as Ryu writes it."""
    instructions = [parser.OFPInstructionActions(ofproto.OFPIT_APPLY_ACTIONS, ryu_actions)] if ryu_actions else []
    if wanted.goto:
        instructions.append(parser.OFPInstructionGotoTable(WIDE.ids[wanted.goto]))
    return ryu_bytes(
        parser.OFPFlowMod(
            DATAPATH,
            cookie=cookie_of(wanted.owner, wanted.note),
            table_id=WIDE.ids[wanted.table],
            command=ofproto.OFPFC_ADD,
            idle_timeout=wanted.idle_timeout,
            priority=wanted.priority,
            out_port=ofproto.OFPP_ANY,
            out_group=ofproto.OFPG_ANY,
            match=parser.OFPMatch(**ryu_match),
            instructions=instructions,
        )
    )


IP = {"eth_type": 0x0800}
TCP = {**IP, "ip_proto": 6}
MATCHES: list[tuple[Any, dict[str, Any]]] = [
    (match(), {}),
    (match(in_port=LOCAL), {"in_port": LOCAL}),
    (match({NEXT: 9, LAST: 3}), {"reg0": 9, "reg15": 3}),
    (match({LOW: 1, MIDDLE: 5}), {"reg1": (0x51, 0xFFF1)}),
    (match(eth_dst="02:00:00:00:00:01"), {"eth_dst": "02:00:00:00:00:01"}),
    (match(eth_src=(0x010000000000, 0x010000000000)), {"eth_src": ("01:00:00:00:00:00", "01:00:00:00:00:00")}),
    (match(ipv4_dst="10.0.0.0/24"), {**IP, "ipv4_dst": ("10.0.0.0", "255.255.255.0")}),
    (match(ipv4_src="10.0.0.1", tcp_dst=80), {**IP, "ipv4_src": "10.0.0.1", "ip_proto": 6, "tcp_dst": 80}),
    (match(udp_src=(0x8000, 0x8000)), {**IP, "ip_proto": 17, "udp_src": (0x8000, 0x8000)}),
    (match(icmpv4_type=8, icmpv4_code=0), {**IP, "ip_proto": 1, "icmpv4_type": 8, "icmpv4_code": 0}),
    (match(arp_op=1, arp_tpa="10.0.0.1"), {"eth_type": 0x0806, "arp_op": 1, "arp_tpa": "10.0.0.1"}),
    (match(vlan_vid=5), {"vlan_vid": 5 | 0x1000}),
    (match(vlan_vid=0), {"vlan_vid": 0}),
    (match(vlan_vid=(0x1000, 0x1000)), {"vlan_vid": (0x1000, 0x1000)}),
    (match(metadata=(1 << 40, 0xFF << 40)), {"metadata": (1 << 40, 0xFF << 40)}),
    (match(tunnel_id=77, in_port=2), {"tunnel_id": 77, "in_port": 2}),
    (match(tun_ipv4_dst=ADDRESS), {"tun_ipv4_dst": ADDRESS}),
    (match(ct_state="+trk+est-rel", ct_zone=5), {"ct_state": (0x22, 0x26), "ct_zone": 5}),
    (match({MARK: 3}), {"ct_mark": (0x30, 0xF0)}),
    (match(conj_id=9), {"conj_id": 9}),
    (match(pkt_mark=4), {"pkt_mark": 4}),
]


@pytest.mark.parametrize(("ours", "ryus"), MATCHES)
def test_matches_are_as_ryu_writes_them(ours: Any, ryus: dict[str, Any]) -> None:
    flow = Flow("one", 100, ours, (Output(3),), owner="Pod/default/a", note="note")
    assert_same(encode_put(WIDE, flow, 77), ryu_flow(flow, ryus, [parser.OFPActionOutput(3, MAXIMUM)]))


def assert_same(mine: bytes, theirs: bytes) -> None:
    """Byte for byte, but for the order of match fields: Ryu sorts them by number, we as the switch does."""
    ours, ryus = oxms_of(mine), oxms_of(theirs)
    assert mine[:52] == theirs[:52]
    assert ours == canonical_fields(ryus)
    assert mine[52 + len(ours) :] == theirs[52 + len(ryus) :]


def oxms_of(flow_mod: bytes) -> bytes:
    length = int.from_bytes(flow_mod[50:52], "big")
    return flow_mod[52 : 48 + length]


def nat(
    flags: int, first: str | None = None, last: str | None = None, ports: tuple[int, int | None] | None = None
) -> Any:
    low, high = ports or (None, None)
    return parser.NXActionNAT(
        flags=flags,
        range_ipv4_min=first or "",
        range_ipv4_max=last or "",
        range_proto_min=low,
        range_proto_max=high,
    )


def nx_ct(flags: int, zone_src: str, zone: int, table: int, actions: list[Any]) -> Any:
    return parser.NXActionCT(flags, zone_src, zone, table, 0, actions)


V = IPv4Address(ADDRESS)
ACTIONS: list[tuple[Any, list[Any]]] = [
    (Output(3), [parser.OFPActionOutput(3, MAXIMUM)]),
    (InPort(), [parser.OFPActionOutput(ofproto.OFPP_IN_PORT, MAXIMUM)]),
    (Local(), [parser.OFPActionOutput(ofproto.OFPP_LOCAL, MAXIMUM)]),
    (ToGroup(5), [parser.OFPActionGroup(5)]),
    (PushVlan(), [parser.OFPActionPushVlan(0x8100)]),
    (PopVlan(), [parser.OFPActionPopVlan()]),
    (DecTtl(), [parser.OFPActionDecNwTtl()]),
    (SetField(NEXT, 9), [parser.OFPActionSetField(reg0=9)]),
    (SetField(fields.ETH_DST, "02:00:00:00:00:01"), [parser.OFPActionSetField(eth_dst="02:00:00:00:00:01")]),
    (SetField(fields.VLAN_VID, 5), [parser.OFPActionSetField(vlan_vid=5 | 0x1000)]),
    (SetField(fields.IPV4_SRC, ADDRESS), [parser.OFPActionSetField(ipv4_src=ADDRESS)]),
    (SetField(fields.TCP_DST, 80), [parser.OFPActionSetField(tcp_dst=80)]),
    (SetField(fields.TUN_IPV4_DST, ADDRESS), [parser.OFPActionSetField(tun_ipv4_dst=ADDRESS)]),
    (SetField(fields.TUNNEL_ID, 9), [parser.OFPActionSetField(tunnel_id=9)]),
    (SetField(MIDDLE, 5), [parser.NXActionRegLoad(4 << 6 | 11, "reg1", 5)]),
    (Copy(NEXT, LAST), [parser.NXActionRegMove("reg0", "reg15", 32)]),
    (Copy(fields.ETH_SRC, fields.ETH_DST), [parser.NXActionRegMove("eth_src_nxm", "eth_dst_nxm", 48)]),
    (OutputFrom(PORT), [parser.NXActionOutputReg(16 << 6 | 15, "reg2", MAXIMUM)]),
    (Resubmit("three"), [parser.NXActionResubmitTable(0xFFF8, 2)]),
    (Conjunction(9, 2, 3), [parser.NXActionConjunction(1, 3, 9)]),
    (CtClear(), [parser.NXActionCTClear()]),
    (Ct(ZONE, "two"), [nx_ct(0, "", 7, 1, [])]),
    (Ct(ZONE, commit=True, force=True), [nx_ct(3, "", 7, 255, [])]),
    (Ct(PORT, "two", nat=Nat()), [nx_ct(0, "reg2", 16 << 6 | 15, 1, [nat(0)])]),
    (Ct(ZONE, "two", commit=True, nat=Snat(V)), [nx_ct(1, "", 7, 1, [nat(1, ADDRESS)])]),
    (
        Ct(ZONE, "two", commit=True, nat=Dnat(V, ports=(80, 80))),
        [nx_ct(1, "", 7, 1, [nat(2, ADDRESS, None, (80, None))])],
    ),
    (
        Ct(ZONE, "two", commit=True, nat=Snat(V, V + 3, (1000, 2000))),
        [nx_ct(1, "", 7, 1, [nat(1, ADDRESS, "192.0.2.10", (1000, 2000))])],
    ),
    (
        Ct(ZONE, "two", commit=True, sets=(SetField(MARK, 3),)),
        [nx_ct(1, "", 7, 1, [parser.NXActionRegLoad(4 << 6 | 3, "ct_mark", 3)])],
    ),
]


@pytest.mark.parametrize(("ours", "ryus"), ACTIONS, ids=lambda value: type(value).__name__)
def test_actions_are_as_ryu_writes_them(ours: Any, ryus: list[Any]) -> None:
    flow = Flow("one", 65535, match(tcp_dst=80), (ours,), "two", "Pod/default/a", "note", 30)
    assert encode_put(WIDE, flow, 77) == ryu_flow(flow, {**TCP, "tcp_dst": 80}, ryus)


CHOSEN = st.lists(st.sampled_from(ACTIONS), max_size=6)


@given(
    st.integers(0, 65535),
    st.integers(0, 65535),
    CHOSEN,
    st.sampled_from([None, "two", "three"]),
    st.integers(0, 0xFFFFFFFF),
    st.integers(0, 32),
    st.integers(0, 65535),
)
def test_any_flow_is_as_ryu_writes_it(
    priority: int, idle: int, chosen: list[Any], goto: str | None, address: int, prefix: int, port: int
) -> None:
    mask = 0xFFFFFFFF << (32 - prefix) & 0xFFFFFFFF
    wanted = match(ipv4_dst=(address, mask), tcp_src=port)
    flow = Flow("one", priority, wanted, tuple(ours for ours, _ in chosen), goto, "Pod/default/a", "x", idle)
    network = {"ipv4_dst": (str(IPv4Address(address & mask)), str(IPv4Address(mask)))} if 0 < prefix < 32 else {}
    exact = {"ipv4_dst": str(IPv4Address(address))} if prefix == 32 else {}
    ryus = {"eth_type": 0x0800, **network, **exact, "ip_proto": 6, "tcp_src": port}
    expected = ryu_flow(flow, ryus, [action for _, actions in chosen for action in actions])
    assert_same(encode_put(WIDE, flow, 77), expected)


def test_deletes_are_strict_and_as_ryu_writes_them() -> None:
    flow = Flow("two", 5, match(in_port=3))
    expected = parser.OFPFlowMod(
        DATAPATH,
        table_id=1,
        command=ofproto.OFPFC_DELETE_STRICT,
        priority=5,
        out_port=ofproto.OFPP_ANY,
        out_group=ofproto.OFPG_ANY,
        match=parser.OFPMatch(in_port=3),
        instructions=[],
    )
    assert encode_delete(wire_key(WIDE, flow), 77) == ryu_bytes(expected)


@pytest.mark.parametrize(
    ("kind", "theirs", "weight"),
    [
        (GroupKind.SELECT, ofproto.OFPGT_SELECT, 5),
        (GroupKind.ALL, ofproto.OFPGT_ALL, 0),
        (GroupKind.INDIRECT, ofproto.OFPGT_INDIRECT, 0),
    ],
)
@pytest.mark.parametrize("command", [ADD, MODIFY])
def test_groups_are_as_ryu_writes_them(kind: GroupKind, theirs: int, weight: int, command: int) -> None:
    group = Group(9, kind, (Bucket((SetField(NEXT, 1), Output(2)), 5, 2),))
    actions = [parser.OFPActionSetField(reg0=1), parser.OFPActionOutput(2, MAXIMUM)]
    bucket = parser.OFPBucket(weight, 2, ofproto.OFPG_ANY, actions)
    expected = parser.OFPGroupMod(DATAPATH, command, theirs, 9, [bucket])
    assert encode_group(WIDE, group, command, 77) == ryu_bytes(expected)


def test_group_deletes_are_as_ryu_writes_them() -> None:
    expected = parser.OFPGroupMod(DATAPATH, ofproto.OFPGC_DELETE, 0, 9, [])
    assert encode_group_delete(9, 77) == ryu_bytes(expected)


def test_more_than_64_bits_at_once_are_refused() -> None:
    wide = fields.Bits("wide", fields.CT_LABEL, 0, 65)
    flow = Flow("one", 1, match(eth_type=0x0800), (Ct(ZONE, commit=True, sets=(SetField(wide, 1),)),))
    with pytest.raises(FieldError, match="at most 64 bits"):
        encode_put(WIDE, flow, 1)


def test_forgetting_connections_is_as_ovs_ofctl_says_it() -> None:
    """``ovs-ofctl -O OpenFlow14 ct-flush br zone=1 ct_nw_proto=17
    ct_nw_src=172.16.0.18,ct_nw_proto=17,ct_tp_src=5353`` sent these bytes."""
    ended = Answers(Zone("z", 1), fields.UDP, IPv4Address("172.16.0.18"), 5353)
    assert forget_connections(ended, 2).hex() == (
        "0504004800000002000023200000002011000000000000000001002800000000"
        "0000001400000000000000000000ffffac100012000000000002000814e90000"
        "0002000800010000"
    )
