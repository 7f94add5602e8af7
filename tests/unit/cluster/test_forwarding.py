"""Where packets go, judged on a switch in pure Python, for the models' walks of ``controllers/cluster/pipeline.py``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from controllers.cluster import compile_cluster
from controllers.openflow.fields import LOCAL
from controllers.openflow.packets import Packet, packet, tcp, udp
from controllers.openflow.simulate import FakeSwitch, Outcome
from testbed.model.desired import GATEWAY_MAC, POD_GATEWAY_MAC, NetworkModel
from tests.unit.cluster import states
from tests.unit.cluster.states import ADDRESSES, ENI, INT1, INT2, N1, N2, PORTS, TUNNEL, VPC, pod_mac

PATCH_EX, VXLAN = 1, 2
SERVER, PUBLIC = "10.0.0.20", "203.0.113.9"
ANY_MODEL = pytest.mark.parametrize("model", list(NetworkModel))
ROUTED = pytest.mark.parametrize("model", [TUNNEL, VPC])


def br_int(model: NetworkModel, dpid: int = INT1) -> FakeSwitch:
    return FakeSwitch(compile_cluster(states.state(model))[dpid])


def br_ex(model: NetworkModel) -> FakeSwitch:
    return FakeSwitch(compile_cluster(states.state(model))[states.EX1])


def from_pod(model: NetworkModel, name: str, target: str) -> Packet:
    return tcp(ADDRESSES[model][name], target, 8080, eth_src=pod_mac(name), eth_dst=POD_GATEWAY_MAC)


def sent_by(switch: FakeSwitch, model: NetworkModel, name: str, target: str) -> Outcome:
    return switch.send(from_pod(model, name, target), in_port=PORTS[name])


@ROUTED
def test_same_node(model: NetworkModel) -> None:
    sent = sent_by(br_int(model), model, "a", ADDRESSES[model]["b"]).only
    assert (sent.port, sent.packet.get("eth_dst"), sent.packet.get("eth_src")) == (101, pod_mac("b"), POD_GATEWAY_MAC)
    assert sent.packet.get("ipv4_src") == ADDRESSES[model]["a"]


def test_tunnel_other_node() -> None:
    out = sent_by(br_int(TUNNEL), TUNNEL, "a", "172.16.0.18").only
    assert out.port == VXLAN
    assert (out.packet.get("tun_ipv4_dst"), out.packet.get("tunnel_id")) == (N2, "4097")
    arrived = br_int(TUNNEL, INT2).send(out.packet, in_port=VXLAN, tun_ipv4_src=N1, tunnel_id=4097).only
    assert (arrived.port, arrived.packet.get("eth_dst")) == (100, pod_mac("c"))


@pytest.mark.parametrize("metadata", [{"tun_ipv4_src": SERVER}, {"tunnel_id": 4098}])
def test_tunnel_strangers(metadata: dict[str, Any]) -> None:
    given: dict[str, Any] = {"tun_ipv4_src": N1, "tunnel_id": 4097, **metadata}
    out = br_int(TUNNEL, INT2).send(from_pod(TUNNEL, "a", "172.16.0.18"), in_port=VXLAN, **given)
    assert not out.sent
    assert out.last_flow is not None
    assert out.last_flow.note == "a tunnel from a stranger, or another VNI"


def test_tunnel_carries_only_to_this_node() -> None:
    """n2 gets from n1 what is for n1's block, or for a server: dropped, not sent back, not masqueraded."""
    switch = br_int(TUNNEL, INT2)
    for target in ("172.16.0.3", SERVER, PUBLIC):
        assert not switch.send(from_pod(TUNNEL, "a", target), in_port=VXLAN, tun_ipv4_src=N1, tunnel_id=4097).sent


def test_tunnel_no_tunnel_in_the_tunnel() -> None:
    inner = udp("172.16.0.2", N2, 4789)
    assert not br_int(TUNNEL, INT2).send(inner, in_port=VXLAN, tun_ipv4_src=N1, tunnel_id=4097).sent


def test_vpc_other_node_and_server_see_the_pod() -> None:
    switch = br_int(VPC)
    for target in (ADDRESSES[VPC]["c"], SERVER):
        out = sent_by(switch, VPC, "a", target).only
        assert (out.port, out.packet.get("eth_src"), out.packet.get("eth_dst")) == (
            PATCH_EX, "fa:16:3e:01:00:01", GATEWAY_MAC,
        )  # fmt: skip
        assert (out.packet.get("ipv4_src"), out.packet.get("tun_ipv4_dst")) == (ADDRESSES[VPC]["a"], None)


def test_vpc_from_outside_to_a_pod() -> None:
    given = tcp(SERVER, "172.16.0.2", 80, eth_dst="fa:16:3e:01:00:01")
    assert br_ex(VPC).send(given, in_port=1).ports == [10]
    assert br_int(VPC).send(given, in_port=PATCH_EX).ports == [100]


@pytest.mark.parametrize("target", [SERVER, PUBLIC])
def test_tunnel_outside_goes_by_the_kernel(target: str) -> None:
    out = sent_by(br_int(TUNNEL), TUNNEL, "a", target).only
    assert (out.port, out.packet.get("eth_dst")) == (LOCAL, "0a:58:a9:ff:00:01")


