"""Every way to a workload from everywhere: who reaches it, by which address, and whom the pod sees.

The pods are on n1 and n2. Clients in the cluster are on n3, and its port and elastic IP are dialled, so that whoever
answers is on another node.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from testbed.scenario import Checks, Host, RunningLab, Seen, scenario

WEB = ("web-0", "web-1", "web-2")
NODE_EIP, ELB_EIP, DNAT_EIP = "198.51.100.11", "198.51.100.30", "198.51.100.20"

NO = "-"
SELF, VIA, NODE, TARGET, ELB = "the client", "the node dialled", "some node", "the rule's node", "the balancer"

INSIDE_ONLY = (SELF, SELF, NO, NO, NO)
BY_NODE_PORT = (VIA, VIA, VIA, VIA, VIA)
BY_DNAT = (VIA, VIA, NO, NO, TARGET)

SEEN_SOURCES = {
    #                  pod   node  server peered internet
    "tunnel": {
        "pod IP":       INSIDE_ONLY,
        "ClusterIP":    INSIDE_ONLY,
        "NodePort":     BY_NODE_PORT,
        "ELB, private": (VIA,  VIA,  NODE, NODE, NO),
        "ELB, EIP":     (VIA,  VIA,  NO,   NO,   NODE),
        "DNAT":         BY_DNAT,
        "Ingress":      (NODE, NODE, NODE, NODE, NODE),
    },
    "vpc": {
        "pod IP":       (SELF, SELF, SELF, NO,   NO),
        "ClusterIP":    INSIDE_ONLY,
        "NodePort":     BY_NODE_PORT,
        "ELB, private": (VIA,  VIA,  NODE, NODE, NO),
        "ELB, EIP":     (VIA,  VIA,  NO,   NO,   NODE),
        "DNAT":         BY_DNAT,
        "Ingress":      (NODE, NODE, NODE, NODE, NODE),
    },
    "eni": {
        "pod IP":       (SELF, SELF, SELF, NO,   NO),
        "ClusterIP":    INSIDE_ONLY,
        "NodePort":     BY_NODE_PORT,
        "ELB, private": (SELF, VIA,  SELF, SELF, NO),
        "ELB, EIP":     (NO,   VIA,  NO,   NO,   SELF),
        "DNAT":         (SELF, VIA,  NO,   NO,   TARGET),
        "Ingress":      (ELB,  ELB,  ELB,  ELB,  ELB),
    },
}  # fmt: skip
"""Whose address the pod sees, by model, way and client; ``NO``: no connection.

A peered VPC reaches no pod: in ``vpc`` its table has no route to the container range, in ``eni`` the pods' group
admits their own VPC only. In ``eni`` a pod's way to the balancer's elastic IP leads by the internet, which it has not.
By an Ingress the pod's peer is the balancer's proxy, or the node by whose port the proxy comes.
"""

FROM_INSIDE_TO_INGRESS = ("pod to Ingress", "node to Ingress")
"""A Service has another port of the same balancer: kube-proxy in iptables mode leaves the Ingress's alone."""

INGRESS = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web
  annotations: {kubernetes.io/elb.id: elb-dedicated, kubernetes.io/elb.port: "8000"}
spec:
  ingressClassName: cce
  defaultBackend: {service: {name: node-port, port: {number: 80}}}
"""


@scenario("topologies/services.yaml")
def access_matrix(lab: RunningLab, checks: Checks) -> None:
    """Everywhere to every way of access: who connects, and whom the pod sees"""
    lab.apply(lab.document_with("ElasticIP", "for-n1", "boundTo: {node: n3}"), INGRESS)
    lab.until(lambda: lab.host("vm-1").http(*dialled(lab, "Ingress", "VPC server")).server, 10, "the Ingress to answer")
    clients = {
        "pod": lab.pod("client-3"),
        "node": lab.node("n3"),
        "VPC server": lab.host("vm-1"),
        "peered VPC": lab.host("peer-vm"),
        "internet": lab.host("inet"),
    }
    for way, sources in SEEN_SOURCES[lab.model].items():
        with ThreadPoolExecutor(len(clients)) as together:
            found = list(together.map(partial(dial, lab, way), clients.items(), sources))
        for place, source, seen in zip(clients, sources, found, strict=True):
            judge(lab, checks, f"{place} to {way}", clients[place], source, seen)


def dial(lab: RunningLab, way: str, client: tuple[str, Host], source: str) -> Seen:
    place, host = client
    return host.http(*dialled(lab, way, place), timeout=1.0 if source == NO else 2.0)


def dialled(lab: RunningLab, way: str, place: str) -> tuple[str, int]:
    """The address and port by which ``way`` is taken; the internet dials elastic IPs."""
    from_outside = place == "internet"
    node = NODE_EIP if from_outside else str(lab.node("n3").address)
    balancer = str(lab.host("elb-dedicated").address)
    return {
        "pod IP": (str(lab.pod("web-0").address), 8080),
        "ClusterIP": (lab.service("web").cluster_ip, 80),
        "NodePort": (node, 30080),
        "ELB, private": (balancer, 80),
        "ELB, EIP": (ELB_EIP, 80),
        "DNAT": (DNAT_EIP, 80),
        "Ingress": (ELB_EIP if from_outside else balancer, 8000),
    }[way]


def judge(lab: RunningLab, checks: Checks, path: str, client: Host, source: str, seen: Seen) -> None:
    if source == NO:
        checks.dropped(0, path, seen, path=path)
        return
    number = 60 if path in FROM_INSIDE_TO_INGRESS else 0
    wanted = {
        SELF: {client.address},
        VIA: {lab.node("n3").address},
        NODE: {node.address for node in lab.nodes()},
        TARGET: {lab.node(lab.dnat_target(DNAT_EIP)).address},
        ELB: {lab.host("elb-dedicated").address},
    }[source]
    checks.allowed(number, path, seen, source=sorted(map(str, wanted)), server=WEB, path=path)
    if path.endswith("to Ingress"):
        outside = lab.node("n3").address if lab.model == "tunnel" and path.startswith("pod") else client.address
        header = json.loads(seen.body)["headers"].get("x-forwarded-for", "nothing")
        checks.equal(0, f"{path}: X-Forwarded-For", header, str(outside))
