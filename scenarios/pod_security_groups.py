"""Security groups of pods: annotation before policy before node pool before default, never their union."""

from __future__ import annotations

from scenarios.parts.documents import security_group
from testbed.scenario import Checks, Host, RunningLab, scenario

ECHO = 8080

SERVERS_IN, PEERS_IN, PODS_IN = "{cidr: 192.168.1.0/24}", "{cidr: 10.1.0.0/16}", "{cidr: 192.168.64.0/18}"

POOLS = "nodePools: [{{name: node, names: [n1, n2]}}, {{name: special, names: [n3], podSecurityGroups: [{group}]}}]"

POLICY = """
apiVersion: crd.yangtse.cni/v1
kind: SecurityGroup
metadata: {{name: by-label}}
spec:
  podSelector: {{matchLabels: {{app: chosen}}}}
  securityGroups: [{{id: {group}}}]
"""

POD = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: {app}}}, annotations: {{{annotations}}}}}
spec:
  nodeName: n3
  containers: [{{name: echo, image: echo, ports: [{{containerPort: 8080}}]}}]
"""
OWN, MORE = "yangtse.io/security-group-ids", "yangtse.io/additional-security-group-ids"


@scenario("topologies/peered.yaml", models=("eni",))
def pod_security_groups(lab: RunningLab, checks: Checks) -> None:
    """Security groups of pods"""
    lab.apply(
        security_group("servers-in", SERVERS_IN),
        security_group("peers-in", PEERS_IN),
        security_group("pods-in", PODS_IN),
        security_group("silent"),
    )
    reached(lab, checks, 23, "cluster's default group", lab.pod("web-0"), "vm-2", "web-1")
    priority(lab, checks)
    at_most_five(lab, checks)
    stateful(lab, checks)
    for_new_pods(lab, checks)
    for_running_pods(lab, checks)
    tightened(lab, checks)


def reached(lab: RunningLab, checks: Checks, number: int, title: str, pod: Host, *expected: str) -> None:
    """Which of a server of the VPC, a server of a peered VPC and another pod get to ``pod``."""
    for client in (lab.host("vm-2"), lab.host("peer-vm"), lab.pod("web-1")):
        seen = client.http(pod.address, ECHO)
        if client.name in expected:
            checks.allowed(number, f"{title}: {client}", seen, source=client.address, server=pod.name)
        else:
            checks.dropped(number, f"{title}: {client}", seen)


def priority(lab: RunningLab, checks: Checks) -> None:
    lab.set_cluster(POOLS.format(group="peers-in"))
    lab.apply(
        POLICY.format(group="servers-in"),
        POD.format(name="by-pool", app="any", annotations=""),
        POD.format(name="by-policy", app="chosen", annotations=""),
        POD.format(name="by-annotation", app="chosen", annotations=f"{OWN}: pods-in"),
        POD.format(name="with-more", app="any", annotations=f"{MORE}: servers-in"),
    )
    lab.wait_ready()
    reached(lab, checks, 39, "node pool's group", lab.pod("by-pool"), "peer-vm")
    reached(lab, checks, 39, "policy's, before the node pool's", lab.pod("by-policy"), "vm-2")
    reached(lab, checks, 39, "annotation's, before the policy's", lab.pod("by-annotation"), "web-1")
    reached(lab, checks, 39, "node pool's and an additional one", lab.pod("with-more"), "peer-vm", "vm-2")


def at_most_five(lab: RunningLab, checks: Checks) -> None:
    five = '"open,silent,nodes-only,servers-in,peers-in"'
    reason = lab.refusal(POD.format(name="five", app="any", annotations=f"{OWN}: {five}"))
    checks.equal(39, "five groups are accepted", reason, "")
    reason = lab.refusal(POD.format(name="six", app="any", annotations=f"{OWN}: {five}, {MORE}: pods-in"))
    checks.that(39, "a sixth is refused", "at most 5" in reason, "at most 5", reason or "accepted")
    checks.equal(39, "and nothing of that pod is made", "six" in lab.namespaces(), False)


def stateful(lab: RunningLab, checks: Checks) -> None:
    lab.apply(POD.format(name="silent-0", app="any", annotations=f"{OWN}: silent"))
    lab.wait_ready()
    pod, neighbour, server = lab.pod("silent-0"), lab.pod("with-more"), lab.host("vm-2")
    reached(lab, checks, 38, "a group that lets nothing in", pod)
    checks.dropped(15, "pod to pod on one node, the group lets nobody in", neighbour.http(pod.address, ECHO))
    open_pod = lab.pod("by-annotation")
    seen = neighbour.http(open_pod.address, ECHO)
    checks.allowed(15, "pod to pod on one node, the group lets pods in", seen, source=neighbour.address,
                   server=open_pod.name)  # fmt: skip
    seen = pod.http(server.address, ECHO)
    checks.allowed(38, "replies to its own connections come in", seen, source=pod.address)


def for_new_pods(lab: RunningLab, checks: Checks) -> None:
    """A node pool's groups are given to pods that start, as annotations are."""
    peer, running = lab.host("peer-vm"), lab.pod("by-pool")
    with peer.connection(running.address, ECHO) as inbound:
        lab.set_cluster(POOLS.format(group="silent"))
        checks.that(39, "node pool changed: a running pod's connection", inbound.alive(), "alive", inbound.state)
    checks.allowed(39, "and a new one to it", peer.http(running.address, ECHO), server=running.name)
    lab.apply(POD.format(name="late", app="any", annotations=""))
    lab.wait_ready()
    checks.dropped(39, "but a new pod has the new group", peer.http(lab.pod("late").address, ECHO))


def for_running_pods(lab: RunningLab, checks: Checks) -> None:
    server, peer, pod = lab.host("vm-2"), lab.host("peer-vm"), lab.pod("by-policy")
    with server.connection(pod.address, ECHO) as inbound, pod.connection(server.address, ECHO) as outbound:
        checks.that(39, "a connection that the policy lets in", inbound.alive(), "alive", inbound.state)
        lab.apply(POLICY.format(group="peers-in"))
        checks.that(39, "policy changed: a connection that it no longer lets in", not inbound.alive(), "cut",
                    inbound.state)  # fmt: skip
        checks.that(39, "the pod's own connection", outbound.alive(), "alive", outbound.state)
    checks.allowed(39, "whom the policy lets in now", peer.http(pod.address, ECHO), server=pod.name)


def tightened(lab: RunningLab, checks: Checks) -> None:
    client, pod, server = lab.pod("web-1"), lab.pod("by-annotation"), lab.host("vm-2")
    with client.connection(pod.address, ECHO) as inbound, pod.connection(server.address, ECHO) as outbound:
        checks.that(40, "a pod's inbound connection", inbound.alive(), "alive", inbound.state)
        lab.apply(security_group("pods-in"))
        checks.that(40, "the rule that let it in is taken away", not inbound.alive(), "cut", inbound.state)
        checks.that(40, "its outbound one", outbound.alive(), "alive", outbound.state)
