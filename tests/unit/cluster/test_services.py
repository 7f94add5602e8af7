"""Services on a switch in pure Python: choice of endpoints, translation, and what a change touches."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from controllers.cluster import compile_cluster
from controllers.cluster.service.ports import port_masks
from controllers.cluster.service.served import Scope, Verdict, choose, serve
from controllers.openflow import Flow
from controllers.openflow.diff import plan_changes
from controllers.openflow.fields import LOCAL
from controllers.openflow.packets import SOURCE_PORT, Packet, ping, tcp, udp
from controllers.openflow.simulate import FakeSwitch
from testbed.model.desired import (
    NODE_PORT_ADDRESS,
    NODE_STAND_IN,
    REFUSE_MAC,
    NetworkModel,
    Protocol,
    ServicePort,
)
from tests.unit.cluster import states
from tests.unit.cluster.states import ADDRESSES, ENI, INT1, INT2, N1, N2, PORTS, TUNNEL, VPC, pod_mac

CLIENT = "10.0.0.20"
ANY_MODEL = pytest.mark.parametrize("model", list(NetworkModel))


def switch(model: NetworkModel, *services: ServicePort, bridge: int = INT1) -> FakeSwitch:
    return FakeSwitch(compile_cluster(states.state(model, services=services))[bridge])


def from_a(model: NetworkModel, target: str, port: int = 80) -> Packet:
    return tcp(ADDRESSES[model]["a"], target, port, eth_src=pod_mac("a"))


def came_by(model: NetworkModel) -> dict[str, Any]:
    """What comes with a packet from n2."""
    return {"tun_ipv4_src": N2, "tunnel_id": 4097} if model is TUNNEL else {}


# --- which endpoints ------------------------------------------------------------------------------------------


def port_of(*endpoints: dict[str, Any]) -> ServicePort:
    made = tuple(
        states.endpoint(TUNNEL, "a", address=IPv4Address("172.16.0.2") + i, **each) for i, each in enumerate(endpoints)
    )
    return replace(states.service(TUNNEL, "web", 9, ""), endpoints=made)


READY, GONE = {"ready": True}, {"ready": False, "serving": False}
ENDING = {"ready": False, "serving": True}
FAR = {"node": "n2"}


@pytest.mark.parametrize(
    ("endpoints", "local", "verdict", "chosen"),
    [
        ((), False, Verdict.REFUSE, []),
        ((), True, Verdict.REFUSE, []),
        ((GONE,), False, Verdict.REFUSE, []),
        ((READY, ENDING, GONE), False, Verdict.BALANCE, [0]),
        ((ENDING, GONE), False, Verdict.BALANCE, [0]),
        ((READY, FAR), True, Verdict.BALANCE, [0]),
        ((FAR,), True, Verdict.DROP, []),
        ((FAR, ENDING), True, Verdict.BALANCE, [1]),
        ((GONE, FAR), True, Verdict.DROP, []),
    ],
)
def test_choice(endpoints: tuple[dict[str, Any], ...], local: bool, verdict: Verdict, chosen: list[int]) -> None:
    port = port_of(*endpoints)
    choice = choose(serve(port), "n1" if local else None)
    assert (choice.verdict, choice.endpoints) == (verdict, tuple(port.endpoints[i] for i in chosen))


@pytest.mark.parametrize(("first", "last"), [(30000, 32767), (61440, 65535), (1, 65535), (0, 65535), (80, 80)])
def test_port_masks_cover_the_range_exactly(first: int, last: int) -> None:
    masks = port_masks(first, last)
    covered = {port for port in range(1 << 16) if any(port & mask == value for value, mask in masks)}
    assert covered == set(range(first, last + 1))
    assert len(masks) <= 30


# --- packets --------------------------------------------------------------------------------------------------


def test_there_and_back_by_tunnel() -> None:
    here = switch(TUNNEL, states.service(TUNNEL, "web", 9, "c"))
    for _ in range(2):  # the second packet goes where the first went
        there = here.send(from_a(TUNNEL, "10.247.0.9"), in_port=100).only
        assert (there.packet.get("tun_ipv4_dst"), there.packet.get("ipv4_dst"), there.packet.get("tcp_dst")) == (
            N2, ADDRESSES[TUNNEL]["c"], "8080",
        )  # fmt: skip
        assert there.packet.get("ipv4_src") == ADDRESSES[TUNNEL]["a"]
    back = here.send(there.packet.reply(), in_port=2, tun_ipv4_src=N2, tunnel_id=4097).only
    assert (back.port, back.packet.get("ipv4_src"), back.packet.get("tcp_src")) == (100, "10.247.0.9", "80")


@ANY_MODEL
def test_node_to_endpoint_takes_a_port_by_which_the_answer_is_known(model: NetworkModel) -> None:
    here = switch(model, states.service(model, "web", 9, "c"))
    there = here.send(tcp(N1, "10.247.0.9", 80), in_port=LOCAL).only
    assert there.port == (2 if model is TUNNEL else 1)
    assert there.packet.get("ipv4_src") == N1
    assert int(there.packet.get("tcp_src") or 0) >= 61440
    answer = there.packet.reply()
    back = here.send(answer, in_port=there.port, **came_by(model)).only
    assert (back.port, back.packet.get("ipv4_src"), back.packet.get("tcp_dst")) == (LOCAL, "10.247.0.9", "40000")
    if model is not TUNNEL:
        ex = FakeSwitch(compile_cluster(states.state(model, services=states.services(model)))[states.EX1])
        assert ex.send(answer, in_port=1).ports == [10]


@ANY_MODEL
def test_node_port_by_a_node_without_the_endpoint(model: NetworkModel) -> None:
    here = switch(model, states.service(model, "web", 9, "c"))
    there = here.send(tcp(CLIENT, N1, 30009), in_port=1).only
    assert (there.packet.get("ipv4_src"), there.packet.get("ipv4_dst")) == (N1, ADDRESSES[model]["c"])
    back = here.send(there.packet.reply(), in_port=there.port, **came_by(model)).only
    shown = [back.packet.get(name) for name in ("ipv4_src", "tcp_src", "ipv4_dst", "tcp_dst", "eth_src")]
    assert (back.port, shown) == (1, [N1, "30009", CLIENT, "40000", "fa:16:3e:01:00:01"])


@pytest.mark.parametrize("model", [TUNNEL, VPC])
def test_node_port_local_keeps_the_client_or_drops(model: NetworkModel) -> None:
    service = states.service(model, "local", 10, "c", external_local=True)
    with_endpoint = switch(model, service, bridge=INT2)
    there = with_endpoint.send(tcp(CLIENT, N2, 30010), in_port=1).only
    assert (there.port, there.packet.get("ipv4_src")) == (PORTS["c"], CLIENT)
    back = with_endpoint.send(there.packet.reply(), in_port=PORTS["c"]).only
    assert (back.port, back.packet.get("ipv4_src"), back.packet.get("tcp_src")) == (1, N2, "30010")
    dropped = switch(model, service).send(tcp(CLIENT, N1, 30010), in_port=1)
    assert not dropped.sent
    assert dropped.last_flow is not None
    assert dropped.last_flow.owner == "Service/default/local"


def test_node_to_its_own_node_port() -> None:
    here = switch(TUNNEL, states.service(TUNNEL, "web", 9, "a"))
    there = here.send(tcp(N1, NODE_PORT_ADDRESS, 30009), in_port=LOCAL).only
    assert (there.port, there.packet.get("ipv4_src")) == (100, N1)
    back = here.send(there.packet.reply(), in_port=100).only
    assert (back.port, back.packet.get("ipv4_src")) == (LOCAL, str(NODE_PORT_ADDRESS))


@ANY_MODEL
def test_no_endpoints_goes_to_the_kernel_to_be_refused(model: NetworkModel) -> None:
    here = switch(model, states.service(model, "none", 11, ""))
    asked = here.send(from_a(model, "10.247.0.11"), in_port=100).only
    assert (asked.port, asked.packet.get("eth_src"), asked.packet.get("ipv4_dst")) == (LOCAL, REFUSE_MAC, "10.247.0.11")
    node = here.send(tcp(N1, "10.247.0.11", 80), in_port=LOCAL).only
    assert (node.port, node.packet.get("eth_src"), node.packet.get("ipv4_src")) == (
        LOCAL,
        REFUSE_MAC,
        str(NODE_STAND_IN),
    )
    back = here.send(node.packet.reply(), in_port=LOCAL).only
    assert (back.port, back.packet.get("ipv4_src"), back.packet.get("ipv4_dst")) == (LOCAL, "10.247.0.11", N1)


def test_a_refusal_comes_back_to_a_pod_with_a_sub_eni() -> None:
    """By br-int: with the Service's address the VPC would not let it in."""
    here = switch(ENI, states.service(ENI, "none", 11, ""))
    asked = here.send(from_a(ENI, "10.247.0.11"), in_port=100).only
    back = here.send(asked.packet.reply(), in_port=LOCAL).only
    assert (back.port, back.packet.get("ipv4_src")) == (100, "10.247.0.11")
    assert (back.packet.get("ipv4_dst"), back.packet.get("eth_dst")) == (ADDRESSES[ENI]["a"], pod_mac("a"))


