"""kube-proxy's two modes: what a node does with all that goes to a Service's address, besides the Service's ports."""

from __future__ import annotations

from scenarios.parts.local_policy import Cast, behind, by_balancer, by_node_port
from testbed.scenario import Checks, Host, RunningLab, scenario

WEB = ("web-0", "web-1")
INGRESS_PORT, NODE_PORT = 8000, 30095
CAST = Cast("n1", "n2", "n3", "client", "client-2", "198.51.100.11", "198.51.100.12", NODE_PORT)

BALANCERS = """
apiVersion: cnlab.dev/v1
kind: LoadBalancer
metadata: {name: elb-own}
spec: {subnet: servers, class: dedicated}
---
apiVersion: cnlab.dev/v1
kind: LoadBalancer
metadata: {name: elb-seeing}
spec: {subnet: servers, class: shared}
"""
SERVICES = (
    behind("elb-own", "performance", "solo-own", "port: 90"),
    behind("elb-seeing", "union", "solo-seeing", "port: 90", keeps_client=True),
)


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
    by_node_port(lab, checks, CAST, in_ipvs_mode=True)
    seen = lab.host("vm-1").http(lab.node("n2").address, NODE_PORT)
    checks.dropped(46, "a VPC server to a node without the pod", seen)
    lab.apply(BALANCERS, *SERVICES)
    by_balancer(lab, checks, CAST, 52, "elb-seeing", 90)
    by_balancer(lab, checks, CAST, 58, "elb-own", 90)


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
