"""The three network models on real packets: who reaches whom, and whose address the server sees."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from testbed.model.desired import POD_GATEWAY_MAC, NetworkModel
from testbed.model.lab import Lab
from testbed.model.wiring import Route
from tests.integration.cluster_lab import (
    Capture,
    ClusterLab,
    cluster_lab,
    connect,
    ping,
    send_frame,
    serve,
    within,
)
from tests.integration.packets import DROPPED, Seen, patience, udp_frame
from tests.limits import LIMIT, SILENCE
from tests.unit.model import labs

pytestmark = [pytest.mark.root, pytest.mark.datapath]

TUNNEL, VPC, ENI = NetworkModel.TUNNEL, NetworkModel.VPC, NetworkModel.ENI
PODS = ("web-0", "web-1", "web-2", "web-3")
"""web-0 and web-2 run on node-1, web-1 and web-3 on node-2."""
NODES = ("node-1", "node-2")
EVERYBODY = (*PODS, *NODES, "db")


@pytest.fixture(scope="module", params=list(NetworkModel))
def lab(request: pytest.FixtureRequest) -> Iterator[ClusterLab]:
    with cluster_lab(labs.lab(request.param)) as made:
        yield made


def model_of(lab: ClusterLab) -> NetworkModel:
    return lab.plan.clusters.clusters[0].model


def only(lab: ClusterLab, *models: NetworkModel) -> None:
    if model_of(lab) not in models:
        pytest.skip(f"{model_of(lab)} does not promise this")


def expected(lab: ClusterLab, source: str, target: str) -> Seen:
    """Everybody is seen as itself, except that a tunnel's pods leave with the node's address and have no way in."""
    if model_of(lab) is TUNNEL and source == "db" and target in PODS:
        return DROPPED
    if model_of(lab) is TUNNEL and target == "db" and source in PODS:
        return Seen("connected", lab.address(lab.pod(source).node), target)
    return Seen("connected", lab.address(source), target)


def test_everybody_to_everybody(lab: ClusterLab) -> None:
    servers = {name: serve(lab, name, 8080) for name in EVERYBODY}
    pairs = [(source, target) for source in EVERYBODY for target in EVERYBODY if source != target]
    seen = {
        pair: connect(lab, pair[0], lab.address(pair[1]), 8080, servers, patience(expected(lab, *pair)))
        for pair in pairs
    }
    for server in servers.values():
        server.close()
    assert seen == {pair: expected(lab, *pair) for pair in pairs}


def test_ping(lab: ClusterLab) -> None:
    assert ping(lab, "web-0", lab.address("web-1"))
    assert ping(lab, "node-1", lab.address("web-1"))
    assert ping(lab, "web-1", lab.address("node-1"))
    assert ping(lab, "db", lab.address("web-1"), patience(expected(lab, "db", "web-1"))) is (
        model_of(lab) is not TUNNEL
    )


def test_same_node_stays_on_the_node_or_goes_through_the_vpc(lab: ClusterLab) -> None:
    with Capture(lab, "node-1", "eth0") as uplink:
        assert ping(lab, "web-0", lab.address("web-2"))
    assert not uplink.udp(4789)
    assert not [frame for frame in uplink.frames if lab.address("web-2").packed in frame]
    if model_of(lab) is ENI:
        with Capture(lab, "node-1", "eth1") as carrier:
            assert ping(lab, "web-0", lab.address("web-2"))
        assert len([frame for frame in carrier.frames if lab.address("web-2").packed in frame]) >= 4


def test_other_node_is_encapsulated_or_not(lab: ClusterLab) -> None:
    interface = "eth1" if model_of(lab) is ENI else "eth0"
    with Capture(lab, "node-1", interface) as uplink:
        assert ping(lab, "web-0", lab.address("web-1"))
    nodes = (lab.address("node-1"), lab.address("node-2"))
    if model_of(lab) is TUNNEL:
        assert set(uplink.udp(4789)) == {nodes, nodes[::-1]}
    else:
        assert not uplink.udp(4789)
        assert [frame for frame in uplink.frames if lab.address("web-1").packed in frame]


def test_an_address_that_no_pod_has(lab: ClusterLab) -> None:
    """On this node, in another node's block, in no block: silence, and nothing of it on the underlay unasked."""
    only(lab, TUNNEL, VPC)
    blocks = [lab.node(name).blocks[0] for name in NODES]
    nobody = [blocks[0][-3], blocks[1][-3], IPv4Address("172.16.200.9")]
    assert [ping(lab, "web-0", address, SILENCE) for address in nobody] == [False] * 3


