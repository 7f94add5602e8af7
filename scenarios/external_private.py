"""From the VPC and a peered VPC to Services: node ports and load balancers by their private addresses."""

from __future__ import annotations

from ipaddress import IPv4Address

from scenarios.parts.documents import security_group
from testbed.scenario import Capture, Checks, Frame, Host, RunningLab, scenario

WEB = ("web-0", "web-1", "web-2")
DEDICATED_NODE_PORT, SHARED_NODE_PORT = 30082, 30083

LOCAL = """
apiVersion: v1
kind: Service
metadata:
  name: local-{name}
  annotations:
    kubernetes.io/elb.class: {elb_class}
    kubernetes.io/elb.id: elb-{name}
{more}
spec:
  type: LoadBalancer
  externalTrafficPolicy: {policy}
  selector: {{app: web}}
  ports: [{{port: {port}, targetPort: 8080}}]
{ranges}
"""

QUICK_CHECK = """    kubernetes.io/elb.health-check-option: '{"delay": "1", "timeout": "1", "max_retries": "2"}'"""
TRANSPARENT = '    kubernetes.io/elb.enable-transparent-client-ip: "true"'

DENY_CLIENTS = security_group("demo-cce-eni", "{cidr: 192.168.0.0/24}", "{cidr: 192.168.64.0/18}")


def balanced(name: str, elb_class: str, port: int, policy: str = "Local", more: str = "", ranges: str = "") -> str:
    return LOCAL.format(name=name, elb_class=elb_class, port=port, policy=policy, more=more, ranges=ranges)


@scenario("topologies/services.yaml")
def external_private(lab: RunningLab, checks: Checks) -> None:
    """Node ports and load balancers from the VPC and from a peered VPC"""
    server, peer = lab.host("vm-1"), lab.host("peer-vm")
    by_node_port(lab, checks, server, peer)
    by_dedicated(lab, checks, server, peer)
    by_shared(lab, checks, server)
    source_ranges(lab, checks, server, peer)
    if lab.model == "eni":
        past_the_security_group(lab, checks, server)
        own_balancer(lab, checks)
    else:
        local_policy(lab, checks, server)
        inside_to_balancer(lab, checks)
    balancer_down(lab, checks, server)


def by_node_port(lab: RunningLab, checks: Checks, server: Host, peer: Host) -> None:
    n3 = lab.node("n3")
    seen = server.http(n3.address, 30080)
    checks.allowed(44, "VPC server to NodePort by a node without the pod", seen, source=n3.address, server=WEB,
                   path="VPC server to NodePort")  # fmt: skip
    seen = peer.http(n3.address, 30080)
    checks.allowed(44, "peered VPC to NodePort", seen, source=n3.address, server=WEB, path="peered VPC to NodePort")


def by_dedicated(lab: RunningLab, checks: Checks, server: Host, peer: Host) -> None:
    address = lab.host("elb-dedicated").address
    if lab.model == "eni":
        straight_to_pods(lab, checks, server, address)
    else:
        by_every_node(lab, checks, server, address)
    seen = peer.http(address, 80)
    checks.allowed(50 if lab.model != "eni" else 53, "peered VPC to the dedicated balancer", seen, server=WEB,
                   path="peered VPC to ELB, dedicated")  # fmt: skip


def straight_to_pods(lab: RunningLab, checks: Checks, server: Host, address: IPv4Address) -> None:
    with lab.capture(*(f"{node}/{interface}" for node in lab.nodes() for interface in ("eth0", "eth1"))) as wire:
        seen = server.http(address, 80)
    checks.allowed(53, "dedicated balancer: straight to the pod, which sees the client", seen,
                   source=server.address, server=WEB, path="VPC server to ELB, dedicated")  # fmt: skip
    asked = opened_by(server, wire)
    targets = {(frame.destination, frame.destination_port) for frame in asked}
    checks.equal(53, "to its address and port", targets, {(str(lab.pod(seen.server).address), 8080)}, asked[:1])
    interfaces = {frame.place.partition("/")[2] for frame in asked}
    checks.equal(53, "by its node's carrier of sub-ENIs alone", interfaces, {"eth1"}, asked[:1])


