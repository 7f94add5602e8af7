"""Pods and their addresses: where they come from in each network model, which way packets go, and what runs out."""

from __future__ import annotations

from testbed.scenario import Capture, Checks, Frame, Host, RunningLab, scenario

ECHO = 8080

MORE_PODS = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}{annotations}}}
    spec:
      nodeName: {node}
      containers: [{{name: pause, image: pause}}]
"""

STATIC = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: fixed}}
spec:
  serviceName: fixed
  replicas: {replicas}
  selector: {{matchLabels: {{app: fixed}}}}
  template:
    metadata:
      labels: {{app: fixed}}
      annotations: {{yangtse.io/static-ip: "true", yangtse.io/static-ip-expire-duration: 5m}}
    spec:
      containers: [{{name: echo, image: echo, ports: [{{containerPort: 8080}}]}}]
"""

HOSTLY = """
apiVersion: v1
kind: Pod
metadata: {name: hostly-1}
spec:
  nodeName: n1
  hostNetwork: true
  containers: [{name: echo, image: echo, ports: [{containerPort: 9000}]}]
---
apiVersion: v1
kind: Pod
metadata: {name: hostly-2}
spec:
  nodeName: n1
  hostNetwork: true
  containers: [{name: echo, image: echo, ports: [{containerPort: 9000}]}]
"""

GROUPS = """
apiVersion: cnlab.dev/v1
kind: SecurityGroup
metadata: {name: silent}
spec: {vpc: demo, ingress: []}
---
apiVersion: cnlab.dev/v1
kind: SecurityGroup
metadata: {name: welcoming}
spec: {vpc: demo, ingress: [{}]}
---
apiVersion: crd.yangtse.cni/v1
kind: SecurityGroup
metadata: {name: for-guarded}
spec:
  podSelector: {matchLabels: {app: guarded}}
  securityGroups: [{id: welcoming}]
---
apiVersion: v1
kind: Pod
metadata:
  name: silent-0
  labels: {app: guarded}
  annotations: {yangtse.io/security-group-ids: silent}
spec:
  containers: [{name: echo, image: echo, ports: [{containerPort: 8080}]}]
---
apiVersion: v1
kind: Pod
metadata:
  name: welcoming-0
  labels: {app: guarded}
spec:
  containers: [{name: echo, image: echo, ports: [{containerPort: 8080}]}]
"""

SIX_GROUPS = """
apiVersion: v1
kind: Pod
metadata:
  name: six
  annotations: {yangtse.io/security-group-ids: "open,open,silent,welcoming,nodes-only,default,demo-cce-eni"}
spec:
  containers: [{name: echo, image: echo}]
"""


@scenario("topologies/peered.yaml")
def pod_network(lab: RunningLab, checks: Checks) -> None:
    """Pod to pod and where addresses come from"""
    pairs(lab, checks)
    host_network(lab, checks)
    {"tunnel": tunnel, "vpc": vpc, "eni": eni}[lab.model](lab, checks)


def pairs(lab: RunningLab, checks: Checks) -> None:
    """The same three connections in every model; what the wire shows differs."""
    client, neighbour = lab.pods("app=web", node="n1")[:2]
    distant = lab.pods("app=web", node="n2")[0]
    uplinks = ("n1/eth1", "n2/eth1") if lab.model == "eni" else ("n1/eth0", "n2/eth0")
    with lab.capture(*uplinks) as wire:
        seen = client.http(neighbour.address, ECHO)
    same, other = {"tunnel": (1, 2), "vpc": (10, 11), "eni": (15, 15)}[lab.model]
    checks.allowed(same, "pod to pod on one node", seen, source=client.address, server=neighbour.name)
    crossing = between(wire, client, neighbour)
    if lab.model == "eni":
        tags = sorted({frame.vlan for frame in crossing if frame.vlan is not None})
        checks.that(same, "through the fabric, on both sub-ENIs", len(tags) == 2, "two VLANs on n1/eth1",
                    f"VLANs {tags}", crossing[:4])  # fmt: skip
    else:
        checks.equal(same, "and nothing of it left the node", len(crossing), 0, crossing)
    with lab.capture(*uplinks) as wire:
        seen = client.http(distant.address, ECHO)
    checks.allowed(other, "pod to pod on another node", seen, source=client.address, server=distant.name)
    if lab.model == "tunnel":
        checks.that(other, "in VXLAN between the nodes", bool(wire.encapsulated), "UDP 4789",
                    f"{len(wire.encapsulated)} frames", wire.encapsulated[:1])  # fmt: skip
    else:
        plain = between(wire, client, distant)
        checks.that(other, "by the fabric, not encapsulated", bool(plain) and not wire.encapsulated, "plain IP",
                    f"{len(plain)} plain, {len(wire.encapsulated)} encapsulated", plain[:2])  # fmt: skip


