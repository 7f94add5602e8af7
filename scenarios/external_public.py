"""From the internet to Services: a node's elastic IP, a load balancer's, and a DNAT rule."""

from __future__ import annotations

from scenarios.parts.documents import elastic_ip
from testbed.scenario import Checks, Host, RunningLab, scenario

WEB = ("web-0", "web-1", "web-2")
NODE_PORT = 30084
NODE_EIP, DNAT_EIP, ELB_EIP = "198.51.100.11", "198.51.100.20", "198.51.100.30"


@scenario("topologies/services.yaml")
def external_public(lab: RunningLab, checks: Checks) -> None:
    """The internet to NodePort, load balancer and DNAT"""
    inet = lab.host("inet")
    by_node_eip(lab, checks, inet)
    by_balancer(lab, checks, inet)
    by_dnat(lab, checks, inet)
    if lab.model != "eni":
        own_eip(lab, checks)


def by_node_eip(lab: RunningLab, checks: Checks, inet: Host) -> None:
    n1 = lab.node("n1")
    seen = inet.http(NODE_EIP, 30080)
    checks.allowed(44, "internet to a node's EIP and NodePort, Cluster", seen, source=n1.address, server=WEB,
                   path="internet to node EIP:NodePort")  # fmt: skip
    if lab.model != "eni":
        seen = inet.http(NODE_EIP, 30081)
        checks.allowed(45, "the same, Local: the pod sees the client", seen, source=inet.address, server=WEB,
                       path="internet to node EIP:NodePort, Local")  # fmt: skip
    seen = inet.http(lab.service("web").cluster_ip, 80)
    checks.blocked(42, "internet to a ClusterIP", seen, path="internet to ClusterIP")
    seen = inet.http(lab.pod("web-0").address, 8080)
    checks.blocked(0, "internet to a pod's address", seen, path="internet to pod IP")


def by_balancer(lab: RunningLab, checks: Checks, inet: Host) -> None:
    nodes = [str(node.address) for node in lab.nodes()]
    seen = inet.http(ELB_EIP, 80)
    if lab.model == "eni":
        checks.allowed(53, "internet to the dedicated balancer's EIP: the pod sees the client", seen,
                       source=inet.address, server=WEB, path="internet to ELB EIP")  # fmt: skip
    else:
        checks.allowed(50, "internet to the dedicated balancer's EIP", seen, server=WEB, path="internet to ELB EIP")
        checks.that(50, "the source is a node", seen.client in nodes, "a node's address", seen.client)


def by_dnat(lab: RunningLab, checks: Checks, inet: Host) -> None:
    node = lab.node(lab.dnat_target(DNAT_EIP))
    lab.apply(elastic_ip("for-n1", NODE_EIP, node=node.name))
    with lab.capture("inet/eth0") as wire:
        seen = inet.http(DNAT_EIP, 80)
    checks.dropped(69, "DNAT to a node that has another EIP", seen)
    answers = wire.where(lambda frame: (frame.destination, frame.info) == (str(inet.address), "SA"))
    sources = {frame.source for frame in answers}
    checks.equal(69, "the answers leave by that one", sources, {NODE_EIP}, answers[:1])
    lab.apply(elastic_ip("for-n1", NODE_EIP))
    with lab.capture(f"{node}/eth0") as wire:
        seen = inet.http(DNAT_EIP, 80)
    number = 0 if lab.model == "eni" else 67
    checks.allowed(number, "internet to a DNAT rule, Cluster", seen, source=node.address, server=WEB,
                   path="internet to DNAT EIP")  # fmt: skip
    opened = wire.where(lambda frame: (frame.source, frame.info) == (str(inet.address), "S"))
    targets = {(frame.destination, frame.destination_port) for frame in opened}
    checks.equal(number, "by a node that has no EIP, at its node port", targets, {(str(node.address), NODE_PORT)},
                 opened[:1])  # fmt: skip
    if lab.model == "eni":
        return
    lab.apply(lab.document_with("Service", "dnat", "externalTrafficPolicy: Local"))
    seen = inet.http(DNAT_EIP, 80)
    checks.allowed(67, "the same, Local: the pod sees the client", seen, source=inet.address, server=WEB)
    if lab.model == "vpc":
        for client in (lab.pod("client-1"), lab.pod("client-3")):
            title = f"a pod of {client.node} to the DNAT Service, Local"
            checks.blocked(68, title, client.http(DNAT_EIP, 80, timeout=1.0))


def own_eip(lab: RunningLab, checks: Checks) -> None:
    """From inside to NodePort Local: by the private and by the public address of the pod's own node."""
    lab.apply(elastic_ip("for-n1", NODE_EIP, node="n1"))
    n1, pod = lab.node("n1"), lab.pod("client-1")
    private, public = pod.http(n1.address, 30081), pod.http(NODE_EIP, 30081)
    if lab.model == "vpc":
        checks.blocked(48, "pod to its own node's private address, NodePort Local", private)
    else:
        checks.allowed(49, "pod to its own node's private address, NodePort Local", private, server=WEB)
    checks.allowed(48, "and to its node's EIP", public, server=WEB)
