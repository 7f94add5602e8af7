"""From the VPC and a peered VPC to Services: node ports and load balancers by their private addresses."""

from __future__ import annotations

from ipaddress import IPv4Address

from testbed.scenario import Checks, Host, RunningLab, scenario

WEB = ("web-0", "web-1", "web-2")

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

TRANSPARENT = '    kubernetes.io/elb.enable-transparent-client-ip: "true"'

DENY_CLIENTS = """
apiVersion: cnlab.dev/v1
kind: SecurityGroup
metadata: {name: demo-cce-eni}
spec:
  vpc: demo
  ingress:
  - {cidr: 192.168.0.0/24}
  - {cidr: 192.168.64.0/18}
"""


def balanced(name: str, elb_class: str, port: int, policy: str = "Local", more: str = "", ranges: str = "") -> str:
    return LOCAL.format(name=name, elb_class=elb_class, port=port, policy=policy, more=more, ranges=ranges)


@scenario("topologies/services.yaml")
def external_private(lab: RunningLab, checks: Checks) -> None:
    """Node ports and load balancers from the VPC and from a peered VPC"""
    server, peer = lab.host("vm-1"), lab.host("peer-vm")
    by_node_port(lab, checks, server, peer)
    by_balancer(lab, checks, server, peer)
    source_ranges(lab, checks, server, peer)
    if lab.model == "eni":
        past_the_security_group(lab, checks, server)
        own_balancer(lab, checks)
    else:
        local_policy(lab, checks, server)
        inside_to_balancer(lab, checks)


def by_node_port(lab: RunningLab, checks: Checks, server: Host, peer: Host) -> None:
    n3 = lab.node("n3")
    seen = server.http(n3.address, 30080)
    checks.allowed(44, "VPC server to NodePort by a node without the pod", seen, source=n3.address, server=WEB,
                   path="VPC server to NodePort")  # fmt: skip
    seen = peer.http(n3.address, 30080)
    checks.allowed(44, "peered VPC to NodePort", seen, source=n3.address, server=WEB, path="peered VPC to NodePort")


def by_balancer(lab: RunningLab, checks: Checks, server: Host, peer: Host) -> None:
    nodes = [str(node.address) for node in lab.nodes()]
    dedicated, shared = lab.host("elb-dedicated").address, lab.host("elb-shared").address
    seen = server.http(dedicated, 80)
    if lab.model == "eni":
        with lab.capture("n1/eth0", "n2/eth0", "n3/eth0") as wire:
            seen = server.http(dedicated, 80)
        checks.allowed(53, "dedicated balancer: straight to the pod, which sees the client", seen,
                       source=server.address, server=WEB, path="VPC server to ELB, dedicated")  # fmt: skip
        checks.equal(53, "by no node's own interface", len(wire.between(str(server.address), str(dedicated))), 0)
    else:
        checks.allowed(50, "dedicated balancer: by a node, whose address the pod sees", seen, server=WEB,
                       path="VPC server to ELB, dedicated")  # fmt: skip
        checks.that(50, "the source is a node", seen.client in nodes, "a node's address", seen.client)
    seen = server.http(shared, 80)
    number = 54 if lab.model == "eni" else 50
    checks.allowed(number, "shared balancer: by a node", seen, server=WEB, path="VPC server to ELB, shared")
    checks.that(number, "the source is a node", seen.client in nodes, "a node's address", seen.client)
    seen = peer.http(dedicated, 80)
    checks.allowed(50 if lab.model != "eni" else 53, "peered VPC to the dedicated balancer", seen, server=WEB,
                   path="peered VPC to ELB, dedicated")  # fmt: skip


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
