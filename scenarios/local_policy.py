"""externalTrafficPolicy Local from inside the cluster: who reaches a NodePort or a load balancer by which address."""

from __future__ import annotations

from scenarios.parts.local_policy import Cast, behind, by_balancer, by_node_port
from testbed.scenario import Checks, RunningLab, scenario

WORKLOAD = """
apiVersion: v1
kind: Pod
metadata: {name: solo, labels: {app: solo}}
spec:
  nodeName: n1
  containers: [{name: echo, image: echo, ports: [{containerPort: 8080}]}]
"""
SERVICES = (
    behind("elb-shared", "union", "solo", "port: 90, nodePort: 30095", keeps_client=True),
    behind("elb-shared", "union", "solo-hidden", "port: 91"),
    behind("elb-dedicated", "performance", "solo-dedicated", "port: 90"),
)
ADDRESS = """
apiVersion: cnlab.dev/v1
kind: ElasticIP
metadata: {name: for-n3}
spec: {address: 198.51.100.13, boundTo: {node: n3}}
"""


CAST = Cast("n1", "n3", "n2", "client-1", "client-3", "198.51.100.11", "198.51.100.13", 30095)


@scenario("topologies/services.yaml", models=("tunnel", "vpc"))
def local_policy(lab: RunningLab, checks: Checks) -> None:
    """Policy Local from inside the cluster, cell by cell"""
    lab.apply(WORKLOAD, ADDRESS, *SERVICES)
    lab.wait_ready()
    by_node_port(lab, checks, CAST)
    by_balancer(lab, checks, CAST, 52, "elb-shared", 90)
    by_balancer(lab, checks, CAST, 58, "elb-dedicated", 90)
    by_one_that_hides(lab, checks)


def by_one_that_hides(lab: RunningLab, checks: Checks) -> None:
    """Where the member does not see its client, it may ask itself."""
    for client in (lab.node("n1"), lab.pod("client-1"), lab.host("vm-1")):
        seen = client.http(lab.host("elb-shared").address, 91)
        ok = seen.server == "solo" and seen.client.startswith("100.125.")
        checks.that(52, f"{client} to a listener that hides its clients", ok, "100.125.0.0/16, server solo",
                    f"{seen}, server {seen.server}")  # fmt: skip
