"""Everything that flows and groups can say is taken by a real Open vSwitch, and reads back as what was sent."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from dataclasses import replace

import pytest

from controllers.openflow import (
    Bucket,
    Clone,
    Copy,
    Ct,
    Flow,
    Group,
    GroupKind,
    Output,
    Program,
    Resubmit,
    SetField,
    build_program,
    fields,
    match,
)
from controllers.openflow import messages as m
from controllers.openflow.decode import Found, read_flows, read_groups
from controllers.openflow.diff import Changes, plan_changes, plan_repair
from controllers.openflow.encode import WireKey
from tests.integration.controller_switch import OwnSwitch, Peer, own_switch, until
from tests.limits import LIMIT
from tests.unit.openflow import test_learn
from tests.unit.openflow.pipelines import LABEL, MARK, NEXT, WIDE, ZONE
from tests.unit.openflow.test_encode import ACTIONS, MATCHES

pytestmark = pytest.mark.root
XIDS = itertools.count(2)


@pytest.fixture(scope="module")
def switch() -> Iterator[OwnSwitch]:
    with own_switch() as made:
        made.add_bridge("br0", 1)
        yield made


@pytest.fixture(scope="module")
def peer(switch: OwnSwitch) -> Peer:
    return Peer(switch.run / "br0.mgmt")


def read(peer: Peer) -> Found:
    found = Found()
    last = next(XIDS)
    peer.send(m.flows_request(next(XIDS)) + m.groups_request(next(XIDS)) + m.barrier(last))
    while True:
        kind, xid, body = peer.receive()
        if kind == 21 and xid == last:
            return found
        if kind == 19:
            (read_flows if body[:2] == b"\0\1" else read_groups)(body[8:], found)


def send(peer: Peer, program: Program, changes: Changes) -> list[str]:
    """Send; what the switch has against it."""
    purposes: dict[int, str] = {}
    errors = []
    bundle = m.encode_bundle(program.pipeline, changes, 1, lambda: next(XIDS), purposes.__setitem__)
    last = next(XIDS)
    peer.send(bundle + m.barrier(last))
    while True:
        kind, xid, body = peer.receive()
        if kind == 1:
            errors.append(f"{purposes.get(xid)}: {struct.unpack('!HH', body[:4])}")
        if kind == 21 and xid == last:
            return errors


TAGGED_TCP = match(tcp_dst=80, ipv4_src="10.0.0.1", vlan_vid=(0x1000, 0x1000))
EVERYTHING = [
    *(Flow("one", 100 + n, ours, (Output(1),), owner=f"Match/{n}") for n, (ours, _) in enumerate(MATCHES)),
    *(
        Flow("one", 300 + n, TAGGED_TCP, (ours,), "two", f"Action/{n}", "x", n)
        for n, (ours, _) in enumerate(ACTIONS)
        if n != 19
    ),
    Flow("one", 400, TAGGED_TCP, (ACTIONS[19][0],), owner="Conjunction/1"),
    Flow("one", 401, TAGGED_TCP, (Clone((SetField(NEXT, 1), Output(3))), Resubmit("two"), Output(4)), owner="Clone/1"),
    Flow("one", 402, TAGGED_TCP, (Copy(fields.IPV4_SRC, fields.IPV4_DST), SetField(fields.IP_TTL, 64)), owner="Copy/1"),
    Flow("one", 403, TAGGED_TCP, (Ct(ZONE, commit=True, sets=(SetField(LABEL, 5), SetField(MARK, 3))),), owner="Ct/1"),
    Flow("one", 404, match(tcp_flags=(2, 0x12), ip_frag=0, ip_dscp=3, ip_ttl=1), owner="Match/rare"),
    Flow("one", 405, match(ct_nw_dst="10.0.0.1", ct_tp_dst=80, ct_nw_proto=6, ct_state="+trk-inv"), owner="Match/ct"),
    Flow("one", 406, match(ct_label=(1 << 100, 0xFF << 100), eth_type=0x0800), owner="Match/label"),
    Flow("one", 407, match(arp_op=1), (Copy(fields.ARP_SHA, fields.ARP_THA), Copy(fields.ARP_SPA, fields.ARP_TPA))),
]
GROUPS = [
    Group(1, GroupKind.SELECT, (Bucket((Resubmit("two"),), 5), Bucket((Output(1),), 100, 1)), "Group/1"),
    Group(2, GroupKind.ALL, (Bucket((Output(1),)), Bucket((SetField(NEXT, 3), Output(2)))), "Group/2"),
    Group(3, GroupKind.INDIRECT, (Bucket((Output(1),)),), "Group/3"),
    Group(4, GroupKind.SELECT, (), "Group/4"),
    Group(5, GroupKind.SELECT, (Bucket((Output(2),)),), "Group/5"),
]
PROGRAM = build_program(WIDE, EVERYTHING, GROUPS)


def test_all_of_it_is_taken_and_reads_back_equal(peer: Peer) -> None:
    changes = plan_repair(read(peer), PROGRAM)
    assert len(changes) >= len(EVERYTHING) + len(GROUPS)
    assert send(peer, PROGRAM, changes) == []
    left = plan_repair(read(peer), PROGRAM)
    assert (left.put_flows, left.add_groups, left.modify_groups, left.delete_flows) == ((), (), (), ())
    assert len(left) == 0


def test_groups_change_while_flows_use_them_and_go_after_them(peer: Peer) -> None:
    send(peer, PROGRAM, plan_repair(read(peer), PROGRAM))
    changed = build_program(
        WIDE, EVERYTHING, [*GROUPS[:4], Group(5, GroupKind.SELECT, (Bucket((Output(3),)),), "Group/5")]
    )
    changes = plan_repair(read(peer), changed)
    assert len(changes.modify_groups) == len(changes) == 1
    assert send(peer, changed, changes) == []
    nothing = build_program(WIDE, [])
    assert send(peer, nothing, plan_repair(read(peer), nothing)) == []
    found = read(peer)
    assert (len(found.flows), len(found.groups)) == (3, 0)


FRAME = "020000000002020000000001080045000028000040004006000a0a0000010a60000103e80050" + "00" * 8 + "50022000" + "0" * 8
"""From 10.0.0.1 to 10.96.0.1, TCP 1000 to 80."""


def learned(peer: Peer) -> list[WireKey]:
    return [key for key in read(peer).flows if key[:2] == (1, 100)]


def test_a_switch_learns_and_what_it_learned_is_left_alone_until_nothing_learns_it(
    switch: OwnSwitch, peer: Peer
) -> None:
    program = test_learn.program_of()
    assert send(peer, program, plan_repair(read(peer), program)) == []
    assert len(plan_repair(read(peer), program)) == 0
    switch.ofctl("packet-out", "br0", f"in_port=LOCAL packet={FRAME} actions=resubmit(,0)")
    until(lambda: learned(peer), LIMIT, "the learned flow")
    assert len(learned(peer)) == 1
    assert len(plan_repair(read(peer), program)) == 0
    another = test_learn.program_of(replace(test_learn.LEARN, note="another client"))
    assert send(peer, another, plan_changes(program, another)) == []
    assert not learned(peer)
    assert len(plan_repair(read(peer), another)) == 0
