"""One route for each node, and what happens at the quota."""

from __future__ import annotations

from collections.abc import Iterator

from scenarios.parts.documents import peered_cluster
from testbed.guide import Command, Finding, Guide, RunningLab, Step, expect, expect_allowed

TABLE = """
apiVersion: cnlab.dev/v1
kind: RouteTable
metadata: {{name: demo-main}}
spec:
  vpc: demo
  default: true
  quota: {quota}
  routes:
  - {{destination: 10.1.0.0/16, nextHop: {{peering: demo-peer}}}}
"""

THREE_NODES = peered_cluster("n1, n2, n3")


def check(lab: RunningLab) -> Iterator[Finding]:
    nodes = [node.name for node in lab.nodes()]
    yield expect(
        "n3" in nodes, f"nodes: {', '.join(nodes)}", "give the table room (quota), then apply the Cluster with n3"
    )
    routes = lab.routes("demo-main", "172.16.0.0/16")
    shown = ", ".join(f"{block} -> {node}" for block, node in routes.items())
    yield expect("n3" in routes.values(), f"routes of demo-main: {shown}", "a node's route comes with the node")
    late = lab.pods("app=web", node="n3")
    yield expect(bool(late), f"{len(late)} pods of web on n3", "more replicas: lab scale sts/web --replicas 6")
    for pod in late[:1]:
        client = lab.pod("web-0")
        seen = client.http(pod.address, 8080)
        yield expect_allowed(
            f"web-0 to {pod} on n3", seen, f"look where it ends: lab trace web-0 {pod}", client.address
        )


GUIDE = Guide(
    title="One route for each node, and what happens at the quota",
    goal="see how the VPC itself delivers packets to pods, and why that limits the number of nodes.",
    picture="""
  route table demo-main of VPC demo       + n1 -----------+
    172.16.0.0/25    -> n1   -------->    | web-0 web-2   | 172.16.0.0/25
    172.16.0.128/25  -> n2   -------->    + n2 -----------+
    10.1.0.0/16      -> peering           | web-1 web-3   | 172.16.0.128/25
                                          +---------------+
""",
    topology="topologies/peered.yaml",
    model="vpc",
    steps=(
        Step(
            "In the VPC network each node has one block of addresses for all its pods, and the VPC one route to it.",
            (
                Command("lab get pods -o wide", shows=("172.16.0.130",)),
                Command("lab get routes", shows=("172.16.0.0/25", "172.16.0.128/25")),
            ),
            "the route came with the node; nobody wrote it. Every route table of the VPC has it.",
        ),
        Step(
            "A packet from node to node, and what is on the wire.",
            (
                Command("lab trace web-0 web-1", shows=("172.16.0.128/25 -> n2-eth0",), lines=16),
                Command(
                    "lab exec n1 -- timeout 12 tcpdump -c 2 -nnti eth0 icmp",
                    shows=("172.16.0.2 > 172.16.0.130: ICMP echo request",),
                    background=True,
                ),
                Command("lab exec web-0 -- ping -c 1 -W 5 {web-1}", shows=("1 received",)),
            ),
            "no tunnel: the pods' addresses are on the wire themselves, and the fabric's table routing finds the node.",
        ),
        Step(
            "Tables are finite. Here the quota is set to three routes: one to the peered VPC and two of nodes. It is "
            "full.",
            (
                Command("lab apply -f -", TABLE.format(quota=3)),
                Command("lab apply -f -", THREE_NODES, status=2, shows=("room for 2",)),
                Command("lab get nodes", shows=("n2",)),
            ),
            "the third node is refused with the reason, before anything of it is made. The other two go on.",
        ),
    ),
    questions=(
        (
            "A /16 for containers and blocks of /25: how many nodes can there be, quota aside?",
            "65536 / 128 = 512 blocks, one a node. With a quota of 200 routes a table, the quota is met first.",
        ),
        (
            "What becomes of web-1 when the route to n2's block is deleted by hand?",
            "Pods of other nodes and servers lose it, web-3 beside it does not: that packet never comes to the VPC.",
        ),
    ),
    task="let node n3 join the cluster, and have a pod of web on it that web-0 reaches.",
    hint="apply RouteTable demo-main with a larger quota, then Cluster demo with names: [n1, n2, n3] "
    "(lab get cluster demo -o yaml shows what there is), then lab scale sts/web --replicas 6.",
    solution=(
        Command("lab apply -f -", TABLE.format(quota=200)),
        Command("lab apply -f -", THREE_NODES),
        Command("lab scale sts/web --replicas 6"),
    ),
    check=check,
)