def by_every_node(lab: RunningLab, checks: Checks, server: Host, address: IPv4Address) -> None:
    nodes = {str(node.address) for node in lab.nodes()}
    with lab.capture(*(f"{node}/eth0" for node in lab.nodes())) as wire:
        every = [server.http(address, 80) for _ in range(40)]
    checks.allowed(50, "dedicated balancer: by a node, whose address the pod sees", every[0], source=sorted(nodes),
                   server=WEB, path="VPC server to ELB, dedicated")  # fmt: skip
    sources = {seen.client for seen in every}
    checks.equal(50, "whichever node: one without a pod too", sorted(sources), sorted(nodes))
    asked = opened_by(server, wire)
    targets = {(frame.destination, frame.destination_port) for frame in asked}
    wanted = {(node, DEDICATED_NODE_PORT) for node in nodes}
    checks.equal(50, "at its node port", sorted(targets), sorted(wanted), asked[:1])


def opened_by(client: Host, wire: Capture) -> list[Frame]:
    """The first packets of its connections."""
    return wire.where(lambda frame: (frame.source, frame.info) == (str(client.address), "S"))


def by_shared(lab: RunningLab, checks: Checks, server: Host) -> None:
    nodes, address = sorted(str(node.address) for node in lab.nodes()), lab.host("elb-shared").address
    number = 54 if lab.model == "eni" else 50
    with lab.capture(*(f"{node}/eth0" for node in lab.nodes())) as wire:
        seen = server.http(address, 80)
    checks.allowed(number, "shared balancer: by a node, whose address the pod sees", seen, source=nodes, server=WEB,
                   path="VPC server to ELB, shared")  # fmt: skip
    asked = wire.where(lambda frame: frame.destination in nodes and frame.destination_port == SHARED_NODE_PORT)
    hidden = bool(asked) and all(frame.source.startswith("100.125.") for frame in asked)
    checks.that(number, "at its node port, as from 100.125.0.0/16", hidden, f"100.125.x.x > a node:{SHARED_NODE_PORT}",
                f"{len(asked)} frames", asked[:1])  # fmt: skip
    if lab.model == "eni":
        lab.apply(balanced("shared", "union", 81, "Cluster", more=TRANSPARENT))
        seen = server.http(address, 81)
        checks.allowed(54, "though it hands its client's address on", seen, source=nodes, server=WEB)


def local_policy(lab: RunningLab, checks: Checks, server: Host) -> None:
    dedicated, shared = lab.host("elb-dedicated").address, lab.host("elb-shared").address
    lab.apply(balanced("dedicated", "performance", 81))
    seen = server.http(dedicated, 81)
    checks.allowed(51, "dedicated, Local: the pod sees the client", seen, source=server.address, server=WEB)
    members = lab.members("elb-dedicated", 81)
    checks.equal(51, "only nodes with a pod are members", members, {"n1", "n2"})
    lab.apply(balanced("shared", "union", 81))
    seen = server.http(shared, 81)
    checks.that(52, "shared, Local, transfer off: the pod sees 100.125.x.x", seen.client.startswith("100.125."),
                "100.125.0.0/16", str(seen))  # fmt: skip
    lab.apply(balanced("shared", "union", 81, more=TRANSPARENT))
    seen = server.http(shared, 81)
    checks.allowed(52, "shared, Local, transfer on: the client", seen, source=server.address, server=WEB)


def source_ranges(lab: RunningLab, checks: Checks, server: Host, peer: Host) -> None:
    ranges = "  loadBalancerSourceRanges: [10.1.0.0/16]"
    lab.apply(balanced("dedicated", "performance", 82, "Cluster", ranges=ranges))
    dedicated = lab.host("elb-dedicated").address
    checks.allowed(66, "loadBalancerSourceRanges: a client that is listed", peer.http(dedicated, 82), server=WEB)
    checks.dropped(66, "and one that is not", server.http(dedicated, 82))
    checks.dropped(66, "nor is a pod, whoever serves it", lab.pod("client-3").http(dedicated, 82))
    lab.apply(balanced("shared", "union", 82, "Cluster", ranges=ranges))
    shared = lab.host("elb-shared").address
    checks.allowed(66, "by a shared balancer: one that is listed", peer.http(shared, 82), server=WEB)
    checks.dropped(66, "and one that is not", server.http(shared, 82))


