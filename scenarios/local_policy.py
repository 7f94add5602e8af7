"""externalTrafficPolicy Local from inside the cluster: who reaches a NodePort or a load balancer by which address.

Source: CCE user guide, "Service overview"; of load balancers also ELB FAQ, "Can a Backend Server Access Its Load
Balancer?": at layer 4 it can where the client's address is not handed on, and can't where it is.
"""

from __future__ import annotations

from testbed.scenario import Checks, Host, RunningLab, scenario

NODE_PORT = 30095
SERVER_EIP, OTHER_EIP = "198.51.100.11", "198.51.100.13"

WORKLOAD = """
apiVersion: v1
kind: Pod
metadata: {name: solo, labels: {app: solo}}
spec:
  nodeName: n1
  containers: [{name: echo, image: echo, ports: [{containerPort: 8080}]}]
---
apiVersion: v1
kind: Service
metadata:
  name: solo
  annotations:
    kubernetes.io/elb.class: union
    kubernetes.io/elb.id: elb-shared
    kubernetes.io/elb.enable-transparent-client-ip: "true"
spec:
  type: LoadBalancer
  externalTrafficPolicy: Local
  selector: {app: solo}
  ports: [{port: 90, targetPort: 8080, nodePort: 30095}]
---
apiVersion: v1
kind: Service
metadata:
  name: solo-hidden
  annotations: {kubernetes.io/elb.class: union, kubernetes.io/elb.id: elb-shared}
spec:
  type: LoadBalancer
  externalTrafficPolicy: Local
  selector: {app: solo}
  ports: [{port: 91, targetPort: 8080}]
---
apiVersion: v1
kind: Service
metadata:
  name: solo-dedicated
  annotations: {kubernetes.io/elb.class: performance, kubernetes.io/elb.id: elb-dedicated}
spec:
  type: LoadBalancer
  externalTrafficPolicy: Local
  selector: {app: solo}
  ports: [{port: 90, targetPort: 8080}]
---
apiVersion: cnlab.dev/v1
kind: ElasticIP
metadata: {name: for-n3}
spec: {address: 198.51.100.13, boundTo: {node: n3}}
"""


@scenario("topologies/services.yaml", models=("tunnel", "vpc"))
def local_policy(lab: RunningLab, checks: Checks) -> None:
    """Policy Local from inside the cluster, cell by cell"""
    lab.apply(WORKLOAD)
    lab.wait_ready()
    nodes(lab, checks)
    pods(lab, checks)
    balancers(lab, checks)


def nodes(lab: RunningLab, checks: Checks) -> None:
    """n1 has the pod, n2 and n3 have none."""
    n1, n2, n3 = (lab.node(name) for name in ("n1", "n2", "n3"))
    reached(checks, 0, n1, "itself", n1.address)
    not_reached(checks, 0, n1, "a node without the pod", n3.address)
    reached(checks, 0, n3, "the pod's node", n1.address)
    reached(checks, 0, n3, "itself, by its private address", n3.address)
    not_reached(checks, 0, n3, "itself, by its public address", OTHER_EIP)
    not_reached(checks, 0, n3, "another node without the pod", n2.address)


def pods(lab: RunningLab, checks: Checks) -> None:
    n1, n2, n3 = (lab.node(name) for name in ("n1", "n2", "n3"))
    beside, away = lab.pod("client-1"), lab.pod("client-3")
    if lab.model == "vpc":
        not_reached(checks, 48, beside, "its own node, which has the pod, by the private address", n1.address)
    else:
        reached(checks, 49, beside, "its own node, which has the pod, by the private address", n1.address)
    reached(checks, 48, beside, "its own node, by the public address", SERVER_EIP)
    not_reached(checks, 46, beside, "a node without the pod", n3.address)
    reached(checks, 45, away, "the pod's node", n1.address)
    not_reached(checks, 46, away, "its own node, which has no pod", n3.address)
    not_reached(checks, 46, away, "a third node", n2.address)


def balancers(lab: RunningLab, checks: Checks) -> None:
    """The only member is the pod's node. Where it sees its client, it gets packets from itself when it asks itself."""
    server, beside, away = lab.host("vm-1"), (lab.node("n1"), lab.pod("client-1")), lab.pod("client-3")
    for number, name in ((52, "elb-shared"), (58, "elb-dedicated")):
        address = lab.host(name).address
        for client in beside:
            checks.blocked(number, f"{client} to {name}, whose member is its own node", client.http(address, 90))
        checks.allowed(number, f"{away} to the same", away.http(address, 90), server="solo")
        seen = server.http(address, 90)
        checks.allowed(number, "a VPC server to the same", seen, source=server.address, server="solo")
    for client in (*beside, server):
        seen = client.http(lab.host("elb-shared").address, 91)
        ok = seen.server == "solo" and seen.client.startswith("100.125.")
        checks.that(52, f"{client} to a listener that hides its clients", ok, "100.125.0.0/16, server solo",
                    f"{seen}, server {seen.server}")  # fmt: skip


def reached(checks: Checks, number: int, client: Host, what: str, address: object) -> None:
    checks.allowed(number, f"{client} to {what}", client.http(str(address), NODE_PORT), server="solo")


def not_reached(checks: Checks, number: int, client: Host, what: str, address: object) -> None:
    checks.blocked(number, f"{client} to {what}", client.http(str(address), NODE_PORT, timeout=1.0))
