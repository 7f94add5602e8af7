"""Two clusters in one VPC: who reaches whom, and when their container ranges may be the same."""

from __future__ import annotations

from scenarios.parts.documents import security_group
from testbed.scenario import Checks, RunningLab, scenario

ECHO = 8080
SAME_RANGE = "containerCIDR: 172.16.0.0/16"

OPEN_TO_EAST = security_group(
    "west-cce-node", "{cidr: 192.168.0.0/16}", "{cidr: 172.17.0.0/16}", "{cidr: 172.16.0.0/16}", vpc="shared"
)

BALANCED_WEST = """
apiVersion: cnlab.dev/v1
kind: LoadBalancer
metadata: {name: for-west}
spec: {subnet: nodes, class: dedicated}
---
apiVersion: v1
kind: Service
metadata:
  name: west
  annotations:
    cnlab.dev/cluster: west
    kubernetes.io/elb.class: performance
    kubernetes.io/elb.id: for-west
spec:
  type: LoadBalancer
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
"""


@scenario("topologies/two-clusters.yaml", models=("tunnel", "vpc", "eni"))
def two_clusters(lab: RunningLab, checks: Checks) -> None:
    """Two clusters in one VPC"""
    {"tunnel": tunnel, "vpc": vpc, "eni": eni}[lab.model](lab, checks)


def tunnel(lab: RunningLab, checks: Checks) -> None:
    east, west = lab.pod("web-east"), lab.pod("web-west")
    checks.dropped(36, "pod to a pod of the other cluster", east.http(west.address, ECHO))
    again = lab.document_with("Cluster", "west", SAME_RANGE), lab.document("Pod", "web-west")
    lab.delete("pod/web-west", "cluster/west")
    checks.equal(36, "the same container range in both is accepted", lab.refusal(*again), "")
    east, west = lab.pod("web-east"), lab.pod("web-west")
    ranges = {str(cluster.container_cidr) for cluster in lab.memory.lab.clusters}
    checks.equal(36, "both clusters use it", ranges, {"172.16.0.0/16"})
    lab.wait_ready()
    seen = east.http(west.address, ECHO)
    checks.that(36, "and that address is never the other cluster's pod", seen.server != west.name, "not web-west",
                seen.server or str(seen))  # fmt: skip
    lab.apply(BALANCED_WEST)
    seen = east.http(lab.host("for-west").address, 80)
    checks.allowed(36, "by the other cluster's load balancer it is reached", seen, server=west.name)


def vpc(lab: RunningLab, checks: Checks) -> None:
    east, west = lab.pod("web-east"), lab.pod("web-west")
    checks.dropped(37, "disjoint ranges, group closed", east.http(west.address, ECHO))
    lab.apply(OPEN_TO_EAST)
    seen = east.http(west.address, ECHO)
    checks.allowed(37, "after the node group lets the other's range in", seen, source=east.address, server=west.name)
    reason = lab.refusal(lab.document_with("Cluster", "west", SAME_RANGE))
    checks.that(37, "overlapping ranges are refused", "overlap" in reason, "refused: overlap", reason or "accepted")


def eni(lab: RunningLab, checks: Checks) -> None:
    """Pods of both have addresses of the VPC, and the ENI groups that clusters make let the VPC in."""
    east, west = lab.pod("web-east"), lab.pod("web-west")
    seen = east.http(west.address, ECHO)
    checks.allowed(0, "pod to a pod of the other cluster", seen, source=east.address, server=west.name)
    checks.allowed(0, "and back", west.http(east.address, ECHO), source=west.address, server=east.name)
    checks.allowed(0, "pod to a node of the other cluster", east.ping(lab.node("west-1").address))