def test_vpc_outside_the_list_goes_by_the_kernel() -> None:
    assert sent_by(br_int(VPC), VPC, "a", PUBLIC).ports == [LOCAL]


@ROUTED
def test_pod_to_its_node_and_back(model: NetworkModel) -> None:
    switch = br_int(model)
    there = sent_by(switch, model, "a", N1).only
    assert (there.port, there.packet.get("ipv4_src")) == (LOCAL, ADDRESSES[model]["a"])
    back = switch.send(there.packet.reply().but(eth_dst=POD_GATEWAY_MAC), in_port=LOCAL).only
    assert (back.port, back.packet.get("ipv4_src"), back.packet.get("eth_dst")) == (100, N1, pod_mac("a"))


def test_tunnel_pod_and_other_node_see_each_others_addresses() -> None:
    there = sent_by(br_int(TUNNEL), TUNNEL, "a", N2).only
    assert (there.port, there.packet.get("tun_ipv4_dst")) == (VXLAN, N2)
    arrived = br_int(TUNNEL, INT2).send(there.packet, in_port=VXLAN, tun_ipv4_src=N1, tunnel_id=4097).only
    assert (arrived.port, arrived.packet.get("ipv4_src")) == (LOCAL, "172.16.0.2")
    back = br_int(TUNNEL, INT2).send(arrived.packet.reply(), in_port=LOCAL).only
    assert (back.port, back.packet.get("tun_ipv4_dst"), back.packet.get("ipv4_src")) == (VXLAN, N1, N2)


@pytest.mark.parametrize(
    ("model", "target"),
    [(TUNNEL, "172.16.0.9"), (TUNNEL, "172.16.200.1"), (VPC, "172.16.0.9"), (VPC, "172.16.0.100")],
)
def test_container_addresses_of_nobody(model: NetworkModel, target: str) -> None:
    out = sent_by(br_int(model), model, "a", target)
    assert not out.sent
    assert out.last_flow is not None
    assert "has this" in out.last_flow.note


def test_eni_frames_go_out_on_the_pods_vlan_and_come_back_by_it() -> None:
    switch = br_int(ENI)
    for target in (ADDRESSES[ENI]["b"], ADDRESSES[ENI]["c"], SERVER, PUBLIC, N1):
        out = sent_by(switch, ENI, "a", target).only
        assert (out.port, out.packet.get("vlan_vid")) == (PATCH_EX, "7")
    assert br_ex(ENI).send(out.packet, in_port=10).ports == [2]
    assert br_ex(ENI).send(out.packet.reply(), in_port=2).ports == [10]
    back = switch.send(out.packet.reply(), in_port=PATCH_EX).only
    assert (back.port, back.packet.get("vlan_vid")) == (100, "none")


def test_eni_asks_the_vpc_by_arp() -> None:
    question = arp_question("a", ADDRESSES[ENI]["a"], "10.0.1.1")
    out = br_int(ENI).send(question, in_port=100).only
    assert (out.port, out.packet.get("vlan_vid"), out.packet.get("arp_op")) == (PATCH_EX, "7", "1")
    answer = question.but(arp_op=2, vlan_vid=7, eth_src=GATEWAY_MAC, eth_dst=pod_mac("a"))
    assert br_int(ENI).send(answer, in_port=PATCH_EX).ports == [100]


SPOOFS: dict[str, Callable[[Packet], Packet]] = {
    "address": lambda honest: honest.but(ipv4_src="10.9.9.9"),
    "neighbour's address": lambda honest: honest.but(ipv4_src="172.16.0.3"),
    "MAC": lambda honest: honest.but(eth_src=pod_mac("b")),
    "tag": lambda honest: honest.but(vlan_vid=8),
}


@ANY_MODEL
@pytest.mark.parametrize("lie", SPOOFS)
def test_spoofs_are_dropped(model: NetworkModel, lie: str) -> None:
    honest = from_pod(model, "a", SERVER)
    assert br_int(model).send(honest, in_port=100).sent
    out = br_int(model).send(SPOOFS[lie](honest), in_port=100)
    assert not out.sent
    assert out.last_flow is not None
    assert out.last_flow.table == "spoof"


@ANY_MODEL
def test_a_port_that_is_nobodys(model: NetworkModel) -> None:
    assert not br_int(model).send(from_pod(model, "a", SERVER), in_port=177).sent


def arp_question(name: str, sender: str, target: str) -> Packet:
    return packet(
        eth_src=pod_mac(name), eth_dst="ff:ff:ff:ff:ff:ff", eth_type=0x0806, vlan_vid=0, arp_op=1,
        arp_spa=sender, arp_tpa=target, arp_sha=pod_mac(name), arp_tha="00:00:00:00:00:00",
    )  # fmt: skip


