"""What a load balancer does with its members: algorithms, stickiness, dead members, who passes through to it."""

from __future__ import annotations

from collections import Counter

from testbed.scenario import Checks, Host, RunningLab, scenario

SERVICE = """
apiVersion: v1
kind: Service
metadata:
  name: balancing-{port}
  annotations:
    kubernetes.io/elb.class: performance
    kubernetes.io/elb.id: elb-dedicated
    {annotations}
spec:
  type: LoadBalancer
  externalTrafficPolicy: {policy}
  selector: {{app: web}}
  ports: [{{port: {port}, targetPort: 8080}}]
"""

UDP = """
apiVersion: v1
kind: Service
metadata:
  name: udp-{name}
  annotations:
    kubernetes.io/elb.class: {elb_class}
    kubernetes.io/elb.id: {name}
spec:
  type: LoadBalancer
  selector: {{app: web}}
  ports: [{{port: 53, protocol: UDP, targetPort: dns}}]
"""

STICKY = """kubernetes.io/elb.session-affinity-mode: SOURCE_IP
    kubernetes.io/elb.session-affinity-option: '{"persistence_timeout": "30"}'"""

QUICK_CHECK = """kubernetes.io/elb.health-check-option: '{"delay": "1", "timeout": "1", "max_retries": "2"}'"""
WINDOW = 2 * 1 + 1 * 1
"""Seconds until a dead member is out: timeout x retries + delay x (retries - 1)."""

DEAF = "add table ip deaf; add chain ip deaf in { type filter hook input priority 0; policy drop; }"


@scenario("topologies/services.yaml")
def balancing(lab: RunningLab, checks: Checks) -> None:
    """Load balancers and their members"""
    server = lab.host("vm-1")
    algorithms(lab, checks, server)
    datagrams(lab, checks, server)
    dead_member(lab, checks, server)
    if lab.model != "eni":
        passes_through(lab, checks)


def balanced(lab: RunningLab, port: int, annotations: str, policy: str = "Cluster") -> str:
    """A Service on the dedicated balancer; returns the balancer's address."""
    lab.apply(SERVICE.format(port=port, annotations=annotations, policy=policy))
    return str(lab.host("elb-dedicated").address)


def algorithms(lab: RunningLab, checks: Checks, server: Host) -> None:
    robin = chosen(lab, server, 90, "kubernetes.io/elb.lb-algorithm: ROUND_ROBIN")
    fair = len(robin) == 3 and all(10 <= count <= 55 for count in robin.values())
    checks.that(0, "ROUND_ROBIN: 90 connections over 3 members", fair, "10 to 55 each", told(robin))
    least = chosen(lab, server, 91, "kubernetes.io/elb.lb-algorithm: LEAST_CONNECTIONS")
    checks.that(0, "LEAST_CONNECTIONS: every member is used", len(least) == 3, "3 members", told(least))
    source = chosen(lab, server, 92, "kubernetes.io/elb.lb-algorithm: SOURCE_IP", 20)
    checks.that(0, "SOURCE_IP: one client, one member", len(source) == 1, "1 member", told(source))
    sticky = chosen(lab, server, 93, STICKY, 20)
    checks.that(0, "sticky: one client, one member", len(sticky) == 1, "1 member", told(sticky))


def chosen(lab: RunningLab, client: Host, port: int, annotations: str, connections: int = 90) -> Counter[str]:
    """How often each member was chosen: pods in ``eni``, else nodes, whose address the pod sees."""
    address = balanced(lab, port, annotations)
    seen = [client.http(address, port) for _ in range(connections)]
    return Counter(one.server if lab.model == "eni" else one.client for one in seen)


def told(counts: Counter[str]) -> str:
    return ", ".join(f"{name or 'nobody'} {count}" for name, count in sorted(counts.items()))


def datagrams(lab: RunningLab, checks: Checks, server: Host) -> None:
    nodes = [str(node.address) for node in lab.nodes()]
    for name, elb_class in (("elb-dedicated", "performance"), ("elb-shared", "union")):
        lab.apply(UDP.format(name=name, elb_class=elb_class))
        seen = server.udp(lab.host(name).address, 53)
        direct = lab.model == "eni" and elb_class == "performance"
        wanted = [str(server.address)] if direct else nodes
        checks.allowed(0, f"UDP by {name}", seen, server=("web-0", "web-1", "web-2"))
        checks.that(0, "is seen as from", seen.client in wanted, " or ".join(wanted), seen.client)


def dead_member(lab: RunningLab, checks: Checks, server: Host) -> None:
    """A node that is cut off, in ``eni`` a pod that does not answer: out within the window, and back again."""
    address = balanced(lab, 94, QUICK_CHECK, "Cluster" if lab.model == "eni" else "Local")
    every = lab.members("elb-dedicated", 94)
    dead, cut, mend = patient(lab)
    lab.run(dead, *cut)
    lab.until_members("elb-dedicated", 94, every - {dead.name}, WINDOW + 10)
    seen = [server.http(address, 94) for _ in range(20)]
    answered = sum(one.verdict == "allowed" for one in seen)
    checks.equal(0, "a dead member leaves within its window: of 20 connections are answered", answered, 20)
    lab.run(dead, *mend)
    lab.until_members("elb-dedicated", 94, every, WINDOW + 10)
    counts = Counter(server.http(address, 94).server for _ in range(90))
    there = {pod.name for pod in lab.pods("app=web") if dead.name in (pod.name, pod.node)}
    checks.that(0, "alive again, it is chosen again", bool(there & set(counts)), " or ".join(sorted(there)),
                told(counts))  # fmt: skip


def patient(lab: RunningLab) -> tuple[Host, list[str], list[str]]:
    """The member that dies, and the commands in its namespace that make it and mend it."""
    if lab.model == "eni":
        return lab.pod("web-0"), ["nft", DEAF], ["nft", "delete table ip deaf"]
    cut, mend = (["ip", "link", "set", "eth0", state] for state in ("down", "up"))
    return lab.node("n2"), cut, mend


def passes_through(lab: RunningLab, checks: Checks) -> None:
    """Standard clusters: kube-proxy answers for the balancer, unless the annotation or policy Local says otherwise."""
    client = lab.pod("client-3")
    ways = (("", "Cluster", False), ('"true"', "Cluster", True), ("onlyLocal", "Cluster", True), ("", "Local", True))
    for number, (value, policy, passes) in enumerate(ways):
        annotation = f"kubernetes.io/elb.pass-through: {value}" if value else ""
        address = balanced(lab, 95 + number, annotation, policy)
        before = lab.balancer_connections("elb-dedicated")
        client.http(address, 95 + number)
        rose = lab.balancer_connections("elb-dedicated") > before
        title = f"pass-through {value or 'not given'}, policy {policy}: the balancer's counters"
        checks.equal(58 if passes else 57, title, "rise" if rose else "stay", "rise" if passes else "stay")
