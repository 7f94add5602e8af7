"""The program as text (golden files), its size and the time it takes."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from controllers.fabric import compile_fabric
from controllers.openflow import cookie_of
from controllers.openflow.render import render_program
from testbed.model.desired import EipBinding, FabricState
from tests.unit.counting import calls_of
from tests.unit.fabric.clouds import (
    CARRIER,
    HOST,
    NODE,
    A,
    B,
    P,
    bind_eip,
    eni,
    group,
    nat_gateway,
    open_group,
    peered,
    program,
    rule,
    state,
    subnet,
    table,
    with_groups,
)
from tests.unit.fabric.test_balancer import balanced, member

GOLDEN = Path(__file__).parent / "golden"


def only(cloud: FabricState, *numbers: int) -> FabricState:
    """The cloud with these ENIs and without routes."""
    enis = tuple(e for e in cloud.enis if e.id in numbers)
    tables = tuple(replace(t, routes=tuple(r for r in t.routes if r.target in numbers)) for t in cloud.route_tables)
    return replace(cloud, enis=enis, route_tables=tables)


def two_servers() -> FabricState:
    """One VPC, one subnet, b lets web clients of a's group in."""
    web = group("vpc1/web", rule("ingress", "tcp", ports=(80, 83), group="vpc1/open"), rule("egress"))
    return with_groups(only(state(), A, B), B, web)


def pods() -> FabricState:
    """A node with its block, a carrier with a sub-ENI."""
    return only(state(), NODE, CARRIER, P)


def internet() -> FabricState:
    """A server with an elastic IP, a NAT gateway for the others, an internet host."""
    gateway = nat_gateway(snat=[("10.0.0.0/24", "198.51.100.8")], dnat=[("198.51.100.8", 80, "10.0.0.9", 8080)])
    return replace(bind_eip(only(state(), A, B, HOST), "198.51.100.5", A), nat_gateways=(gateway,))


def peering() -> FabricState:
    """Two VPCs with routes to each other."""
    return peered(only(state(), A, NODE, 7, 11))


def balancer() -> FabricState:
    """A load balancer with two members."""
    return balanced((member("10.0.0.5"), member("10.0.0.9", weight=2)), cloud=only(state(), A, B))


CASES = (two_servers, pods, internet, peering, balancer)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_golden(case) -> None:
    found = render_program(program(case()))
    assert found == (GOLDEN / f"{case.__name__}.txt").read_text()


def test_every_flow_says_who_asked_for_it_and_why() -> None:
    for case in CASES:
        compiled = program(case())
        for flow in compiled.flows.values():
            assert flow.owner, flow
            assert flow.note, flow
            assert compiled.cookies[cookie_of(flow.owner, flow.note)] == (flow.owner, flow.note)


def many_pods(nodes: int, per_node: int) -> FabricState:
    """Carriers with sub-ENIs that all have one security group."""
    own = group("vpc1/pods", rule("ingress", group="vpc1/pods"), rule("egress", cidr=IPv4Network("0.0.0.0/0")))
    wide = subnet("wide", 1, "10.0.0.0/16", 1)
    enis = []
    for node in range(nodes):
        first = node * (per_node + 1) + 1
        for offset in range(per_node + 1):
            number = first + offset
            address = str(wide.cidr[number + 10])
            mac = f"fa:16:3e:01:{number >> 8:02x}:{number & 255:02x}"
            vlan, groups = offset or None, ("vpc1/pods",)
            enis.append(eni(number, address, subnet="wide", port=first, vlan=vlan, mac=mac, security_groups=groups))
    return state(subnets=(wide,), route_tables=(table(1, 1),), enis=tuple(enis), security_groups=(own, open_group(1)))


def test_work_grows_with_the_number_of_pods_and_not_faster() -> None:
    """Though they all have one security group, whose rules name the group itself."""

    def work(nodes: int) -> int:
        cloud = many_pods(nodes, 9)
        compile_fabric(cloud)  # what is compiled once for all is there
        return calls_of(lambda: compile_fabric(cloud))

    assert work(20) < 4.4 * work(5)


def test_one_more_pod_changes_only_its_own_flows() -> None:
    before, after = many_pods(3, 10), many_pods(3, 10)
    newcomer = eni(200, "10.0.200.1", subnet="wide", port=1, vlan=500, security_groups=("vpc1/pods",))
    after = replace(after, enis=(*after.enis, newcomer))
    old, new = program(before).flows, program(after).flows
    changed = {key for key in new if old.get(key) != new[key]}
    assert {new[key].owner for key in changed} == {"Server/s200"}
    assert len(changed) < 12
    assert not set(old) - set(new)


def test_flows_that_stay_are_the_same_objects() -> None:
    """The comparison with the last program is by identity first."""
    cloud = many_pods(3, 10)
    old = program(cloud).flows
    new = program(replace(cloud, eips=(EipBinding(cloud.enis[0].address, 2, "ElasticIp/x"),))).flows
    assert all(new[key] is flow for key, flow in old.items())