def gateway_mac(lab: ClusterLab) -> str:
    return POD_GATEWAY_MAC if model_of(lab) is not ENI else "fa:16:3e:00:00:01"


def received(lab: ClusterLab, victim: str, frame: bytes, marker: bytes, sender: str = "web-0") -> bool:
    with Capture(lab, victim, "eth0") as capture:
        send_frame(lab, sender, "eth0", frame)
    return any(marker in frame for frame in capture.frames)


@pytest.mark.parametrize("victim", ["web-1", "web-2"])
def test_spoofed_packets_arrive_nowhere(lab: ClusterLab, victim: str) -> None:
    own, other = lab.pod("web-0"), lab.pod("web-3")
    gateway, to = gateway_mac(lab), lab.address(victim)
    honest = udp_frame(own.mac, gateway, own.address, to, (1000, 2000), b"honest packet")
    address = udp_frame(own.mac, gateway, other.address, to, (1000, 2000), b"other's address")
    mac = udp_frame(other.mac, gateway, own.address, to, (1000, 2000), b"other's MAC")
    node = udp_frame(own.mac, gateway, lab.address("node-1"), to, (1000, 2000), b"node's address")
    tagged = honest[:12] + b"\x81\x00\x00\x02" + honest[12:].replace(b"honest packet", b"tagged packet")
    assert received(lab, victim, honest, b"honest packet")
    assert not received(lab, victim, address, b"other's address")
    assert not received(lab, victim, mac, b"other's MAC")
    assert not received(lab, victim, node, b"node's address")
    assert not received(lab, victim, tagged, b"tagged packet")


def test_the_node_listens_to_no_port_of_a_bridge(lab: ClusterLab) -> None:
    """To the MAC of the node's end of the pod's link, past all flows: the kernel must not take it there."""
    own, db = lab.pod("web-0"), lab.host("db")
    end = "fe" + own.mac[2:]
    frame = udp_frame(own.mac, end, lab.address("web-3"), db.address, (1000, 2000), b"past the flows")
    with Capture(lab, "node-1", "eth0") as uplink:
        send_frame(lab, "web-0", "eth0", frame)
    assert not any(b"past the flows" in each for each in uplink.frames)
    question = arp_frame(own.mac, own.address, lab.address("node-1"))
    answers = arp_answers(lab, question)
    assert not any(answer[6:12] == bytes.fromhex(end.replace(":", "")) for answer in answers)


def arp_frame(mac: str, sender: IPv4Address, target: IPv4Address) -> bytes:
    """A question to everybody."""
    own = bytes.fromhex(mac.replace(":", ""))
    head = b"\xff" * 6 + own + b"\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01"
    return head + own + sender.packed + bytes(6) + target.packed


def arp_answers(lab: ClusterLab, frame: bytes) -> list[bytes]:
    with Capture(lab, "web-0", "eth0") as capture:
        send_frame(lab, "web-0", "eth0", frame)
    return [each for each in capture.frames if each[12:14] == b"\x08\x06" and each[20:22] == b"\x00\x02"]


def test_arp_is_answered_except_for_the_own_address(lab: ClusterLab) -> None:
    only(lab, TUNNEL, VPC)
    own, other = lab.pod("web-0"), lab.pod("web-2")
    (answer,) = arp_answers(lab, arp_frame(own.mac, own.address, other.address))
    assert answer[22:28] == bytes.fromhex(POD_GATEWAY_MAC.replace(":", ""))
    assert IPv4Address(answer[28:32]) == other.address
    assert not arp_answers(lab, arp_frame(own.mac, own.address, own.address))
    assert not arp_answers(lab, arp_frame(own.mac, IPv4Address(0), own.address))
    assert not arp_answers(lab, arp_frame(own.mac, other.address, IPv4Address("169.254.1.1")))
    assert not arp_answers(lab, arp_frame(other.mac, own.address, IPv4Address("169.254.1.1")))


def test_arp_never_reaches_another_pod(lab: ClusterLab) -> None:
    own = lab.pod("web-0")
    question = arp_frame(own.mac, own.address, lab.address("web-2"))
    assert not received(lab, "web-2", question, question[14:])


def vxlan(vni: int, inner: bytes) -> bytes:
    return bytes([8, 0, 0, 0]) + vni.to_bytes(3, "big") + b"\0" + inner


