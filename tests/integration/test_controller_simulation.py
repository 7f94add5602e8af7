"""The fake switch decides as a real one does: random programs and packets, compared with Open vSwitch's own trace."""

from __future__ import annotations

import itertools
import random
import re
import subprocess
from collections.abc import Iterator

import pytest

from controllers.openflow import (
    Action,
    Bucket,
    Clone,
    Conjunction,
    Copy,
    DecTtl,
    Flow,
    Group,
    GroupKind,
    InPort,
    Output,
    Program,
    Resubmit,
    SetField,
    ToGroup,
    build_program,
    fields,
    match,
)
from controllers.openflow import messages as m
from controllers.openflow.decode import Found
from controllers.openflow.diff import plan_repair
from controllers.openflow.packets import Packet, tcp, udp
from controllers.openflow.render import render_program
from controllers.openflow.simulate import FakeSwitch
from tests.integration.controller_switch import OwnSwitch, Peer, own_switch
from tests.limits import LIMIT
from tests.unit.openflow.pipelines import LOW, MIDDLE, NEXT, WIDE

pytestmark = pytest.mark.root
LOCAL = 0xFFFFFFFE
XIDS = itertools.count(2)
ADDRESSES = ("10.0.0.1", "10.0.0.2", "10.0.1.1")
NETWORKS = ("10.0.0.0/24", "10.0.0.0/16", *ADDRESSES)


@pytest.fixture(scope="module")
def switch() -> Iterator[OwnSwitch]:
    with own_switch() as made:
        made.add_bridge("br0", 1)
        yield made


def install(switch: OwnSwitch, program: Program) -> None:
    switch.ofctl("del-flows", "br0")
    switch.ofctl("del-groups", "br0")
    peer = Peer(switch.run / "br0.mgmt")
    changes = plan_repair(Found(), program)
    last = next(XIDS)
    bundle = m.encode_bundle(WIDE, changes, 1, lambda: next(XIDS), lambda xid, purpose: None)
    peer.send(bundle + m.barrier(last))
    while (arrived := peer.receive())[:2] != (21, last):
        assert arrived[0] != 1, f"the switch refuses\n{render_program(program)}"
    peer.close()


def traced_ports(switch: OwnSwitch, packet: Packet) -> list[int]:
    """Ports in the order in which Open vSwitch would send. Only LOCAL exists; the trace names all."""
    kind = "tcp" if packet.get("tcp_dst") else "udp"
    port = packet.get("tcp_dst") or packet.get("udp_dst")
    source, target = packet.get("ipv4_src"), packet.get("ipv4_dst")
    flow = f"in_port=LOCAL,{kind},nw_src={source},nw_dst={target},nw_ttl=64,{kind}_dst={port}"
    control = next(switch.run.glob("ovs-vswitchd.*.ctl"))
    command = ["ovs-appctl", "-t", str(control), "ofproto/trace", "br0", flow]
    text = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=True).stdout
    lines = text.splitlines()
    ports = []
    for line, after in itertools.zip_longest(lines, lines[1:], fillvalue=""):
        if (found := re.match(r"\s+output:(\d+)$", line)) and "skipping" not in after:
            ports.append(int(found[1]))
        elif re.match(r"\s+IN_PORT$", line):
            ports.append(LOCAL)
    return ports


class Maker:
    """Random programs out of one seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.priorities = self.random.sample(range(1, 1000), 100)  # of equal ones, which wins is not defined

    def program(self) -> Program:
        return build_program(WIDE, [*(self.flow() for _ in range(25)), *self.conjunction()], self.groups())

    def flow(self) -> Flow:
        pick = self.random
        table = pick.choice(("one", "one", "two", "three"))
        later = {"one": ("two", "three", None), "two": ("three", None), "three": (None,)}[table]
        bits: dict[fields.Target, fields.Value] = {}
        for each in pick.sample((NEXT, LOW), pick.randint(0, 1)):
            bits[each] = pick.randint(0, 1)
        port = pick.choice(({}, {"tcp_dst": pick.choice((80, 81))}))
        wanted = match(bits, ipv4_dst=pick.choice(NETWORKS), **port)
        actions = tuple(self.action(table) for _ in range(pick.randint(0, 4)))
        return Flow(table, self.priorities.pop(), wanted, actions, pick.choice(later), owner="Test/random")

    def action(self, table: str, depth: int = 0) -> Action:
        pick = self.random
        choices: list[Action] = [
            Output(pick.randint(1, 5)),
            Output(pick.randint(1, 5)),
            InPort(),
            SetField(NEXT, pick.randint(0, 2)),
            SetField(LOW, pick.randint(0, 1)),
            SetField(MIDDLE, pick.randint(0, 4095)),
            SetField(fields.IPV4_DST, pick.choice(ADDRESSES)),
            Copy(fields.IPV4_SRC, fields.IPV4_DST),
            DecTtl(),
        ]
        if table != "three":
            choices += [Resubmit("three"), ToGroup(pick.choice((1, 2)))]
        if depth == 0:
            choices.append(Clone((self.action(table, 1), self.action(table, 1))))
        return pick.choice(choices)

    def conjunction(self) -> list[Flow]:
        """(from one of two addresses) and (to one of two ports).

        No other flow has the match of a clause: Open vSwitch would overlook it once the conjunction holds.
        """
        pick = self.random
        priority = self.priorities.pop()
        clause = [(match(ipv4_src=each), 1) for each in pick.sample(ADDRESSES, 2)]
        clause += [(match(tcp_dst=each), 2) for each in (80, 81)]
        made = [
            Flow("two", priority, what, (Conjunction(5, number, 2),), owner="Test/clause") for what, number in clause
        ]
        return [
            *made,
            Flow("two", pick.randint(1, 9), match(conj_id=5, eth_type=0x0800), (Output(6),), owner="Test/both"),
        ]

    def groups(self) -> list[Group]:
        buckets = tuple(
            Bucket((SetField(NEXT, self.random.randint(0, 2)), self.random.choice((Output(7), Resubmit("three")))))
            for _ in range(2)
        )
        return [Group(1, GroupKind.ALL, buckets), Group(2, GroupKind.INDIRECT, buckets[:1])]

    def packet(self) -> Packet:
        pick = self.random
        make = pick.choice((tcp, tcp, udp))
        return make(pick.choice(ADDRESSES), pick.choice(ADDRESSES), pick.choice((80, 81, 82)))


@pytest.mark.parametrize("seed", range(25))
def test_packets_leave_by_the_same_ports(switch: OwnSwitch, seed: int) -> None:
    maker = Maker(seed)
    program = maker.program()
    install(switch, program)
    fake = FakeSwitch(program)
    for _ in range(8):
        packet = maker.packet()
        outcome = fake.send(packet, LOCAL)
        assert outcome.ports == traced_ports(switch, packet), f"{packet}\n{outcome}\n\n{render_program(program)}"