def test_in_eni_an_answer_has_the_pods_own_address_until_the_vpc_has_carried_it() -> None:
    """a asks, b of the same node is chosen: the VPC's spoof guard lets b speak as itself only."""
    here = switch(ENI, states.service(ENI, "web", 9, "b"))
    a, b = ADDRESSES[ENI]["a"], ADDRESSES[ENI]["b"]
    there = here.send(from_a(ENI, "10.247.0.9"), in_port=100).only
    assert (there.port, there.packet.get("ipv4_src"), there.packet.get("ipv4_dst")) == (1, a, b)
    answer = tcp(b, a, SOURCE_PORT, 8080, eth_src=pod_mac("b"))
    out = here.send(answer, in_port=101).only
    assert (out.port, out.packet.get("ipv4_src")) == (1, b)
    back = here.send(answer.but(vlan_vid=7), in_port=1).only
    assert (back.port, back.packet.get("ipv4_src"), back.packet.get("ipv4_dst")) == (100, "10.247.0.9", a)


@ANY_MODEL
def test_in_ipvs_mode_the_node_has_the_whole_address(model: NetworkModel) -> None:
    """It answers pings, and refuses ports that no Service has there; by iptables both are left alone."""
    balancer = IPv4Address("10.0.0.50")
    plain = states.service(model, "web", 9, "b", external_addresses=(balancer,))
    here, other = switch(model, replace(plain, bound=True)), switch(model, plain)
    for address in ("10.247.0.9", str(balancer)):
        echo = ping(ADDRESSES[model]["a"], address, eth_src=pod_mac("a"))
        answer = here.send(echo, in_port=100).only
        assert (answer.port, answer.packet.get("icmpv4_type")) == (100, "0")
        assert (answer.packet.get("ipv4_src"), answer.packet.get("eth_dst")) == (address, pod_mac("a"))
        refused = here.send(from_a(model, address, 81), in_port=100).only
        assert (refused.port, refused.packet.get("eth_src")) == (LOCAL, REFUSE_MAC)
        assert 100 not in other.send(echo, in_port=100).ports