def host_network(lab: RunningLab, checks: Checks) -> None:
    node, client = lab.node("n1"), lab.pods("app=web", node="n2")[0]
    nics = len(lab.nics("n1"))
    lab.apply(HOSTLY)
    hostly = lab.pod("hostly-1")
    checks.equal(20, "a hostNetwork pod has its node's address", hostly.address, node.address)
    checks.equal(20, "and takes no NIC", len(lab.nics("n1")), nics)
    lab.wait_ready()
    checks.allowed(20, "it answers there", client.http(node.address, 9000), server="hostly-1")
    reason = lab.pending().get("hostly-2", "it runs")
    checks.that(20, "a second one with its port stays Pending", "free ports" in reason, "no free port", reason)


def tunnel(lab: RunningLab, checks: Checks) -> None:
    first = {node.name: node.blocks for node in lab.memory.nodes}
    checks.that(4, "first pods of two nodes: two blocks", len({blocks[0] for blocks in first.values()}) == 2,
                "different /28", ", ".join(f"{name} {blocks[0]}" for name, blocks in first.items()))  # fmt: skip
    lab.apply(MORE_PODS.format(name="many", replicas=17, node="n1", annotations=""))
    blocks = next(node.blocks for node in lab.memory.nodes if node.name == "n1")
    late = [pod for pod in lab.pods("app=many") if pod.address in blocks[1]]
    checks.that(5, "more than 16 pods on a node: a second block", len(blocks) == 2 and bool(late), "2 blocks",
                ", ".join(map(str, blocks)))  # fmt: skip
    seen = lab.pods("app=web", node="n2")[0].ping(late[0].address)
    checks.allowed(5, "and a pod of the second block is reached from the other node", seen)


def vpc(lab: RunningLab, checks: Checks) -> None:
    client, distant = lab.pods("app=web", node="n1")[0], lab.pods("app=web", node="n2")[0]
    blocks = {node.name: str(node.blocks[0]) for node in lab.memory.nodes}
    checks.equal(7, "one block a node, in the order of joining", blocks,
                 {"n1": "172.16.0.0/25", "n2": "172.16.0.128/25"})  # fmt: skip
    checks.equal(7, "one route a node in every table of the VPC", lab.routes("demo-main", "172.16.0.0/16"),
                 {"172.16.0.0/25": "n1", "172.16.0.128/25": "n2"})  # fmt: skip
    lab.set_cluster("nodePools: [{name: node, names: [n1, n2, n3]}]")
    joined = lab.routes("demo-main", "172.16.0.0/16")
    checks.equal(8, "a third node brings its route", joined.get("172.16.1.0/25"), "n3")
    lab.set_cluster("nodePools: [{name: node, names: [n1, n2]}]")
    left = lab.routes("demo-main", "172.16.0.0/16")
    checks.equal(8, "and takes it away again, the others stay", left, {k: v for k, v in joined.items() if v != "n3"})
    checks.allowed(8, "the others go on", client.http(distant.address, ECHO), source=client.address)
    quota(lab, checks, client, distant)
    with lab.without_route("demo-main", "172.16.0.128/25"):
        checks.dropped(12, "a node's route deleted: its pods from elsewhere", client.http(distant.address, ECHO))
        here = lab.pods("app=web", node="n2")
        checks.allowed(12, "and among themselves on that node", here[0].http(here[1].address, ECHO))
    checks.allowed(12, "the route is back", client.http(distant.address, ECHO), source=client.address)


