"""Services on real packets, in all three models: who reaches which endpoint, and whose address the endpoint sees."""

from __future__ import annotations

import re
import select
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP

from testbed.emulation.waiting import until
from testbed.model.cloud import NodePool
from testbed.model.desired import NetworkModel
from testbed.model.kubernetes import KubeServicePort, Service, StatefulSet
from testbed.model.lab import Lab
from tests.integration.cluster_lab import ClusterLab, cluster_lab, connect, ping, serve, within
from tests.integration.packets import DROPPED, REFUSED, Seen, patience
from tests.limits import LIMIT, SILENCE
from tests.unit.model import labs

pytestmark = [pytest.mark.root, pytest.mark.datapath]

TUNNEL, VPC, ENI = NetworkModel.TUNNEL, NetworkModel.VPC, NetworkModel.ENI
EXTERNAL = IPv4Address("203.0.113.77")
OFTEN = 40
"""Connections: that of two endpoints one is never chosen is one run in 500 000 000 000."""


def pods(name: str, replicas: int, app: str, **spec: Any) -> StatefulSet:
    made = labs.stateful_set(name, replicas, **spec)
    return replace(made, selector=(("app", app),), template=replace(made.template, labels=(("app", app),)))


def service(name: str, app: str, target: str = "8080", protocol: str = "TCP", **changes: Any) -> Service:
    values: dict[str, Any] = {
        "namespace": "default",
        "name": name,
        "cluster": "c1",
        "type": "NodePort",
        "selector": (("app", app),),
        "ports": (KubeServicePort(80, target, protocol=protocol),),
        "source": labs.HERE,
    }
    return Service(**values | changes)


def service_lab(model: NetworkModel) -> Lab:
    """node-1: web-0, cli-0, self-0; node-2: web-1, cli-1, far-0 and host-0, which uses the node's stack."""
    return labs.lab(
        model,
        stateful_sets=(
            pods("web", 2, "web"),
            pods("cli", 2, "cli"),
            pods("far", 1, "far", node_name="node-2"),
            pods("self", 1, "self", node_name="node-1"),
            pods("host", 1, "host", node_name="node-2", host_network=True),
        ),
        services=(
            service("web", "web"),
            service("far", "far"),
            service("far-local", "far", external_traffic_policy="Local"),
            service("far-internal", "far", type="ClusterIP", internal_traffic_policy="Local"),
            service("none", "nobody"),
            service("self", "self"),
            service("host", "host", target="9090"),
            service("host-local", "host", target="9090", external_traffic_policy="Local"),
            service("external", "far", external_ips=(EXTERNAL,)),
            service("sticky", "web", session_affinity_seconds=10800),
            service("dns", "web", target="5353", protocol="UDP"),
        ),
    )


class Stage:
    """A lab with its servers listening."""

    def __init__(self, lab: ClusterLab, model: NetworkModel) -> None:
        self.lab, self.model = lab, model
        self.servers = {name: serve(lab, name, 8080) for name in ("web-0", "web-1", "far-0", "self-0")}
        self.servers["host-0"] = serve(lab, "node-2", 9090)

    def close(self) -> None:
        for server in self.servers.values():
            server.close()

    def address(self, name: str) -> IPv4Address:
        return self.lab.address(name)

    def cluster_ip(self, name: str) -> IPv4Address:
        found = next(each.cluster_ip for each in self.lab.plan.services if each.service.name == name)
        assert found is not None
        return found

    def node_port(self, name: str) -> int:
        found = next(each.node_ports[0] for each in self.lab.plan.services if each.service.name == name)
        assert found is not None
        return found

    def to_service(self, source: str, name: str, port: int = 80, limit: float = LIMIT) -> Seen:
        return connect(self.lab, source, self.cluster_ip(name), port, self.servers, limit)

    def to_node_port(self, source: str, node: str, name: str, limit: float = LIMIT) -> Seen:
        return connect(self.lab, source, self.address(node), self.node_port(name), self.servers, limit)


@pytest.fixture(scope="module", params=list(NetworkModel))
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    with cluster_lab(service_lab(request.param)) as lab:
        made = Stage(lab, request.param)
        yield made
        made.close()


def test_a_reset_begins_no_connection(stage: Stage) -> None:
    """A late reset, of a connection that is forgotten; then the client dials the endpoint itself from the same port."""
    client, endpoint, port = stage.address("cli-0"), stage.address("far-0"), 40001
    header = IP(src=str(client), dst=str(stage.cluster_ip("far")))
    reset = bytes(header / TCP(sport=port, dport=80, flags="R", seq=1))

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
            raw.sendto(reset, (header.dst, 0))

    within(stage.lab.namespace("cli-0"), send)
    seen = connect(stage.lab, "cli-0", endpoint, 8080, stage.servers, source_port=port)
    assert seen == Seen("connected", client, "far-0")