@ANY_MODEL
def test_its_own_endpoint(model: NetworkModel) -> None:
    here = switch(model, states.service(model, "web", 9, "a"))
    there = here.send(from_a(model, "10.247.0.9"), in_port=100).only
    assert (there.port, there.packet.get("ipv4_src"), there.packet.get("eth_dst")) == (100, N1, pod_mac("a"))
    back = here.send(there.packet.reply().but(eth_src=pod_mac("a")), in_port=100).only
    assert (back.port, back.packet.get("ipv4_src"), back.packet.get("ipv4_dst")) == (
        100,
        "10.247.0.9",
        ADDRESSES[model]["a"],
    )


def test_balancer_addresses_are_served_here_for_the_listed_sources() -> None:
    allowed = states.service(TUNNEL, "web", 9, "b", external_addresses=(IPv4Address("10.0.0.50"),))
    there = switch(TUNNEL, allowed).send(from_a(TUNNEL, "10.0.0.50"), in_port=100).only
    assert (there.port, there.packet.get("ipv4_src")) == (101, N1)
    other = switch(TUNNEL, allowed).send(from_a(TUNNEL, "10.0.0.50", 81), in_port=100).only
    assert (other.port, other.packet.get("ipv4_dst")) == (LOCAL, "10.0.0.50"), "what it doesn't serve goes on"
    ranges = replace(allowed, source_ranges=(IPv4Network("10.0.0.0/24"),))
    assert not switch(TUNNEL, ranges).send(from_a(TUNNEL, "10.0.0.50"), in_port=100).sent
    nodes_only = replace(allowed, external_from_pods=False)
    passed = switch(TUNNEL, nodes_only).send(from_a(TUNNEL, "10.0.0.50"), in_port=100).only
    assert (passed.port, passed.packet.get("ipv4_dst")) == (LOCAL, "10.0.0.50")


@ANY_MODEL
def test_traffic_of_no_service_is_not_tracked(model: NetworkModel) -> None:
    here = switch(model, *states.services(model))
    for packet in (
        from_a(model, ADDRESSES[model]["b"], 8080),
        udp(ADDRESSES[model]["a"], CLIENT, 53, eth_src=pod_mac("a")),
    ):
        assert here.send(packet, in_port=100).sent
    assert not here.tracker.zones


def test_wrong_port_is_dropped_with_a_reason() -> None:
    out = switch(TUNNEL, states.service(TUNNEL, "web", 9, "a")).send(from_a(TUNNEL, "10.247.0.9", 81), in_port=100)
    assert not out.sent
    assert out.last_flow is not None
    assert out.last_flow.note == "no Service has this address and port"