def quota(lab: RunningLab, checks: Checks, client: Host, distant: Host) -> None:
    lab.apply(lab.document_with("RouteTable", "demo-main", "quota: 3"))  # a peering and two nodes: full
    reason = lab.refusal(lab.document_with("Cluster", "demo", "nodePools: [{name: node, names: [n1, n2, n3]}]"))
    checks.that(9, "the node over the quota is refused", "has room for 2" in reason, "refused: room for 2", reason)
    checks.equal(9, "nothing of it was made", "n3" in lab.namespaces(), False)
    checks.allowed(9, "the older nodes go on", client.http(distant.address, ECHO), source=client.address)


def eni(lab: RunningLab, checks: Checks) -> None:
    pods = {pod.name: pod for pod in lab.memory.pods if not pod.host_network}
    in_subnet = all(str(pod.address).startswith("192.168.") and pod.nic for pod in pods.values())
    vlans = [(pod.node, pod.nic.vlan) for pod in pods.values() if pod.nic]
    shown = ", ".join(f"{name} {pod.address} vlan {pod.nic.vlan}" for name, pod in pods.items() if pod.nic)
    unique = len(set(vlans)) == len(vlans)
    checks.that(14, "pods have addresses of the pod subnet and a VLAN each", in_subnet and unique,
                "192.168.64.0/18, unique VLANs", shown)  # fmt: skip
    warm_pool(lab, checks)
    static_addresses(lab, checks)
    groups(lab, checks)


def warm_pool(lab: RunningLab, checks: Checks) -> None:
    lab.set_cluster("nodePools: [{name: node, names: [n1, n2, n3]}]")
    checks.equal(16, "an empty node has 10 NICs bound", len(lab.nics("n3")), 10)
    lab.apply(MORE_PODS.format(name="ten", replicas=10, node="n3", annotations=""))
    checks.equal(16, "with 10 pods it has 12", len(lab.nics("n3")), 12)
    gone = lab.pods("app=ten")[0].address
    lab.apply(MORE_PODS.format(name="ten", replicas=9, node="n3", annotations=""))
    before = {pod.address for pod in lab.pods("app=ten")}
    lab.apply(MORE_PODS.format(name="eleven", replicas=1, node="n3", annotations=""))
    reused = lab.pods("app=eleven")[0].address
    checks.that(17, "a deleted pod's NIC is free for the next one", reused not in before, "an idle NIC's address",
                f"{reused} (pods had {gone} and others)")  # fmt: skip
    lab.apply(MORE_PODS.format(name="filler", replicas=7, node="n3", annotations=""))
    pending = [reason for name, reason in lab.pending().items() if name.startswith("filler")]
    over = len(pending) == 1 and "quota 16" in pending[0]
    checks.that(18, "the flavour's 16 sub-ENIs are used up: the next pod waits", over,
                "1 pod Pending, quota 16", "; ".join(pending) or "none Pending")  # fmt: skip


def static_addresses(lab: RunningLab, checks: Checks) -> None:
    lab.apply(STATIC.format(replicas=1))
    mine = lab.pod("fixed-0").address
    lab.apply(STATIC.format(replicas=0))
    lab.apply(STATIC.format(replicas=1))
    lab.wait_ready()
    checks.equal(19, "a static address waits for its pod", lab.pod("fixed-0").address, mine)
    client = lab.pods("app=web")[0]
    checks.allowed(19, "and the pod answers there", client.http(mine, ECHO), source=client.address, server="fixed-0")


def groups(lab: RunningLab, checks: Checks) -> None:
    lab.apply(GROUPS)
    lab.wait_ready()
    silent, welcoming = lab.pod("silent-0"), lab.pod("welcoming-0")
    server, client = lab.host("vm-2"), lab.pods("app=web")[0]
    checks.dropped(38, "annotation names a group that lets nothing in: a VPC server", server.http(silent.address, ECHO))
    checks.dropped(38, "the cluster's default group no longer counts: a pod", client.http(silent.address, ECHO))
    seen = silent.http(server.address, ECHO)
    checks.allowed(38, "replies to its own connections come in", seen, source=silent.address)
    checks.allowed(39, "the policy's group alone", server.http(welcoming.address, ECHO), server=welcoming.name)
    checks.dropped(39, "annotation and policy: the annotation wins", server.http(silent.address, ECHO))
    reason = lab.refusal(SIX_GROUPS)
    checks.that(39, "a sixth group is refused", "at most 5" in reason, "at most 5", reason or "accepted")


def between(wire: Capture, one: Host, other: Host) -> list[Frame]:
    return list(wire.between(str(one.address), str(other.address)))