@pytest.mark.parametrize("client", ["cli-0", "cli-1", "node-1", "node-2"])
def test_cluster_address_keeps_the_clients_own(stage: Stage, client: str) -> None:
    """Assertion 41, endpoints on the same and on the other node; nodes are clients too."""
    seen = {stage.to_service(client, "web") for _ in range(OFTEN)}
    assert seen == {Seen("connected", stage.address(client), name) for name in ("web-0", "web-1")}


def test_cluster_address_from_outside_and_what_is_not_served(stage: Stage) -> None:
    """Assertions 42 and 43; a port that the Service lacks."""
    assert stage.to_service("db", "web", limit=SILENCE) == DROPPED
    assert not ping(stage.lab, "cli-0", stage.cluster_ip("web"), SILENCE)
    assert stage.to_service("cli-0", "web", 81, SILENCE) == DROPPED


def test_pod_addresses_still_answer_as_themselves(stage: Stage) -> None:
    """The endpoints' port without the Service: the answer must not become the Service's."""
    for target in ("web-0", "web-1"):
        direct = connect(stage.lab, "cli-0", stage.address(target), 8080, stage.servers)
        assert direct == Seen("connected", stage.address("cli-0"), target)


@pytest.mark.parametrize("client", ["db", "cli-0", "node-1", "node-2"])
@pytest.mark.parametrize("node", ["node-1", "node-2"])
def test_node_port_of_policy_cluster_shows_the_node(stage: Stage, client: str, node: str) -> None:
    """Assertion 44, from everywhere, by the node with the endpoint and by the other one."""
    assert stage.to_node_port(client, node, "far") == Seen("connected", stage.address(node), "far-0")


def test_node_port_of_policy_local(stage: Stage) -> None:
    """Assertions 45 to 49 and the documented matrix (iptables columns): dropped where no endpoint is."""
    keeps = {client: Seen("connected", stage.address(client), "far-0") for client in ("db", "cli-0", "cli-1")}
    own_node = {name: Seen("connected", stage.address(name), "far-0") for name in ("node-1", "node-2")}
    expected = {
        ("db", "node-2"): keeps["db"],
        ("db", "node-1"): DROPPED,
        ("cli-0", "node-2"): keeps["cli-0"],
        ("cli-0", "node-1"): DROPPED,
        ("cli-1", "node-2"): keeps["cli-1"],
        ("cli-1", "node-1"): DROPPED,
        ("node-2", "node-2"): own_node["node-2"],
        ("node-1", "node-1"): own_node["node-1"],
        ("node-1", "node-2"): own_node["node-1"],
        ("node-2", "node-1"): DROPPED,
    }
    if stage.model is VPC:  # a pod and its own node's private address: assertion 48
        expected["cli-1", "node-2"] = DROPPED
    if stage.model is ENI:  # pods with their own interface can't be endpoints of Local: assertion 47
        expected |= dict.fromkeys(
            [("db", "node-2"), ("cli-0", "node-2"), ("cli-1", "node-2"), ("node-1", "node-2")], DROPPED
        )
    seen = {pair: stage.to_node_port(*pair, "far-local", patience(each)) for pair, each in expected.items()}
    assert seen == expected


def test_internal_policy_local(stage: Stage) -> None:
    """Assertion 62."""
    assert [stage.to_service(client, "far-internal", limit=SILENCE) for client in ("cli-0", "node-1")] == [DROPPED] * 2
    assert {stage.to_service(client, "far-internal").verdict for client in ("cli-1", "node-2")} == {"connected"}


@pytest.mark.parametrize("client", ["cli-0", "node-1"])
def test_external_addresses_are_served_on_the_node(stage: Stage, client: str) -> None:
    """Assertion 57 as far as the cluster is concerned: nobody outside has this address."""
    served = Seen("connected", stage.address("node-1"), "far-0")
    if stage.model is ENI and client == "cli-0":  # pods there ask the VPC for such addresses
        served = DROPPED
    assert connect(stage.lab, client, EXTERNAL, 80, stage.servers, patience(served)) == served
    assert connect(stage.lab, client, EXTERNAL, 81, stage.servers, SILENCE) == DROPPED


def test_nobody_serves(stage: Stage) -> None:
    """Refused at once, for pods, nodes and outsiders; by cluster address and by node port."""
    assert [stage.to_service(client, "none") for client in ("cli-0", "node-1")] == [REFUSED] * 2
    assert [stage.to_node_port(client, "node-1", "none") for client in ("db", "cli-0", "node-1")] == [REFUSED] * 3


