"""Private addresses: servers of the VPC and of peered VPCs, to pods and from pods, and what security groups say."""

from __future__ import annotations

from scenarios.parts.documents import security_group
from testbed.scenario import Checks, Host, RunningLab, scenario

ECHO = 8080

PEER_ROUTES = """routes:
- {destination: 10.2.0.0/16, nextHop: {peering: peer-far}}
- {destination: 192.168.0.0/16, nextHop: {peering: demo-peer}}
- {destination: 172.16.0.0/16, nextHop: {peering: demo-peer}}
"""

PEER_INTO_NODES = security_group(
    "demo-cce-node", "{cidr: 192.168.0.0/16}", "{cidr: 172.16.0.0/16}", "{cidr: 10.1.0.0/16}"
)

NODES_IN = "pod to VPC server that lets nodes in"
PODS_IN = "pod to VPC server that lets pods in"
PEERED = "pod to peered VPC, VPC routes only"
PEER_LETS_NODES = "pod to peered VPC's server that lets nodes in"
PEER_LETS_PODS = "pod to peered VPC's server that lets pods in"
POD_RANGES = {"vpc": "172.16.0.0/16", "eni": "192.168.64.0/18"}


@scenario("topologies/peered.yaml")
def private_access(lab: RunningLab, checks: Checks) -> None:
    """Private access: VPC servers, peered VPCs and pods"""
    pod, node = lab.pod("web-0"), lab.node("n1")
    into_the_cluster(lab, checks, pod, node)
    out_to_a_server(lab, checks, pod, node)
    if lab.model == "vpc":
        not_masqueraded(lab, checks, pod, node)
    across_the_peering(lab, checks, pod, node)
    peers_group(lab, checks, pod, node)
    live_connections(lab, checks, node)


def into_the_cluster(lab: RunningLab, checks: Checks, pod: Host, node: Host) -> None:
    server = lab.host("vm-1")
    with lab.capture("n1/eth0", "n1/eth1" if lab.model == "eni" else "n1/br-ex") as wire:
        seen = server.http(pod.address, ECHO)
    if lab.model == "tunnel":
        checks.dropped(21, "VPC server to a pod: no path", seen, path="VPC server to pod")
        seen = node.http(pod.address, ECHO)
        checks.allowed(21, "a node to the same pod", seen, source=node.address, path="node to pod")
        return
    number = 22 if lab.model == "vpc" else 23
    checks.allowed(number, "VPC server to a pod", seen, source=server.address, server=pod.name,
                   path="VPC server to pod")  # fmt: skip
    seen = node.http(pod.address, ECHO)
    checks.allowed(number, "a node to the same pod", seen, source=node.address, path="node to pod")
    replies = wire.where(lambda frame: (frame.source, frame.destination) == (str(pod.address), str(server.address)))
    checks.that(number, "the reply leaves with the pod's address", bool(replies), f"from {pod.address}",
                f"{len(replies)} frames", replies[:1])  # fmt: skip


def out_to_a_server(lab: RunningLab, checks: Checks, pod: Host, node: Host) -> None:
    server = lab.host("vm-1")
    seen = pod.http(server.address, ECHO)
    if lab.model == "tunnel":
        checks.allowed(24, "pod to a server that lets nodes in", seen, source=node.address, path=NODES_IN)
        return
    number = 25 if lab.model == "vpc" else 26
    checks.dropped(number, "pod to a server that lets only nodes in", seen, path=NODES_IN)
    both = f"ingress: [{{cidr: 192.168.0.0/24}}, {{cidr: {POD_RANGES[lab.model]}}}]"
    with lab.changed("SecurityGroup", "nodes-only", both):
        seen = pod.http(server.address, ECHO)
        checks.allowed(number, "after the server lets the pods' range in", seen, source=pod.address, path=PODS_IN)


def not_masqueraded(lab: RunningLab, checks: Checks, pod: Host, node: Host) -> None:
    """What leaves with the pod's own address, and what comes of a list that leaves something out."""
    server, distant = lab.host("vm-1"), lab.pods("app=web", node="n2")[0]
    public_server(lab, checks, pod, node)
    lab.set_cluster("nonMasqueradeCIDRs: [10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/24]")
    seen = pod.http(server.address, ECHO)
    checks.allowed(28, "the server's range taken off the list", seen, source=node.address, server=server.name)
    lab.set_cluster("nonMasqueradeCIDRs: [10.0.0.0/8, 172.16.0.0/12, 192.168.1.0/24]")
    with lab.capture("n2/eth0") as wire:
        seen = node.http(distant.address, ECHO)
    checks.blocked(29, "node outside the list to a pod on another node", seen)
    answers = wire.where(lambda frame: (frame.destination, frame.info) == (str(node.address), "SA"))
    sources = {frame.source for frame in answers}
    checks.equal(29, "its answers leave with its node's address", sources, {str(lab.node("n2").address)}, answers[:1])
    lab.set_cluster("nonMasqueradeCIDRs: [10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16]")
    seen = node.http(distant.address, ECHO)
    checks.allowed(29, "after the node's range is on the list", seen, source=node.address)