def test_forged_tunnel_packets_are_not_unwrapped(lab: ClusterLab) -> None:
    """From a pod, from a VPC server, and the honest control: the same from a node of the cluster is unwrapped."""
    only(lab, TUNNEL)
    vni = lab.plan.clusters.clusters[0].vni
    inner = udp_frame(
        "02:00:00:00:00:01", POD_GATEWAY_MAC, lab.address("web-1"), lab.address("web-0"), (1, 2), b"injected"
    )
    node, db, pod = lab.node("node-1"), lab.host("db"), lab.pod("web-2")

    def arrives(sender: str, outer: bytes) -> bool:
        with Capture(lab, "web-0", "eth0") as capture:
            send_frame(lab, sender, "eth0", outer)
        return any(b"injected" in frame for frame in capture.frames)

    gateway = "fa:16:3e:00:00:01"
    outer = udp_frame(db.mac, gateway, db.address, node.address, (40000, 4789), vxlan(vni, inner))
    assert not arrives("db", outer)
    outer = udp_frame(pod.mac, POD_GATEWAY_MAC, pod.address, node.address, (40000, 4789), vxlan(vni, inner))
    assert not arrives("web-2", outer)
    peer = lab.node("node-2")
    honest = udp_frame(peer.mac, node.mac, peer.address, node.address, (40000, 4789), vxlan(vni, inner))
    wrong_vni = udp_frame(peer.mac, node.mac, peer.address, node.address, (40000, 4789), vxlan(vni + 1, inner))
    assert not arrives("node-2", wrong_vni)
    assert arrives("node-2", honest)


def test_a_new_pod_leaves_other_nodes_and_connections_alone() -> None:
    """A fifth pod on node-1: node-2 gets no message, and a connection that was open stays."""
    before = labs.lab(TUNNEL)
    with cluster_lab(before) as lab:
        server = serve(lab, "web-1", 8080)
        client = within(
            lab.namespace("web-0"), lambda: socket.create_connection((str(lab.address("web-1")), 8080), timeout=LIMIT)
        )
        accepted, _ = server.accept()
        lab.apply(replace(before, stateful_sets=(labs.stateful_set("web", 5),)))
        assert lab.pod("web-4").node == "node-1"
        sent = {node.name: lab.sent[0x10000 + node.index] for node in lab.plan.nodes}
        assert sent["node-2"] == 0
        assert 0 < sent["node-1"] <= 6
        client.sendall(b"still here")
        accepted.settimeout(LIMIT)
        assert accepted.recv(100) == b"still here"
        assert connect(lab, "web-1", lab.address("web-4"), 8080, {"web-4": serve(lab, "web-4", 8080)}) == Seen(
            "connected", lab.address("web-1"), "web-4"
        )
        for each in (client, accepted, server):
            each.close()


def narrow(*cidrs: str) -> Lab:
    networks = tuple(IPv4Network(cidr) for cidr in cidrs)
    return labs.lab(VPC, clusters=(labs.cluster(VPC, non_masquerade_cidrs=networks),))


def test_vpc_destinations_outside_the_list_see_the_node_and_nodes_outside_lose_replies() -> None:
    """Assertions 27 to 29: nonMasqueradeCIDRs without the nodes' and servers' range."""
    with cluster_lab(narrow("10.0.0.0/8")) as lab:
        servers = {name: serve(lab, name, 8080) for name in ("db", "web-0", "web-1")}
        assert connect(lab, "web-0", lab.address("db"), 8080, servers) == Seen("connected", lab.address("node-1"), "db")
        assert connect(lab, "web-0", lab.address("web-1"), 8080, servers).client == lab.address("web-0")
        assert connect(lab, "node-1", lab.address("web-1"), 8080, servers, SILENCE).verdict in ("dropped", "refused")
        assert connect(lab, "node-1", lab.address("web-0"), 8080, servers).client == lab.address("node-1")
        assert not ping(lab, "node-1", lab.address("web-1"), SILENCE)
        for server in servers.values():
            server.close()


def test_routes_of_the_wiring_are_what_the_programs_assume(lab: ClusterLab) -> None:
    """br-int's answers rely on the kernel's routes: the container range (tunnel), own blocks only (vpc)."""
    routes = [route for route in lab.plan.wiring.routes if isinstance(route, Route) and route.namespace == "node-1"]
    by_int = {route.destination for route in routes if route.interface == "br-int"}
    blocks = set(lab.node("node-1").blocks)
    container = {IPv4Network("172.16.0.0/16")}
    assert by_int >= {TUNNEL: container, VPC: blocks, ENI: set()}[model_of(lab)]
    assert (model_of(lab) is TUNNEL) == bool(by_int & container)