def test_a_pod_that_is_its_own_endpoint(stage: Stage) -> None:
    hairpin = Seen("connected", stage.address("node-1"), "self-0")
    assert stage.to_service("self-0", "self") == hairpin
    assert stage.to_node_port("self-0", "node-1", "self") == hairpin


@pytest.mark.parametrize("client", ["cli-0", "cli-1", "node-1", "node-2"])
def test_the_nodes_own_stack_as_endpoint(stage: Stage, client: str) -> None:
    assert stage.to_service(client, "host") == Seen("connected", stage.address(client), "host-0")


def test_the_nodes_own_stack_behind_node_ports(stage: Stage) -> None:
    by_node = {node: stage.to_node_port("db", node, "host") for node in ("node-1", "node-2")}
    assert by_node == {node: Seen("connected", stage.address(node), "host-0") for node in by_node}
    assert stage.to_node_port("db", "node-2", "host-local") == Seen("connected", stage.address("db"), "host-0")
    assert stage.to_node_port("db", "node-1", "host-local", SILENCE) == DROPPED
    direct = connect(stage.lab, "db", stage.address("node-2"), 9090, stage.servers)
    assert direct == Seen("connected", stage.address("db"), "host-0")


def test_a_port_that_asked_a_service_may_ask_its_endpoint_next(stage: Stage) -> None:
    """The translated connection has the same two ends; once it is closed it must not be remembered for long."""
    first = connect(stage.lab, "cli-0", stage.cluster_ip("far"), 80, stage.servers, source_port=45000)
    assert first.server == "far-0"

    def direct() -> bool:
        address = stage.address("far-0")
        seen = connect(stage.lab, "cli-0", address, 8080, stage.servers, source_port=45000)
        return seen == Seen("connected", stage.address("cli-0"), "far-0")

    until(direct, LIMIT, "an answer from the endpoint itself")


def test_ports_that_asked_an_endpoint_its_service_and_it_again(stage: Stage) -> None:
    """The endpoint, asked first, is in TIME-WAIT when it is asked by the Service: it answers with old numbers once.

    By chance, as the numbers are: hence several ports.
    """
    endpoint, address = stage.address("far-0"), stage.cluster_ip("far")
    answered = Seen("connected", stage.address("cli-0"), "far-0")

    def asks(where: IPv4Address, port: int, source_port: int) -> bool:
        return connect(stage.lab, "cli-0", where, port, stage.servers, SILENCE, source_port) == answered

    ports = range(46000, 46016)
    for where, port in ((endpoint, 8080), (address, 80), (endpoint, 8080)):
        for source_port in ports:
            until(lambda w=where, p=port, s=source_port: asks(w, p, s), LIMIT, f"{where} to answer port {source_port}")  # type: ignore[misc]


def ask(stage: Stage, source: str, address: IPv4Address, port: int) -> tuple[str, IPv4Address] | str:
    """One UDP question; who answered and whose address it saw, or what went wrong."""
    servers = {name: serve(stage.lab, name, 5353, socket.SOCK_DGRAM) for name in ("web-0", "web-1")}

    def dial() -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.settimeout(LIMIT)
        made.connect((str(address), port))
        made.send(b"question")
        return made

    try:
        with within(stage.lab.namespace(source), dial) as client:
            asked, _, _ = select.select([client, *servers.values()], [], [], LIMIT)
            for name, server in servers.items():
                if server in asked:
                    _, peer = server.recvfrom(100)
                    server.sendto(b"answer", peer)
                    assert client.recv(100) == b"answer"
                    return name, IPv4Address(peer[0])
            client.recv(100)
    except ConnectionRefusedError:
        return "refused"
    finally:
        for server in servers.values():
            server.close()
    return "nothing"


def test_udp(stage: Stage) -> None:
    for client in ("cli-0", "node-1"):
        seen = ask(stage, client, stage.cluster_ip("dns"), 80)
        assert seen[1] == stage.address(client), seen
    seen = ask(stage, "db", stage.address("node-1"), stage.node_port("dns"))
    assert seen[1] == stage.address("node-1"), seen


def test_client_affinity(stage: Stage) -> None:
    """Assertion 61: one client, one endpoint, whichever way it comes."""
    for client in ("cli-0", "cli-1", "node-1", "node-2", "self-0", "far-0", "web-0", "web-1"):
        servers = {stage.to_service(client, "sticky").server for _ in range(6)}
        assert len(servers) == 1, (client, servers)
    by_node_port = {stage.to_node_port("db", "node-1", "sticky").server for _ in range(6)}
    assert len(by_node_port) == 1