def public_server(lab: RunningLab, checks: Checks, pod: Host, node: Host) -> None:
    lab.apply(SECONDARY)
    server = lab.host("vm-100")
    lab.wait_ready()
    seen = pod.http(server.address, ECHO)
    checks.allowed(27, "pod to a server outside RFC 1918", seen, source=node.address, server="vm-100")


SECONDARY = """
apiVersion: cnlab.dev/v1
kind: Vpc
metadata: {name: demo}
spec: {cidr: 192.168.0.0/16, secondaryCIDRs: [198.18.0.0/24]}
---
apiVersion: cnlab.dev/v1
kind: Subnet
metadata: {name: outside}
spec: {vpc: demo, cidr: 198.18.0.0/24}
---
apiVersion: cnlab.dev/v1
kind: Server
metadata: {name: vm-100}
spec:
  subnet: outside
  securityGroups: [open]
  containers: [{name: echo, image: echo, ports: [{containerPort: 8080}]}]
"""


def across_the_peering(lab: RunningLab, checks: Checks, pod: Host, node: Host) -> None:
    peer = lab.host("peer-vm")
    seen = pod.http(peer.address, ECHO)
    if lab.model == "tunnel":
        checks.allowed(30, "pod to a peered VPC", seen, source=node.address, server=peer.name, path=PEERED)
        return
    if lab.model == "eni":
        checks.allowed(32, "pod to a peered VPC", seen, source=pod.address, server=peer.name, path=PEERED)
        return
    checks.dropped(31, "pod to a peered VPC that has no route back to pods", seen, path=PEERED)
    lab.apply(lab.document_with("RouteTable", "peer-main", PEER_ROUTES))
    seen = pod.http(peer.address, ECHO)
    title, path = "after the peer has a route to the container range", "pod to peered VPC, with a route to pods"
    checks.allowed(31, title, seen, source=pod.address, path=path)
    lab.apply(PEER_INTO_NODES)
    seen = peer.http(pod.address, ECHO)
    checks.allowed(35, "peered VPC to a pod, route and group allow it", seen, source=peer.address, server=pod.name,
                   path="peered VPC to pod, with a route to pods")  # fmt: skip


PEER_GROUP = """
apiVersion: cnlab.dev/v1
kind: SecurityGroup
metadata: {{name: peer-guarded}}
spec: {{vpc: peer, ingress: [{{cidr: {range}}}]}}
---
apiVersion: cnlab.dev/v1
kind: Server
metadata: {{name: peer-guarded}}
spec:
  subnet: peer-hosts
  securityGroups: [peer-guarded]
  containers: [{{name: echo, image: echo, ports: [{{containerPort: 8080}}]}}]
"""


def peers_group(lab: RunningLab, checks: Checks, pod: Host, node: Host) -> None:
    """What the group of a server in the peered VPC has to name: the nodes' range or the pods'."""
    lab.apply(PEER_GROUP.format(range="192.168.0.0/24"))
    lab.wait_ready()
    number, peer = {"tunnel": 30, "vpc": 31, "eni": 32}[lab.model], lab.host("peer-guarded")
    seen = pod.http(peer.address, ECHO)
    if lab.model == "tunnel":
        checks.allowed(number, PEER_LETS_NODES, seen, source=node.address, path=PEER_LETS_NODES)
        return
    checks.dropped(number, PEER_LETS_NODES, seen, path=PEER_LETS_NODES)
    lab.apply(PEER_GROUP.format(range=POD_RANGES[lab.model]))
    seen = pod.http(peer.address, ECHO)
    checks.allowed(number, PEER_LETS_PODS, seen, source=pod.address, server=peer.name, path=PEER_LETS_PODS)
    checks.dropped(number, "which does not let nodes in", node.http(peer.address, ECHO))


def live_connections(lab: RunningLab, checks: Checks, node: Host) -> None:
    """Group ``open`` lets everything in; it is narrowed while connections are up."""
    server, peer = lab.host("vm-2"), lab.host("peer-vm")
    with node.connection(server.address, ECHO) as inbound:
        checks.that(40, "a connection is up", inbound.alive(), "alive", inbound.state)
        with lab.changed("SecurityGroup", "open", "ingress: [{cidr: 10.99.0.0/16}]"):
            checks.that(40, "its inbound rule is taken away", not inbound.alive(), "cut", inbound.state)
    with node.connection(server.address, ECHO) as inbound, server.connection(peer.address, ECHO) as outbound:
        checks.that(40, "another connection is up", inbound.alive(), "alive", inbound.state)
        checks.that(40, "and one of its own", outbound.alive(), "alive", outbound.state)
        with lab.changed("SecurityGroup", "open", "egress: [{cidr: 10.99.0.0/16}]"):
            seen = server.http(peer.address, ECHO)
            checks.dropped(40, "outbound rules are tightened: a new connection of its own", seen)
            checks.that(40, "the one that it has", outbound.alive(), "alive", outbound.state)
            checks.that(40, "and the one to it", inbound.alive(), "alive", inbound.state)
