"""Where a network model ends: no block for one node more, no address for one pod more."""

from __future__ import annotations

from scenarios.parts.addresses import HOST_PORT, last_block
from scenarios.parts.documents import host_network_pod
from testbed.scenario import Checks, RunningLab, scenario

FOURTEEN = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: web}
spec:
  serviceName: web
  replicas: 14
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      nodeName: node-1
      containers: [{name: pause, image: pause}]
"""


@scenario("topologies/limits.yaml", models=("tunnel", "vpc", "eni"))
def limits(lab: RunningLab, checks: Checks) -> None:
    """Blocks and addresses that run out"""
    {"tunnel": tunnel, "vpc": vpc, "eni": eni}[lab.model](lab, checks)


def tunnel(lab: RunningLab, checks: Checks) -> None:
    lab.set_cluster("nodePools: [{name: node, count: 17}]")
    last_block(lab, checks, "172.16.0.0/24")


def vpc(lab: RunningLab, checks: Checks) -> None:
    small = lab.document_with("Cluster", "small", "fixPoolMask: 28")
    reason = lab.refusal(small)
    checks.that(13, "a node's block can't be changed", bool(reason), "refused", reason or "accepted")
    lab.delete("cluster/small")
    lab.apply(small, FOURTEEN)
    checks.equal(13, "a /28 has addresses for 13 pods", len(lab.pods("app=web")), 13)
    reasons = list(lab.pending().values())
    checks.that(13, "the 14th waits", len(reasons) == 1 and "(13 in use)" in reasons[0], "1 pod Pending, 13 in use",
                "; ".join(reasons) or "none Pending")  # fmt: skip
    lab.apply(host_network_pod("hostly", "node-1", HOST_PORT))
    lab.wait_ready()
    node = lab.node("node-1")
    checks.allowed(13, "the 13th answers", node.ping(lab.pod("web-12").address))
    checks.allowed(
        13, "a hostNetwork pod still starts", lab.pod("web-0").http(node.address, HOST_PORT), server="hostly"
    )


POD_SUBNETS = """
apiVersion: cnlab.dev/v1
kind: Subnet
metadata: {{name: first}}
spec: {{vpc: shared, cidr: 192.168.64.0/27}}
---
apiVersion: cnlab.dev/v1
kind: Subnet
metadata: {{name: second}}
spec: {{vpc: shared, cidr: 192.168.65.0/27}}
---
apiVersion: cnlab.dev/v1
kind: Cluster
metadata: {{name: small}}
spec:
  networkModel: eni
  vpc: shared
  nodeSubnet: nodes
  podSubnets: [{subnets}]
  nodePools: [{{name: node, count: 1, subENIs: 64}}]
"""

TWENTY_SEVEN = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: web}
spec:
  serviceName: web
  replicas: 27
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: echo, image: echo, ports: [{containerPort: 8080}]}]
"""


def eni(lab: RunningLab, checks: Checks) -> None:
    """A /27 has 27 addresses: one for the node's carrier, 26 for pods, whatever was bound ahead of them."""
    lab.delete("cluster/small")
    lab.apply(POD_SUBNETS.format(subnets="first"))
    lab.apply(TWENTY_SEVEN)
    checks.equal(0, "the pod subnet has addresses for 26 pods", len(lab.pods("app=web")), 26)
    (reason,) = lab.pending().values() or ("none Pending",)
    checks.that(0, "the 27th waits", "no free address in subnet first" in reason, "no free address", reason)
    lab.wait_ready()
    one, other = lab.pod("web-0"), lab.pod("web-1")
    with one.connection(other.address, 8080) as connection:
        checks.that(0, "a connection between two of them", connection.alive(), "alive", connection.state)
        lab.apply(POD_SUBNETS.format(subnets="first, second"))
        lab.wait_ready()
        late = lab.pod("web-26")
        checks.that(0, "with a second pod subnet it starts there", str(late.address).startswith("192.168.65."),
                    "an address of 192.168.65.0/27", str(late.address))  # fmt: skip
        seen = late.http(one.address, 8080)
        checks.allowed(0, "it reaches the others", seen, source=late.address, server=one.name)
        checks.allowed(0, "and they reach it", one.http(late.address, 8080), source=one.address, server=late.name)
        checks.that(0, "the connection", connection.alive(), "alive", connection.state)
