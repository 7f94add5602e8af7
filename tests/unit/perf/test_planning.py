"""What is measured in which order, and the rules of plain bridges, from values."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from testbed.emulation.errors import EmulationError
from testbed.emulation.rundir import RunDir
from testbed.model.wiring import Bridge, Port, PortKind, Switch, Wiring
from testbed.observe.trace.packet import Packet
from testbed.observe.trace.results import Hop, HopKind, Outcome, Way
from testbed.perf.facts import count_switches
from testbed.perf.plain import plan_neighbours, plan_rules
from testbed.perf.results import RAW, Measure, Path
from testbed.perf.run import Wanted, find_left_out, offloads_off, plan_round
from testbed.perf.subjects import Site, Subject
from testbed.perf.tools import DIRECT, Target

SENT = Packet("tcp", IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2"), eth_dst="02:00:00:00:00:02")
ANSWER = Packet("tcp", IPv4Address("10.0.0.2"), IPv4Address("10.0.0.1"), eth_dst="02:00:00:00:00:01")


def bridge(name: str, *ports: Port) -> Bridge:
    return Bridge(name, 1, "cluster", "02:00:00:00:00:aa", 1500, ports, "Node/n1")


WIRING = Wiring(
    switches=(
        Switch(
            "n1",
            (
                bridge(
                    "br-int", Port("p100", 100, PortKind.SYSTEM, ""), Port("p101", 101, PortKind.SYSTEM, ""),
                    Port("patch-ex", 1, PortKind.PATCH, ""),
                ),
                bridge("br-ex", Port("eth1", 2, PortKind.SYSTEM, ""), Port("patch-int", 10, PortKind.PATCH, "")),
            ),
            "Node/n1",
        ),
        Switch("fabric", (bridge("vpc", Port("e1", 1, PortKind.SYSTEM, "")),), "Lab/fabric"),
    )
)  # fmt: skip


def hop(where: str, entered: str, left: str, kind: HopKind = HopKind.SWITCH) -> Hop:
    return Hop(where, kind, entered, left, (), SENT, SENT, where.partition("/")[0])


HAIRPIN = Way(
    (
        hop("client", "", "eth0", HopKind.KERNEL),
        hop("n1/br-int", "p100", ""),
        hop("n1/br-ex", "", "eth1"),
        hop("fabric/vpc", "e1", "e1"),
        hop("n1/br-ex", "eth1", ""),
        hop("n1/br-int", "", "p101"),
        hop("near", "eth0", "", HopKind.KERNEL),
    ),
    Outcome.DELIVERED,
    SENT,
    "near",
)


def test_plain_rules_follow_the_hops_and_their_tags() -> None:
    tags = (None, None, 7, 7, 8, 8, None)
    hops = tuple(
        replace(each, before=replace(SENT, vlan=tag), after=replace(SENT, vlan=following))
        for each, tag, following in zip(HAIRPIN.hops, tags, (*tags[1:], None), strict=True)
    )
    to = "dl_dst=02:00:00:00:00:02,actions="
    assert [(rule.bridge, str(rule)) for rule in plan_rules(replace(HAIRPIN, hops=hops), WIRING)] == [
        ("n1/br-int", f"priority=1,in_port=100,dl_vlan=0xffff,{to}push_vlan:0x8100,set_field:4103->vlan_vid,output:1"),
        ("n1/br-ex", f"priority=1,in_port=10,dl_vlan=7,{to}output:2"),
        ("fabric/vpc", f"priority=1,in_port=1,dl_vlan=7,{to}set_field:4104->vlan_vid,output:in_port"),
        ("n1/br-ex", f"priority=1,in_port=2,dl_vlan=8,{to}output:10"),
        ("n1/br-int", f"priority=1,in_port=1,dl_vlan=8,{to}pop_vlan,output:101"),
    ]


def test_a_kernel_on_the_way_has_no_plain_bridge() -> None:
    through = replace(
        HAIRPIN, hops=(*HAIRPIN.hops[:2], hop("n1", "br-int", "br-ex", HopKind.KERNEL), *HAIRPIN.hops[2:])
    )
    with pytest.raises(EmulationError, match="the kernel of n1"):
        plan_rules(through, WIRING)


def test_a_port_that_is_not_there_is_an_error() -> None:
    lost = replace(HAIRPIN, hops=(HAIRPIN.hops[0], hop("n1/br-int", "p100", "p999"), HAIRPIN.hops[-1]))
    with pytest.raises(EmulationError, match="br-int has no port p999"):
        plan_rules(lost, WIRING)


def test_both_ends_know_each_other() -> None:
    back = replace(HAIRPIN, packet=ANSWER, host="client")
    assert [(item.namespace, str(item.address), item.mac) for item in plan_neighbours(HAIRPIN, back, "client")] == [
        ("client", "10.0.0.2", "02:00:00:00:00:02"),
        ("near", "10.0.0.1", "02:00:00:00:00:01"),
    ]


def test_bridges_in_a_row_are_one_entry_into_a_switch() -> None:
    assert count_switches(HAIRPIN) == 3


def subject(name: str, *paths: Path, measures: tuple[Measure, ...] = tuple(Measure)) -> Subject:
    site = Site("client", "far", Target(IPv4Address("10.0.0.2"), DIRECT), measures=measures)
    rundir = RunDir.of(f"perf-{name}")
    return Subject(name, rundir, "userspace", Wiring(), ("n1", "eth0"), "client", dict.fromkeys(paths, site))


def test_subjects_are_measured_by_turns() -> None:
    wanted = Wanted(paths=(Path.OTHER, Path.INGRESS), measures=(Measure.TCP_1, Measure.CONNECTIONS))
    only_http = subject("eni", Path.INGRESS, measures=(Measure.CONNECTIONS,))
    subjects = (subject(RAW, Path.PAIR), subject("vpc", Path.OTHER), subject("tunnel", Path.OTHER), only_http)
    assert [str(cell) for cell in plan_round(wanted, subjects)] == [
        "raw veth-pair tcp-1",
        "raw veth-pair connections",
        "vpc other-node tcp-1",
        "tunnel other-node tcp-1",
        "vpc other-node connections",
        "tunnel other-node connections",
        "eni ingress connections",
    ]


def test_what_no_subject_serves_is_said() -> None:
    wanted = Wanted(paths=(Path.OTHER, Path.NAT))
    assert [path for path, _ in find_left_out(wanted, (subject("vpc", Path.OTHER),))] == ["nat-gateway"]


def test_offloads_are_off_for_all_when_one_model_can_not_have_them() -> None:
    in_user_space = Wanted(datapath="userspace")
    assert offloads_off(in_user_space)
    assert not offloads_off(replace(in_user_space, models=("vpc", "eni")))
    assert not offloads_off(replace(in_user_space, offloads="on"))
    assert offloads_off(Wanted(models=("eni",), offloads="off"))
