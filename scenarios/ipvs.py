"""kube-proxy's two modes: what a node does with all that goes to a Service's address, besides the Service's ports."""

from __future__ import annotations

from testbed.scenario import Checks, Host, RunningLab, scenario

WEB = ("web-0", "web-1")
INGRESS_PORT, NODE_PORT = 8000, 30095


@scenario("topologies/ipvs.yaml")
def ipvs(lab: RunningLab, checks: Checks) -> None:
    """kube-proxy in IPVS mode"""
    client, node = lab.pod("client"), lab.node("n2")
    address = lab.service("web").cluster_ip
    for asker in (client, node):
        checks.allowed(41, f"{asker} to the ClusterIP", asker.http(address, 80), server=WEB)
        checks.allowed(43, f"{asker} pings a ClusterIP: the node has it", asker.ping(address))
        checks.refused(0, f"{asker} to a port that the Service lacks", asker.http(address, 81))
    shared_balancer(lab, checks, client, node)
    if lab.model != "eni":
        local_policy(lab, checks)


def local_policy(lab: RunningLab, checks: Checks) -> None:
    """NodePort Local where the mode makes a difference: at a node, n2, that has no endpoint."""
    n1, n2 = lab.node("n1"), lab.node("n2")
    seen = lab.pod("client-2").http(n2.address, NODE_PORT)
    checks.allowed(0, "a pod to its own node, which has no endpoint", seen, server="solo")
    seen = n2.http(n2.address, NODE_PORT)
    if lab.model == "vpc":
        checks.allowed(0, "that node to itself", seen, server="solo")
    else:
        checks.blocked(0, "that node to itself", seen)
    checks.blocked(46, "a VPC server to it", lab.host("vm-1").http(n2.address, NODE_PORT))
    seen = lab.pod("client").http(n1.address, NODE_PORT)
    if lab.model == "vpc":
        checks.blocked(48, "a pod to its own node, which has an endpoint", seen)
    else:
        checks.allowed(49, "a pod to its own node, which has an endpoint", seen, server="solo")


def shared_balancer(lab: RunningLab, checks: Checks, client: Host, node: Host) -> None:
    """A Service and an Ingress on one balancer: from inside the cluster the node takes what is for the Ingress."""
    server, address = lab.host("vm-1"), lab.host("elb").address
    lab.until(lambda: server.http(address, INGRESS_PORT).server, 10, "the Ingress to answer")
    checks.allowed(60, "a VPC server to the Ingress", server.http(address, INGRESS_PORT), server=WEB)
    checks.allowed(60, "and to the Service on the same balancer", server.http(address, 80), server=WEB)
    checks.allowed(60, "a node to the Service's port of the balancer", node.http(address, 80), server=WEB)
    checks.blocked(60, "a node to the Ingress's port", node.http(address, INGRESS_PORT))
    if lab.model == "eni":  # pods there ask the balancer itself
        checks.allowed(0, "a pod to the Ingress", client.http(address, INGRESS_PORT), server=WEB)
        return
    checks.allowed(60, "a pod to the Service's port of the balancer", client.http(address, 80), server=WEB)
    checks.blocked(60, "a pod to the Ingress's port", client.http(address, INGRESS_PORT))
    checks.allowed(60, "a pod pings the balancer's address: its node answers", client.ping(address))
