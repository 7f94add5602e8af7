"""Inside a tunnel-network cluster: who reaches whom, by which way, and whose address is seen."""

from __future__ import annotations

from ipaddress import IPv4Address

from testbed.scenario import Capture, Checks, Host, RunningLab, scenario

ECHO = 8080

WITHOUT_VXLAN = """
apiVersion: cnlab.dev/v1
kind: SecurityGroup
metadata: {name: demo-cce-node}
spec:
  vpc: demo
  ingress:
  - {protocol: tcp, ports: 22}
  egress:
  - {cidr: 0.0.0.0/0}
"""

ON_ONE_NODE = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: many}
spec:
  replicas: 17
  selector: {matchLabels: {app: many}}
  template:
    metadata: {labels: {app: many}}
    spec:
      nodeName: n1
      containers: [{name: pause, image: pause}]
"""

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
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: each}
spec:
  replicas: 17
  selector: {matchLabels: {app: each}}
  template:
    metadata: {labels: {app: each}}
    spec:
      containers: [{name: pause, image: pause}]
"""

HOSTLY = """
apiVersion: v1
kind: Pod
metadata: {name: hostly-1}
spec:
  nodeName: n1
  hostNetwork: true
  containers: [{name: echo, image: echo, ports: [{containerPort: 9000}]}]
---
apiVersion: v1
kind: Pod
metadata: {name: hostly-2}
spec:
  nodeName: n1
  hostNetwork: true
  containers: [{name: echo, image: echo, ports: [{containerPort: 9000}]}]
"""


@scenario("topologies/demo.yaml", models=("tunnel",))
def in_cluster(lab: RunningLab, checks: Checks) -> None:
    """Pods, nodes and a VPC server on the tunnel network"""
    client, neighbour, *_ = lab.pods("app=web", node="n1")
    distant = lab.pods("app=web", node="n2")[0]
    n1, n2, server = lab.node("n1"), lab.node("n2"), lab.host("vm-1")

    same_node(lab, checks, client, neighbour)
    other_node(lab, checks, client, distant, n1, n2)
    blocks(lab, checks)
    nodes_and_servers(lab, checks, client, distant, n1, server)
    host_network(lab, checks, n1, client)
    second_block(lab, checks, n2)
    without_the_vxlan_rule(lab, checks, client, neighbour, distant)
    last_block(lab, checks)


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


def blocks(lab: RunningLab, checks: Checks) -> None:
    first = {node.name: node.blocks[0] for node in lab.memory.nodes}
    checks.that(
        4,
        "the nodes' pods have addresses of different /28 blocks",
        len(set(first.values())) == len(first)
        and all(pod.address in first[pod.node] for pod in lab.memory.pods if pod.node and not pod.host_network),
        "one /28 each",
        ", ".join(f"{name} {block}" for name, block in first.items()),
    )
    server = lab.pods("app=db")[0]
    seen = {name: lab.pods("app=web", node=name)[0].http(server.address, ECHO).client for name in first}
    ok = all(IPv4Address(seen[name]) in block for name, block in first.items())
    checks.that(4, "from which their packets come", ok, "one address of each", ", ".join(seen.values()))


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


def host_network(lab: RunningLab, checks: Checks, n1: Host, client: Host) -> None:
    lab.apply(HOSTLY)
    hostly = lab.pod("hostly-1")
    checks.equal(20, "a hostNetwork pod has its node's address", hostly.address, n1.address)
    checks.allowed(20, "and answers there", client.http(n1.address, 9000), server="hostly-1")
    reason = lab.pending().get("hostly-2", "it runs")
    checks.that(20, "a second one with its port stays Pending", "free ports" in reason, "no free port", reason)


def second_block(lab: RunningLab, checks: Checks, n2: Host) -> None:
    lab.apply(ON_ONE_NODE)
    blocks = next(node.blocks for node in lab.memory.nodes if node.name == "n1")
    late = [pod for pod in lab.pods("app=many") if pod.address not in blocks[0]]
    shown = ", ".join(map(str, blocks))
    checks.that(5, "more pods than a block holds: the node gets a second", len(blocks) == 2, "2 blocks", shown)
    checks.allowed(5, "a pod of the second block is reached from the other node", n2.ping(late[0].address))


def last_block(lab: RunningLab, checks: Checks) -> None:
    """Another cluster in the place of the first: as many nodes as its range has blocks, and one more."""
    lab.delete("deployment/web", "deployment/many", "statefulset/db", "pod/hostly-1", "pod/hostly-2", "cluster/demo")
    lab.apply(SEVENTEEN_NODES)
    owners = [node for node in lab.memory.nodes if node.cluster == "small" and node.blocks]
    checks.equal(6, "a container range of /24 has blocks for 16 nodes", len(owners), 16)
    reasons = [reason for name, reason in lab.pending().items() if name.startswith("each-")]
    text = "; ".join(reasons) or "none Pending"
    wanted = "no free /28 block in 172.20.0.0/24 (16 in use)"
    checks.equal(6, "the 17th node's pod gets no address", text, wanted)


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
