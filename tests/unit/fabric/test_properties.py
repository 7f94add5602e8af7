"""Any rules and any routes: the flows decide as the sentences of the document read."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from hypothesis import given, settings
from hypothesis import strategies as st

from controllers.fabric import compile_fabric
from testbed.model.desired import Direction, FabricState, NextHop, Protocol, SecurityRule
from tests.unit.fabric.clouds import N2, NODE, A, B, Cloud, group, ping, route, state, table, tcp, udp, with_groups

PORTS = st.integers(0, 65535)
RULES = st.builds(
    SecurityRule,
    direction=st.sampled_from(Direction),
    protocol=st.sampled_from(Protocol),
    owner=st.just("SecurityGroup/any"),
    ports=st.none() | st.tuples(PORTS, PORTS).map(lambda pair: (min(pair), max(pair))),
    cidr=st.none() | st.sampled_from([IPv4Network(text) for text in ("0.0.0.0/0", "10.0.0.0/24", "10.0.0.8/30")]),
    group=st.none() | st.sampled_from(["vpc1/a", "vpc1/b"]),
).map(lambda rule: replace(rule, cidr=None) if rule.group else rule)
SETS = st.lists(RULES, max_size=4).map(tuple)


def allows(rule: SecurityRule, direction: Direction, protocol: str, port: int, peer: str, peer_group: str) -> bool:
    """One rule, as its sentence reads."""
    if rule.direction is not direction or rule.protocol not in (Protocol.ALL, protocol):
        return False
    if rule.ports is not None and rule.protocol is not Protocol.ICMP:
        first, last = rule.ports
        if protocol == "icmp" or not first <= port <= last:
            return False
    if rule.group is not None:
        return rule.group == peer_group
    return rule.cidr is None or IPv4Address(peer) in rule.cidr


@settings(max_examples=150, deadline=None)
@given(SETS, SETS, st.sampled_from(["tcp", "udp", "icmp"]), PORTS)
def test_a_packet_passes_when_a_rule_of_each_side_allows_it(
    of_a: tuple[SecurityRule, ...], of_b: tuple[SecurityRule, ...], protocol: str, port: int
) -> None:
    cloud = Cloud(with_groups(with_groups(state(), A, group("vpc1/a", *of_a)), B, group("vpc1/b", *of_b)))
    packets = {
        "tcp": tcp("10.0.0.5", "10.0.0.9", port),
        "udp": udp("10.0.0.5", "10.0.0.9", port),
        "icmp": ping("10.0.0.5", "10.0.0.9"),
    }
    out = any(allows(each, Direction.EGRESS, protocol, port, "10.0.0.9", "vpc1/b") for each in of_a)
    into = any(allows(each, Direction.INGRESS, protocol, port, "10.0.0.5", "vpc1/a") for each in of_b)
    outcome = cloud.send(A, packets[protocol])
    assert bool(outcome.sent) == (out and into), outcome
    if outcome.sent:
        assert cloud.answer(B, outcome.only.packet).ports == [A]
        assert cloud.send(A, packets[protocol]).ports == [B]


PREFIXES = st.tuples(st.integers(0, (1 << 32) - 1), st.integers(1, 32)).map(
    lambda pair: IPv4Network((pair[0], pair[1]), strict=False)
)


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(PREFIXES, st.sampled_from([NODE, N2]), max_size=8),
    st.integers(0, (1 << 32) - 1).map(IPv4Address),
    st.integers(0, 7),
)
def test_the_longest_prefix_decides(routes: dict[IPv4Network, int], elsewhere: IPv4Address, index: int) -> None:
    """Destinations are anywhere, or the first address of one of the routes."""
    first = [network.network_address for network in routes]
    target = first[index] if index < len(first) else elsewhere
    custom = (route(str(network), NextHop.ENI, eni) for network, eni in routes.items())
    cloud = Cloud(state(route_tables=(table(1, 1, *custom), table(2, 2))))
    if any(target in subnet.cidr for subnet in cloud.state.subnets if subnet.network == 1):
        return
    best = max((network for network in routes if target in network), key=lambda n: n.prefixlen, default=None)
    expected = [] if best is None else [routes[best]]
    assert cloud.send(A, udp("10.0.0.5", target, 9)).ports == expected


def test_an_empty_cloud_compiles() -> None:
    program = compile_fabric(FabricState(1, 7, ()))[7]
    assert len(program.flows) > len(program.pipeline.tables)
