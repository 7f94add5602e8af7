"""Inside a tunnel-network cluster: who reaches whom, by which way, and whose address is seen."""

from __future__ import annotations

from scenarios.parts.addresses import first_blocks, host_network, last_block, second_block
from scenarios.parts.documents import security_group
from testbed.scenario import Capture, Checks, Host, RunningLab, scenario

ECHO = 8080

WITHOUT_VXLAN = security_group("demo-cce-node", "{protocol: tcp, ports: 22}")

SEVENTEEN_NODES = """
apiVersion: cnlab.dev/v1
kind: Cluster
metadata: {name: small}
spec:
  networkModel: tunnel
  vpc: demo
  nodeSubnet: nodes
  containerCIDR: 172.20.0.0/24
  nodePools: [{name: small, count: 17}]
"""


@scenario("topologies/demo.yaml", models=("tunnel",))
def in_cluster(lab: RunningLab, checks: Checks) -> None:
    """Pods, nodes and a VPC server on the tunnel network"""
    client, neighbour, *_ = lab.pods("app=web", node="n1")
    distant = lab.pods("app=web", node="n2")[0]
    n1, n2, server = lab.node("n1"), lab.node("n2"), lab.host("vm-1")

    same_node(lab, checks, client, neighbour)
    other_node(lab, checks, client, distant, n1, n2)
    first_blocks(lab, checks, lab.pods("app=db")[0])
    nodes_and_servers(lab, checks, client, distant, n1, server)
    host_network(lab, checks, client, n1)
    second_block(lab, checks, n2)
    without_the_vxlan_rule(lab, checks, client, neighbour, distant)
    another_cluster(lab, checks)


def same_node(lab: RunningLab, checks: Checks, client: Host, neighbour: Host) -> None:
    with lab.capture("n1/eth0", f"{neighbour}/eth0") as wire:
        seen = client.http(neighbour.address, ECHO)
    checks.allowed(1, "pod to pod on one node", seen, source=client.address, server=neighbour.name)
    arrived = wire.at(f"{neighbour}/eth0")
    checks.that(1, "the packets reached the pod", bool(arrived), "frames", f"{len(arrived)} frames", arrived[:2])
    outside = [frame for frame in wire.at("n1/eth0") if mentions(frame, client, neighbour)]
    checks.equal(1, "and none of them left the node", len(outside), 0, outside)


def other_node(lab: RunningLab, checks: Checks, client: Host, distant: Host, n1: Host, n2: Host) -> None:
    with lab.capture("n1/eth0", "n2/eth0") as wire:
        seen = client.http(distant.address, ECHO)
    checks.allowed(2, "pod to pod on another node", seen, source=client.address, server=distant.name)
    for node in ("n1/eth0", "n2/eth0"):
        tunnelled = in_tunnel(wire, node, (n1, n2), (client, distant))
        checks.that(
            2,
            f"as UDP 4789 between the nodes, seen at {node}",
            bool(tunnelled),
            f"{n1.address} > {n2.address} UDP 4789 [ {client.address} > {distant.address} ]",
            f"{len(tunnelled)} such frames of {len(wire.at(node))}",
            tunnelled[:1],
        )


def nodes_and_servers(lab: RunningLab, checks: Checks, client: Host, distant: Host, n1: Host, server: Host) -> None:
    checks.allowed(21, "node to a pod of its own", n1.http(client.address, ECHO), source=n1.address)
    checks.allowed(21, "node to a pod on another node", n1.http(distant.address, ECHO), source=n1.address)
    with lab.capture("vm-1/eth0", "n1/eth0") as wire:
        seen = server.http(client.address, ECHO)
    asked = wire.at("vm-1/eth0")
    checks.dropped(21, "VPC server to a pod: no path", seen, asked[:1])
    arrived = [frame for frame in wire.at("n1/eth0") if mentions(frame, client, server)]
    checks.equal(21, "and nothing of it came to the pod's node", len(arrived), 0, arrived)
    seen = client.http(server.address, ECHO)
    checks.allowed(24, "pod to a VPC server that lets nodes in", seen, source=n1.address, server=server.name)


def another_cluster(lab: RunningLab, checks: Checks) -> None:
    """In the place of the first: as many nodes as its range has blocks, and one more."""
    lab.delete("deployment/web", "deployment/many", "statefulset/db", "pod/hostly-1", "pod/hostly-2", "cluster/demo")
    lab.apply(SEVENTEEN_NODES)
    last_block(lab, checks, "172.20.0.0/24")


def without_the_vxlan_rule(lab: RunningLab, checks: Checks, client: Host, neighbour: Host, distant: Host) -> None:
    lab.apply(WITHOUT_VXLAN)
    with lab.capture("n1/eth0", "n2/eth0") as wire:
        seen = client.http(distant.address, ECHO)
    checks.dropped(3, "nodes let no VXLAN in: pod to another node", seen)
    places = {frame.place for frame in wire.encapsulated if mentions(frame, client, distant)}
    checks.equal(3, "it is sent in VXLAN, and does not come to the other node", places, {"n1/eth0"})
    seen = client.http(neighbour.address, ECHO)
    checks.allowed(3, "and pod to pod on one node goes on", seen, source=client.address)


def mentions(frame: object, one: Host, other: Host) -> bool:
    """Whether the frame, or what is inside it, is between the two."""
    text = str(frame)
    return str(one.address) in text and str(other.address) in text


def in_tunnel(wire: Capture, place: str, outer: tuple[Host, Host], inner: tuple[Host, Host]) -> list[object]:
    """Frames at ``place`` from node to node that carry a packet from pod to pod."""
    (a, b), (x, y) = outer, inner
    return [
        frame
        for frame in wire.at(place)
        if (frame.source, frame.destination, frame.destination_port) == (str(a.address), str(b.address), 4789)
        and frame.inner is not None
        and (frame.inner.source, frame.inner.destination) == (str(x.address), str(y.address))
    ]