@ROUTED
def test_arp_is_answered(model: NetworkModel) -> None:
    own = ADDRESSES[model]["a"]
    out = br_int(model).send(arp_question("a", own, "169.254.1.1"), in_port=100).only
    assert out.port == 100
    shown = [out.packet.get(name) for name in ("arp_op", "arp_spa", "arp_sha", "arp_tpa", "arp_tha", "eth_dst")]
    assert shown == ["2", "169.254.1.1", POD_GATEWAY_MAC, own, pod_mac("a"), pod_mac("a")]


@ROUTED
@pytest.mark.parametrize(
    ("sender", "target"),
    [("172.16.0.2", "172.16.0.2"), ("0.0.0.0", "172.16.0.2"), ("172.16.0.3", "169.254.1.1")],
    ids=["gratuitous", "duplicate detection", "as another"],
)
def test_arp_that_gets_no_answer(model: NetworkModel, sender: str, target: str) -> None:
    assert not br_int(model).send(arp_question("a", sender, target), in_port=100).sent


@ROUTED
def test_arp_answers_are_not_accepted_from_pods(model: NetworkModel) -> None:
    forged = arp_question("a", "172.16.0.2", "172.16.0.3").but(arp_op=2)
    assert not br_int(model).send(forged, in_port=100).sent


@ROUTED
def test_arp_of_the_node_is_answered(model: NetworkModel) -> None:
    question = arp_question("a", N1, "172.16.0.2").but(eth_src="0a:58:a9:ff:00:01", arp_sha="0a:58:a9:ff:00:01")
    assert br_int(model).send(question, in_port=LOCAL).ports == [LOCAL]


@ANY_MODEL
def test_never_carried(model: NetworkModel) -> None:
    honest = from_pod(model, "a", SERVER)
    never = {
        "IPv6": packet(eth_src=pod_mac("a"), eth_dst=POD_GATEWAY_MAC, eth_type=0x86DD, vlan_vid=0),
        "LLDP": packet(eth_src=pod_mac("a"), eth_dst="01:80:c2:00:00:0e", eth_type=0x88CC, vlan_vid=0),
        "BPDU": packet(eth_src=pod_mac("a"), eth_dst="01:80:c2:00:00:00", eth_type=0x0042, vlan_vid=0),
        "multicast": honest.but(ipv4_dst="224.0.0.251"),
        "broadcast": honest.but(ipv4_dst="255.255.255.255"),
        "DHCP server": udp(ADDRESSES[model]["a"], SERVER, 68, 67, eth_src=pod_mac("a")),
    }
    passed = [name for name, each in never.items() if br_int(model).send(each, in_port=100).sent]
    assert not passed


@pytest.mark.parametrize("target", [N1, N2])
def test_pods_send_no_vxlan_to_nodes(target: str) -> None:
    forged = udp("172.16.0.2", target, 4789, eth_src=pod_mac("a"), eth_dst=POD_GATEWAY_MAC)
    assert not br_int(TUNNEL).send(forged, in_port=100).sent
    assert br_int(TUNNEL).send(forged.but(udp_dst=4790), in_port=100).sent


def test_br_ex_unwraps_only_tunnels_of_the_cluster() -> None:
    switch = br_ex(TUNNEL)
    assert switch.send(udp(N2, N1, 4789), in_port=1).ports == [LOCAL]
    assert not switch.send(udp(SERVER, N1, 4789), in_port=1).sent
    assert switch.send(udp(SERVER, N1, 53), in_port=1).ports == [LOCAL]


@ANY_MODEL
def test_br_ex_lets_only_the_nodes_own_in(model: NetworkModel) -> None:
    switch = br_ex(model)
    assert switch.send(tcp(SERVER, N1, 22), in_port=1).ports == [LOCAL]
    assert not switch.send(tcp(SERVER, N2, 22), in_port=1).sent
    assert switch.send(tcp(N1, SERVER, 22), in_port=LOCAL).ports == [1]
    pod = ADDRESSES[model]["a"]
    assert switch.send(tcp(SERVER, pod, 80), in_port=1).ports == ([10] if model is VPC else [])


def test_tunnel_state_grows_with_blocks_and_not_with_pods() -> None:
    """Ten more pods on n2 change nothing on n1: its programs are the very same objects."""
    before = compile_cluster(states.state(TUNNEL))
    more = tuple(
        replace(states.pod(TUNNEL, "c"), name=f"c{i}", address=IPv4Address("172.16.0.20") + i, port=110 + i)
        for i in range(10)
    )
    nodes = states.cluster(TUNNEL).nodes
    grown = (nodes[0], replace(nodes[1], pods=nodes[1].pods + more))
    after = compile_cluster(states.state(TUNNEL, nodes=grown))
    assert after[INT1] is before[INT1]
    assert after[states.EX1] is before[states.EX1]
    assert after[INT2] is not before[INT2]
    blocks = (*nodes[1].blocks, IPv4Network("172.16.1.0/28"))
    block = compile_cluster(states.state(TUNNEL, nodes=(nodes[0], replace(nodes[1], blocks=blocks))))
    assert len(block[INT1].flows) == len(before[INT1].flows) + 1


@ANY_MODEL
def test_every_flow_says_who_asked_for_it_and_why(model: NetworkModel) -> None:
    for program in compile_cluster(states.state(model)).values():
        assert all(flow.owner and flow.note for flow in program.flows.values())
