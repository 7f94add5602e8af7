"""Pods and their addresses: where they come from in each network model, which way packets go, and what runs out."""

from __future__ import annotations

from ipaddress import IPv4Network

from scenarios.parts.addresses import first_blocks, host_network, second_block
from scenarios.parts.documents import pausing
from testbed.scenario import Capture, Checks, Frame, Host, RunningLab, Verdict, scenario, until

ECHO = 8080

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
      annotations: {{yangtse.io/static-ip: "true", yangtse.io/static-ip-expire-duration: {expiry}s}}
    spec:
      nodeName: n3
      containers: [{{name: echo, image: echo, ports: [{{containerPort: 8080}}]}}]
"""
EXPIRY = 20
"""Seconds for which a static address is kept; the default is five minutes."""

CUSTOM_TABLE = """
apiVersion: cnlab.dev/v1
kind: RouteTable
metadata: {{name: servers-only}}
spec: {{vpc: demo, deletedNodeRoutes: [{deleted}]}}
---
apiVersion: cnlab.dev/v1
kind: Subnet
metadata: {{name: servers}}
spec: {{vpc: demo, cidr: 192.168.1.0/24, routeTable: servers-only}}
"""


@scenario("topologies/peered.yaml")
def pod_network(lab: RunningLab, checks: Checks) -> None:
    """Pod to pod and where addresses come from"""
    pairs(lab, checks)
    host_network(lab, checks, lab.pods("app=web", node="n2")[0], lab.node("n1"))
    {"tunnel": tunnel, "vpc": vpc, "eni": eni}[lab.model](lab, checks)


def pairs(lab: RunningLab, checks: Checks) -> None:
    """The same three connections in every model; what the wire shows differs."""
    client, neighbour = lab.pods("app=web", node="n1")[:2]
    distant = lab.pods("app=web", node="n2")[0]
    uplinks = ("n1/eth1", "n2/eth1") if lab.model == "eni" else ("n1/eth0", "n2/eth0")
    with lab.capture(*uplinks) as wire:
        seen = client.http(neighbour.address, ECHO)
    same, other = {"tunnel": (1, 2), "vpc": (10, 11), "eni": (15, 15)}[lab.model]
    checks.allowed(same, "pod to pod on one node", seen, source=client.address, server=neighbour.name,
                   path="pod to pod on one node")  # fmt: skip
    crossing = between(wire, client, neighbour)
    if lab.model == "eni":
        tags = [frame.vlan for frame in crossing if (frame.source, frame.info) == (str(client.address), "S")]
        checks.equal(same, "to the fabric by one's sub-ENI and back by the other's", tags,
                     [vlan_of(lab, client), vlan_of(lab, neighbour)], crossing[:2])  # fmt: skip
    else:
        checks.equal(same, "and nothing of it left the node", len(crossing), 0, crossing)
    with lab.capture(*uplinks) as wire:
        seen = client.http(distant.address, ECHO)
    checks.allowed(other, "pod to pod on another node", seen, source=client.address, server=distant.name,
                   path="pod to pod on another node")  # fmt: skip
    crossing = between(wire, client, distant)
    tunnelled = [frame for frame in crossing if frame.inner is not None]
    if lab.model == "tunnel":
        nodes = {str(lab.node(name).address) for name in ("n1", "n2")}
        outer = all({frame.source, frame.destination} == nodes for frame in tunnelled)
        checks.that(other, "in VXLAN between the nodes, all of it", bool(crossing) and tunnelled == crossing and outer,
                    "UDP 4789", f"{len(tunnelled)} of {len(crossing)} frames", tunnelled[:1])  # fmt: skip
    else:
        checks.that(other, "by the fabric, not encapsulated", bool(crossing) and not tunnelled, "plain IP",
                    f"{len(crossing) - len(tunnelled)} plain, {len(tunnelled)} encapsulated", crossing[:2])  # fmt: skip
    if lab.model == "vpc":
        hops = [frame.ttl for frame in crossing if (frame.source, frame.info) == (str(client.address), "S")]
        checks.that(other, "the VPC's router is a hop", len(hops) == 2 and hops[0] == hops[1] + 1,
                    "a time to live less at the other node", " > ".join(map(str, hops)))  # fmt: skip


def vlan_of(lab: RunningLab, pod: Host) -> int | None:
    return next(nic.vlan for nic in lab.nics(pod.node) if nic.address == pod.address)


def tunnel(lab: RunningLab, checks: Checks) -> None:
    first_blocks(lab, checks, lab.pod("web-3"))
    second_block(lab, checks, lab.pods("app=web", node="n2")[0])


def vpc(lab: RunningLab, checks: Checks) -> None:
    client, distant = lab.pods("app=web", node="n1")[0], lab.pods("app=web", node="n2")[0]
    blocks = {node.name: str(node.blocks[0]) for node in lab.memory.nodes}
    checks.equal(7, "one block a node, in the order of joining", blocks,
                 {"n1": "172.16.0.0/25", "n2": "172.16.0.128/25"})  # fmt: skip
    checks.equal(7, "one route a node in every table of the VPC", lab.routes("demo-main", "172.16.0.0/16"),
                 {"172.16.0.0/25": "n1", "172.16.0.128/25": "n2"})  # fmt: skip
    custom_table(lab, checks, client)
    lab.set_cluster("nodePools: [{name: node, names: [n1, n2, n3]}]")
    joined = lab.routes("demo-main", "172.16.0.0/16")
    checks.equal(8, "a third node brings its route", joined.get("172.16.1.0/25"), "n3")
    scale(lab, "third", 1)
    (there,) = lab.pods("app=third")
    checks.allowed(8, "by which its pods are reached", client.ping(there.address))
    lab.delete("deployment/third")
    lab.set_cluster("nodePools: [{name: node, names: [n1, n2]}]")
    with lab.capture("n1/eth0", "n2/eth0") as wire:
        checks.dropped(8, "the node is gone: packets to its block", client.ping(there.address))
    got = wire.where(lambda frame: frame.destination == str(there.address) and frame.place == "n2/eth0")
    checks.equal(8, "which no other node gets", len(got), 0, got)
    left = lab.routes("demo-main", "172.16.0.0/16")
    checks.equal(8, "and takes it away again, the others stay", left, {k: v for k, v in joined.items() if v != "n3"})
    checks.allowed(8, "the others go on", client.http(distant.address, ECHO), source=client.address)
    quota(lab, checks, client, distant)
    with lab.changed("RouteTable", "demo-main", "deletedNodeRoutes: [172.16.0.128/25]"):
        checks.dropped(12, "a node's route deleted: its pods from elsewhere", client.http(distant.address, ECHO))
        here = lab.pods("app=web", node="n2")
        checks.allowed(12, "and among themselves on that node", here[0].http(here[1].address, ECHO))
    checks.allowed(12, "the route is back", client.http(distant.address, ECHO), source=client.address)


def custom_table(lab: RunningLab, checks: Checks, pod: Host) -> None:
    """A table of the servers' subnet has the nodes' routes too, and packets of that subnet go by it."""
    lab.apply(CUSTOM_TABLE.format(deleted=""))
    checks.equal(7, "in a custom table too", lab.routes("servers-only", "172.16.0.0/16"),
                 {"172.16.0.0/25": "n1", "172.16.0.128/25": "n2"})  # fmt: skip
    server = lab.host("vm-2")
    checks.allowed(7, "a server that uses it reaches a pod", server.http(pod.address, ECHO), source=server.address)
    lab.apply(CUSTOM_TABLE.format(deleted="172.16.0.0/25"))
    checks.dropped(7, "not without the route in that table", server.http(pod.address, ECHO))
    node = lab.node("n2")
    checks.allowed(7, "which others do not use", node.http(pod.address, ECHO), source=node.address)
    lab.apply(CUSTOM_TABLE.format(deleted=""))


def quota(lab: RunningLab, checks: Checks, client: Host, distant: Host) -> None:
    lab.apply(lab.document_with("RouteTable", "demo-main", "quota: 3"))  # a peering and two nodes: full
    reason = lab.refusal(lab.document_with("Cluster", "demo", "nodePools: [{name: node, names: [n1, n2, n3]}]"))
    checks.that(9, "the node over the quota is refused", "has room for 2" in reason, "refused: room for 2", reason)
    checks.equal(9, "nothing of it was made", "n3" in lab.namespaces(), False)
    checks.allowed(9, "the older nodes go on", client.http(distant.address, ECHO), source=client.address)


def eni(lab: RunningLab, checks: Checks) -> None:
    pods = {pod.name: pod for pod in lab.memory.pods if not pod.host_network}
    subnet = IPv4Network("192.168.64.0/18")
    in_subnet = all(pod.address in subnet and pod.nic and pod.nic.vlan in range(1, 4095) for pod in pods.values())
    vlans = [(pod.node, pod.nic.vlan) for pod in pods.values() if pod.nic]
    shown = ", ".join(f"{name} {pod.address} vlan {pod.nic.vlan}" for name, pod in pods.items() if pod.nic)
    unique = len(set(vlans)) == len(vlans)
    checks.that(14, "pods have addresses of the pod subnet and a VLAN each", in_subnet and unique,
                "192.168.64.0/18, unique VLANs", shown)  # fmt: skip
    warm_pool(lab, checks)
    static_addresses(lab, checks)


def warm_pool(lab: RunningLab, checks: Checks) -> None:
    lab.set_cluster("nodePools: [{name: node, names: [n1, n2, n3]}]")
    checks.equal(16, "an empty node has 10 NICs bound", len(lab.nics("n3")), 10)
    scale(lab, "ten", 10)
    checks.equal(16, "with 10 pods it has 12", len(lab.nics("n3")), 12)
    pinged = [lab.pods("app=web")[0].ping(pod.address).verdict for pod in lab.pods("app=ten")]
    checks.equal(16, "and all ten answer", pinged.count(Verdict.ALLOWED), 10)
    scale(lab, "ten", 9)
    idle = {nic.address for nic in lab.nics("n3") if not nic.pod}
    scale(lab, "eleven", 1)
    reused = lab.pods("app=eleven")[0].address
    checks.that(17, "a new pod takes a NIC that is bound already", reused in idle, f"one of {len(idle)} idle ones",
                str(reused), sorted(idle))  # fmt: skip
    scale(lab, "filler", 7)
    pending = [reason for name, reason in lab.pending().items() if name.startswith("filler")]
    over = len(pending) == 1 and "quota 16" in pending[0]
    checks.that(18, "the flavour's 16 sub-ENIs are used up: the next pod waits", over,
                "1 pod Pending, quota 16", "; ".join(pending) or "none Pending")  # fmt: skip
    before = {pod.address for pod in lab.pods("app=ten")}
    scale(lab, "ten", 8)
    (freed,) = before - {pod.address for pod in lab.pods("app=ten")}
    holder = next((pod.name for pod in lab.pods("app=filler") if pod.address == freed), "nobody")
    checks.that(17, "a pod is deleted: the waiting one has its NIC at once", holder != "nobody", "a filler pod", holder)
    checks.allowed(17, "and answers at that address", lab.pods("app=web")[0].ping(freed))


def scale(lab: RunningLab, name: str, replicas: int) -> None:
    lab.apply(pausing(name, replicas, "n3"))


def static_addresses(lab: RunningLab, checks: Checks) -> None:
    """On the full node: the one NIC that is free there is a static address, which nobody else gets for a while."""
    scale(lab, "ten", 7)
    lab.apply(STATIC.format(replicas=1, expiry=EXPIRY))
    mine = lab.pod("fixed-0").address
    lab.apply(STATIC.format(replicas=0, expiry=EXPIRY))
    scale(lab, "late", 1)
    reason = "; ".join(why for name, why in lab.pending().items() if name.startswith("late"))
    checks.that(19, "a static address waits for its pod: another one gets no NIC", "quota 16" in reason, "Pending",
                reason or "it runs")  # fmt: skip
    scale(lab, "late", 0)
    lab.apply(STATIC.format(replicas=1, expiry=EXPIRY))
    lab.wait_ready()
    checks.equal(19, "the pod comes back to it", lab.pod("fixed-0").address, mine)
    client = lab.pods("app=web")[0]
    checks.allowed(19, "and answers there", client.http(mine, ECHO), source=client.address, server="fixed-0")
    lab.apply(STATIC.format(replicas=0, expiry=EXPIRY))
    until(lambda: late_pods(lab), EXPIRY + 20, "the static address to expire")
    late = lab.pods("app=late")[0]
    checks.equal(19, f"{EXPIRY} s after the pod is gone another one has it", late.address, mine)
    checks.allowed(19, "and answers there", client.ping(mine))
    cooling(lab, checks)


def cooling(lab: RunningLab, checks: Checks) -> None:
    bound = len(lab.nics("n3"))
    lab.delete("deployment/ten", "deployment/filler")
    idle = [nic for nic in lab.nics("n3") if not nic.pod]
    checks.that(17, "more NICs are idle than the pool wants: bound until they have cooled down",
                len(lab.nics("n3")) == bound and len(idle) > 4, f"{bound} NICs, more than 4 idle",
                f"{len(lab.nics('n3'))} NICs, {len(idle)} idle")  # fmt: skip
    lab.set_cluster("warmPool: {nicCooldownSeconds: 1}")
    left = lab.until(lambda: nics_again(lab, fewer_than=bound), 20.0, "idle NICs to be given back")
    checks.equal(17, "cooled down they are given back, but for the ten that are always bound", left, 10)
    answer = lab.pods("app=web")[0].ping(lab.pods("app=late")[0].address)
    checks.allowed(17, "pods keep theirs", answer)


def nics_again(lab: RunningLab, fewer_than: int) -> int:
    """How many NICs n3 has by now, 0 while that is not less."""
    lab.again()
    count = len(lab.nics("n3"))
    return count if count < fewer_than else 0


def late_pods(lab: RunningLab) -> list[Host]:
    scale(lab, "late", 1)
    return lab.pods("app=late")


def between(wire: Capture, one: Host, other: Host) -> list[Frame]:
    """Frames between the two, in a tunnel too."""
    ends = {str(one.address), str(other.address)}
    return wire.where(lambda frame: any({level.source, level.destination} == ends for level in frame.flattened))