def test_many_endpoints_are_chosen_equally_and_only_by_change() -> None:
    """Ten endpoints: the spread is within chance (chi-square, 9 degrees of freedom, 1 in a million: 45). One that is
    not ready gets nothing, and that it isn't is one message to each node's br-int."""
    names = tuple(f"web-{i}" for i in range(10))
    asked = labs.lab(
        TUNNEL, stateful_sets=(pods("web", 10, "web"), pods("cli", 1, "cli")), services=(service("web", "web"),)
    )
    with cluster_lab(asked) as lab:
        target = next(each.cluster_ip for each in lab.plan.services)
        assert target is not None
        servers = {name: serve(lab, name, 8080) for name in names}
        count = Counter(connect(lab, "cli-0", target, 80, servers).server for _ in range(1000))
        assert sum((count[name] - 100) ** 2 / 100 for name in names) < 45, count
        lab.apply(asked, unready=("web-3",))
        sent = {number: messages for number, messages in lab.sent.items() if messages}
        assert sent == {node.index + 0x10000: 1 for node in lab.plan.nodes}
        count = Counter(connect(lab, "cli-0", target, 80, servers).server for _ in range(60))
        assert count["web-3"] == 0
        assert len(count) > 5
        for server in servers.values():
            server.close()


def test_a_udp_client_leaves_an_endpoint_that_is_gone() -> None:
    """From one and the same source port: the tracked connection to the old endpoint must not go on."""
    asked = labs.lab(
        TUNNEL,
        stateful_sets=(pods("web", 2, "web"), pods("cli", 1, "cli")),
        services=(service("dns", "web", target="5353", protocol="UDP"),),
    )
    with cluster_lab(asked) as lab:
        target = next(each.cluster_ip for each in lab.plan.services)
        servers = {name: serve(lab, name, 5353, socket.SOCK_DGRAM) for name in ("web-0", "web-1")}
        client = within(lab.namespace("cli-0"), lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))

        def reached() -> str:
            client.sendto(b"question", (str(target), 80))
            ready, _, _ = select.select(list(servers.values()), [], [], 1)
            ready[0].recv(100)
            return next(name for name, server in servers.items() if server is ready[0])

        first = reached()
        assert [reached() for _ in range(3)] == [first] * 3
        lab.apply(asked, unready=(first,))
        assert reached() != first
        for each in (client, *servers.values()):
            each.close()


def test_frames_of_a_sub_eni_have_one_mask_wherever_they_go() -> None:
    """What the node's datapath has cached of a pod's frames: to pods here and there and to a Service.
    Frames that the carrier brings to pods differ only in how much of the sender's port decides about Services."""
    with cluster_lab(service_lab(ENI)) as lab:
        stage = Stage(lab, ENI)
        for there in ("web-0", "far-0", "self-0"):
            assert connect(lab, "cli-0", stage.address(there), 8080, stage.servers).verdict == "connected"
        assert stage.to_service("cli-0", "far").verdict == "connected"
        pod = lab.pod("cli-0")
        command = ["ovs-appctl", "-t", str(lab.rundir.ovs_control(pod.node)), "dpctl/dump-flows", "--names"]
        shown = subprocess.run(command, capture_output=True, text=True, check=True)
        masks: dict[str, set[str]] = {f"p{pod.port}": set(), "eth1": set()}
        for line in shown.stdout.splitlines():
            found = re.search(r"recirc_id\(0\),in_port\((\w+)\),(.*?), packets:", line)
            if found and found[1] in masks and "proto=6" in line:
                masks[found[1]].add(re.sub(r"(?:tcp|ct_state)\([^)]*\),?|=[^,/()]+", "", found[2]))
        stage.close()
    assert {name: len(found) for name, found in masks.items()} == dict.fromkeys(masks, 1), masks


def test_a_pod_with_an_eni_of_its_own() -> None:
    """Bare-metal pool: pods reach Services by their second link, seen as the node; all else as themselves."""
    pool = NodePool("node", labs.HERE, 2, bare_metal=True)
    asked = replace(service_lab(ENI), clusters=(labs.cluster(ENI, pool=pool),))
    with cluster_lab(asked) as lab:
        stage = Stage(lab, ENI)
        direct = connect(lab, "cli-0", stage.address("web-1"), 8080, stage.servers)
        assert direct == Seen("connected", stage.address("cli-0"), "web-1")
        seen = {stage.to_service("cli-0", "web") for _ in range(OFTEN)}
        assert seen == {Seen("connected", stage.address("node-1"), name) for name in ("web-0", "web-1")}
        assert stage.to_service("cli-1", "host") == Seen("connected", stage.address("node-2"), "host-0")
        assert stage.to_service("self-0", "self") == Seen("connected", stage.address("node-1"), "self-0")
        assert stage.to_service("node-1", "web").verdict == "connected"
        assert stage.to_service("cli-0", "none") == REFUSED
        stage.close()