class Recorder(FakeSwitch):
    """Keeps what it learned."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.learned: list[Flow] = []

    def learn(self, flow: Flow) -> None:
        self.learned.append(flow)
        super().learn(flow)


def test_client_affinity_until_the_endpoint_goes() -> None:
    """The select function alternates; the client's connections don't."""
    sticky = states.service(TUNNEL, "web", 9, "bc", affinity_seconds=10800)
    turns = iter(range(100))
    here = Recorder(
        compile_cluster(states.state(TUNNEL, services=(sticky,)))[INT1],
        select=lambda group, _: next(turns) % len(group.buckets),
    )

    def ask(name: str, source_port: int) -> str | None:
        asked = from_a(TUNNEL, "10.247.0.9").but(
            ipv4_src=ADDRESSES[TUNNEL][name], eth_src=pod_mac(name), tcp_src=source_port
        )
        return here.send(asked, in_port=PORTS[name]).only.packet.get("ipv4_dst")

    first, other = ask("b", 1001), ask("a", 1001)
    assert (first, other) == (ADDRESSES[TUNNEL]["b"], ADDRESSES[TUNNEL]["c"])
    assert [ask("b", 1002 + i) for i in range(5)] == [first] * 5
    assert [ask("a", 1002 + i) for i in range(5)] == [other] * 5
    assert [flow.idle_timeout for flow in here.learned] == [10800] * 2


def test_affinity_to_an_endpoint_that_is_gone_is_chosen_anew() -> None:
    """The learned flow stays in the switch; without the endpoint's own flow it decides nothing."""
    sticky = states.service(TUNNEL, "web", 9, "bc", affinity_seconds=60)
    before = compile_cluster(states.state(TUNNEL, services=(sticky,)))[INT1]
    after = compile_cluster(states.state(TUNNEL, services=(replace(sticky, endpoints=sticky.endpoints[1:]),)))[INT1]
    here = Recorder(before, select=lambda group, _: 0)
    assert here.send(from_a(TUNNEL, "10.247.0.9"), in_port=100).only.packet.get("ipv4_dst") == ADDRESSES[TUNNEL]["b"]
    later = FakeSwitch(after)
    for flow in here.learned:
        later.learn(flow)
    asked = from_a(TUNNEL, "10.247.0.9").but(tcp_src=1002)
    assert later.send(asked, in_port=100).only.packet.get("ipv4_dst") == ADDRESSES[TUNNEL]["c"]


# --- what a change touches ------------------------------------------------------------------------------------


def test_one_endpoint_is_one_group_on_each_node() -> None:
    many = tuple(states.service(TUNNEL, f"s{i}", i, "abc") for i in range(1, 100))
    fewer = (*many[:50], replace(many[50], endpoints=many[50].endpoints[:2]), *many[51:])
    before = compile_cluster(states.state(TUNNEL, services=many))
    after = compile_cluster(states.state(TUNNEL, services=fewer))
    for bridge in (INT1, INT2):
        changes = plan_changes(before[bridge], after[bridge])
        assert (len(changes), len(changes.modify_groups)) == (1, 1)
    for bridge in (states.EX1, states.EX2):
        assert not len(plan_changes(before[bridge], after[bridge]))


def test_udp_connections_to_an_endpoint_that_went_are_forgotten() -> None:
    udp_port = replace(states.service(TUNNEL, "dns", 13, "ab"), protocol=Protocol.UDP)
    before = compile_cluster(states.state(TUNNEL, services=(udp_port,)))[INT1]
    after = compile_cluster(states.state(TUNNEL, services=(replace(udp_port, endpoints=udp_port.endpoints[1:]),)))[INT1]
    ended = plan_changes(before, after).ended
    assert [(each.protocol, str(each.address), each.port) for each in ended] == [(17, ADDRESSES[TUNNEL]["a"], 8080)]
    assert not plan_changes(after, before).ended
    without = compile_cluster(states.state(TUNNEL))[INT1]
    assert len(plan_changes(before, without).ended) == 2


def test_group_numbers_stay_when_other_services_come_and_go() -> None:
    one, other = (states.service(TUNNEL, name, 9 + i, "a") for i, name in enumerate(("one", "other")))
    alone = compile_cluster(states.state(TUNNEL, services=(other,)))[INT1]
    both = compile_cluster(states.state(TUNNEL, services=(one, other)))[INT1]
    assert set(alone.groups) < set(both.groups)


def test_local_choice_is_of_the_node() -> None:
    port = states.service(ENI, "web", 9, "abc")
    assert [each.address for each in choose(serve(port), "n2").endpoints] == [port.endpoints[2].address]
    assert choose(serve(port), "n2").scope is Scope.NODE