def past_the_security_group(lab: RunningLab, checks: Checks, server: Host) -> None:
    lab.apply(DENY_CLIENTS)
    checks.dropped(55, "the pods' group keeps the client out", server.http(lab.pod("web-0").address, 8080))
    seen = server.http(lab.host("elb-dedicated").address, 80)
    checks.allowed(55, "by the dedicated balancer it still connects", seen, source=server.address, server=WEB)


def own_balancer(lab: RunningLab, checks: Checks) -> None:
    pod, address = lab.pod("web-0"), lab.host("elb-dedicated").address
    own, answered = dial_until_both(pod, address, 80)
    checks.that(56, "a backend that dials its balancer and is chosen waits in vain", own > 0, "some of them dropped",
                f"{own} dropped")  # fmt: skip
    checks.that(56, "other backends answer it", bool(answered) and "web-0" not in answered, "web-1, web-2",
                ", ".join(sorted(answered)))  # fmt: skip
    client, node = lab.pod("client-3"), lab.node("n3")
    before = lab.balancer_connections("elb-dedicated")
    checks.allowed(59, "a pod to the balancer", client.http(address, 80), server=WEB, path="pod to ELB")
    after = lab.balancer_connections("elb-dedicated")
    checks.that(59, "is served by the balancer", after > before, "counters rise", f"{before} -> {after}")
    checks.allowed(59, "a node to the balancer", node.http(address, 80), server=WEB)
    checks.equal(59, "is served on the node", lab.balancer_connections("elb-dedicated"), after)


def dial_until_both(client: Host, address: IPv4Address, port: int) -> tuple[int, set[str]]:
    """Connections by a balancer that has the client, or its node, among its members, until one was chosen and another
    was: how many were dropped, and who answered. The choice is by hash: 60 of one kind are not to be expected."""
    dropped, answered = 0, set[str]()
    for _ in range(60):
        seen = client.http(address, port, timeout=1.0)
        dropped += seen.verdict == "dropped"
        answered |= {seen.server} if seen.verdict == "allowed" else set()
        if dropped and answered:
            break
    return dropped, answered


def inside_to_balancer(lab: RunningLab, checks: Checks) -> None:
    client, address = lab.pod("client-3"), lab.host("elb-dedicated").address
    before = lab.balancer_connections("elb-dedicated")
    checks.allowed(57, "a pod to the balancer's address", client.http(address, 80), server=WEB, path="pod to ELB")
    after = lab.balancer_connections("elb-dedicated")
    checks.equal(57, "is served on its node: the balancer saw nothing", after, before)
    more = '    kubernetes.io/elb.pass-through: "true"'
    lab.apply(balanced("dedicated", "performance", 83, "Cluster", more=more))
    own, answered = dial_until_both(client, address, 83)
    checks.that(58, "with pass-through it goes to the balancer, and by other nodes to a pod",
                bool(answered) and answered <= set(WEB), ", ".join(WEB), ", ".join(sorted(answered)))  # fmt: skip
    checks.that(58, "but not when its own node is chosen", own > 0, "some of them dropped", f"{own} dropped")
    after = lab.balancer_connections("elb-dedicated")
    checks.that(58, "the balancer's counters rise", after > before, "more than before", f"{before} -> {after}")


def balancer_down(lab: RunningLab, checks: Checks, server: Host) -> None:
    """The balancer is cut off: it finds every member dead and forwards to none. Who doesn't need it goes on."""
    pod, node, address = lab.pod("client-3"), lab.node("n3"), lab.host("elb-dedicated").address
    lab.apply(balanced("dedicated", "performance", 84, "Cluster", more=QUICK_CHECK))
    checks.allowed(0, "a VPC server, while the balancer is up", server.http(address, 84), server=WEB)
    number = 59 if lab.model == "eni" else 57
    with lab.without_link("elb-dedicated"):
        lab.until_members("elb-dedicated", 84, set(), 20.0)
        checks.dropped(number, "the balancer is down: a VPC server", server.http(address, 84))
        checks.allowed(number, "a node, which serves itself", node.http(address, 84), server=WEB)
        if lab.model == "eni":
            checks.dropped(number, "a pod, which the balancer serves", pod.http(address, 84))
        else:
            checks.allowed(number, "a pod, which its node serves", pod.http(address, 84), server=WEB)
