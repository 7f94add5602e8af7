"""Out to the internet: by a node's elastic IP, a pod's own, or a NAT gateway, and what does not lead out."""

from __future__ import annotations

from scenarios.parts.documents import elastic_ip, security_group
from testbed.scenario import Checks, Host, RunningLab, scenario

ECHO = 8080
BY_NODE, BY_NAT = "pod to internet, its node has an EIP", "pod to internet, SNAT for the node subnet"
BY_POD_NAT = "pod to internet, SNAT for the pod subnet"
NODE_EIP, POD_EIP, NAT_EIP = "198.51.100.11", "198.51.100.12", "198.51.100.13"
GATE_EIP, NAMED_EIP, ELB_EIP = "198.51.100.14", "198.51.100.15", "198.51.100.16"

NAT_GATEWAY = """
apiVersion: cnlab.dev/v1
kind: NatGateway
metadata: {{name: nat}}
spec: {{subnet: nodes, snatRules: [{rules}]}}
"""

LET_IN = security_group("demo-cce-eni", "{cidr: 192.168.0.0/16}", "{protocol: tcp, ports: 8080, cidr: 203.0.113.0/24}")

GATE = """
apiVersion: cnlab.dev/v1
kind: Server
metadata: {name: gate}
spec: {subnet: servers, securityGroups: [open], sourceDestCheck: false}
"""
TRANSLATE = (
    "table ip gate { chain out { type nat hook postrouting priority 100; ip daddr 203.0.113.0/24 masquerade; }; }"
)

DEFAULT_ROUTE = """routes:
- {destination: 10.1.0.0/16, nextHop: {peering: demo-peer}}
- {destination: 0.0.0.0/0, nextHop: {server: gate}}
"""

ANNOTATED = """
apiVersion: v1
kind: Pod
metadata: {name: asking, annotations: {yangtse.io/pod-with-eip: "true"}}
spec:
  containers: [{name: echo, image: echo, ports: [{containerPort: 8080}]}]
---
apiVersion: v1
kind: Pod
metadata: {name: naming, annotations: {yangtse.io/pod-with-eip: "true", yangtse.io/eip-id: named}}
spec:
  containers: [{name: echo, image: echo, ports: [{containerPort: 8080}]}]
"""

BALANCED = """
apiVersion: cnlab.dev/v1
kind: LoadBalancer
metadata: {name: elb}
spec: {subnet: servers, class: dedicated}
---
apiVersion: v1
kind: Service
metadata:
  name: web
  annotations: {kubernetes.io/elb.class: performance, kubernetes.io/elb.id: elb}
spec:
  type: LoadBalancer
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
"""


def nat_gateway(*subnets: str) -> str:
    """With an SNAT rule for each of ``subnets``, all by one elastic IP, ``for-nat``."""
    return NAT_GATEWAY.format(rules=", ".join(f"{{subnet: {subnet}, eip: for-nat}}" for subnet in subnets))


@scenario("topologies/peered.yaml")
def egress(lab: RunningLab, checks: Checks) -> None:
    """Egress three ways: node EIP, pod EIP, NAT gateway"""
    pod, inet = lab.pod("web-0"), lab.host("inet")
    seen = pod.http(inet.address, ECHO)
    checks.dropped(0, "pod to the internet, nothing set up", seen, path="pod to internet, nothing set up")
    checks.dropped(0, "node to the internet, nothing set up", lab.node("n1").http(inet.address, ECHO))
    server = lab.host("vm-2")
    checks.dropped(0, "server to the internet, nothing set up", server.http(inet.address, ECHO))
    checks.dropped(0, "internet to a server's private address", inet.http(server.address, ECHO))
    by_node_eip(lab, checks, pod, inet)
    by_nat_gateway(lab, checks, pod, inet)
    by_dnat_rule(lab, checks, inet)
    eip_before_nat(lab, checks, pod, inet)
    custom_route(lab, checks, inet)
    if lab.model == "eni":
        by_pod_eip(lab, checks, pod, inet)
        by_annotation(lab, checks, inet)
    by_balancer(lab, checks, inet)
    one_rule_a_subnet(lab, checks)
    bound_twice(lab, checks)


def by_node_eip(lab: RunningLab, checks: Checks, pod: Host, inet: Host) -> None:
    lab.apply(elastic_ip("for-n1", NODE_EIP, node="n1"))
    seen = pod.http(inet.address, ECHO)
    if lab.model == "eni":
        checks.dropped(83, "pod to the internet, only its node has an EIP", seen, path=BY_NODE)
    else:
        checks.allowed(82, "pod to the internet by its node's EIP", seen, source=NODE_EIP, path=BY_NODE)
    checks.allowed(82, "node to the internet by its EIP", lab.node("n1").http(inet.address, ECHO), source=NODE_EIP)
    lab.apply(elastic_ip("for-n1", NODE_EIP))
    checks.dropped(0, "the EIP unbound again", pod.http(inet.address, ECHO))


def by_nat_gateway(lab: RunningLab, checks: Checks, pod: Host, inet: Host) -> None:
    lab.apply(elastic_ip("for-nat", NAT_EIP), nat_gateway("nodes"))
    seen = pod.http(inet.address, ECHO)
    if lab.model == "eni":
        checks.dropped(84, "SNAT for the node subnet only: a pod", seen, path=BY_NAT)
        lab.apply(nat_gateway("nodes", "pods"))
        seen = pod.http(inet.address, ECHO)
        checks.allowed(84, "SNAT for the pod subnet: a pod", seen, source=NAT_EIP, path=BY_POD_NAT)
    else:
        checks.allowed(84, "SNAT for the node subnet: a pod", seen, source=NAT_EIP, path=BY_NAT)
    checks.allowed(84, "SNAT for the node subnet: a node", lab.node("n1").http(inet.address, ECHO), source=NAT_EIP)


def by_dnat_rule(lab: RunningLab, checks: Checks, inet: Host) -> None:
    """One port of the gateway's EIP leads to one port of a server, which sees its client; the SNAT rules stay."""
    lab.apply(nat_gateway("nodes"))
    rule = "{eip: for-nat, port: 2222, target: {server: vm-2}, targetPort: 8080}"
    with lab.changed("NatGateway", "nat", f"dnatRules: [{rule}]"):
        seen = inet.http(NAT_EIP, 2222)
        checks.allowed(0, "internet to a port of a NAT gateway: DNAT", seen, source=inet.address, server="vm-2")
        checks.dropped(0, "to a port without a rule", inet.http(NAT_EIP, ECHO))
        checks.dropped(0, "the server itself has no way out", lab.host("vm-2").http(inet.address, ECHO))
    checks.dropped(0, "the rule deleted", inet.http(NAT_EIP, 2222))


def eip_before_nat(lab: RunningLab, checks: Checks, pod: Host, inet: Host) -> None:
    lab.apply(elastic_ip("for-n1", NODE_EIP, node="n1"))
    seen = lab.node("n1").http(inet.address, ECHO)
    checks.allowed(85, "a node with an EIP, beside a NAT gateway", seen, source=NODE_EIP)
    if lab.model != "eni":
        checks.allowed(85, "and its pod", pod.http(inet.address, ECHO), source=NODE_EIP)
    other = lab.node("n2").http(inet.address, ECHO)
    checks.allowed(85, "a node without one", other, source=NAT_EIP)


def custom_route(lab: RunningLab, checks: Checks, inet: Host) -> None:
    """A default route to a server that translates: after an EIP, before the NAT gateway's rule for the subnet."""
    lab.apply(GATE, elastic_ip("for-gate", GATE_EIP, server="gate"))
    gate, node = lab.host("gate"), lab.node("n2")
    done = lab.run(gate, "nft", TRANSLATE)
    checks.equal(0, "a server translates what it forwards", done.stderr.strip(), "")
    checks.allowed(0, "a server by its EIP", gate.http(inet.address, ECHO), source=GATE_EIP)
    with lab.changed("RouteTable", "demo-main", DEFAULT_ROUTE):
        checks.allowed(85, "custom route before NAT gateway: a node", node.http(inet.address, ECHO), source=GATE_EIP)
        seen = lab.node("n1").http(inet.address, ECHO)
        checks.allowed(85, "EIP before custom route: a node with one", seen, source=NODE_EIP)
    checks.allowed(85, "the route deleted: by the NAT gateway again", node.http(inet.address, ECHO), source=NAT_EIP)


def by_pod_eip(lab: RunningLab, checks: Checks, pod: Host, inet: Host) -> None:
    lab.apply(nat_gateway("nodes", "pods"))
    checks.allowed(85, "a pod without an EIP, its subnet with SNAT", pod.http(inet.address, ECHO), source=NAT_EIP)
    lab.apply(elastic_ip("for-web-0", POD_EIP, pod="web-0"))
    seen = pod.http(inet.address, ECHO)
    checks.allowed(85, "with one of its own", seen, source=POD_EIP)
    checks.allowed(83, "pod to the internet by its own EIP", seen, source=POD_EIP, path="pod to internet, own EIP")
    checks.dropped(86, "internet to the pod's EIP, no rule lets it in", inet.http(POD_EIP, ECHO))
    lab.apply(LET_IN)
    seen = inet.http(POD_EIP, ECHO)
    checks.allowed(86, "internet to the pod's EIP, with a rule", seen, source=inet.address, server=pod.name)


def by_annotation(lab: RunningLab, checks: Checks, inet: Host) -> None:
    """A pod that asks for an EIP gets one for its life; one that names an EIP has that one, which stays."""
    lab.apply(elastic_ip("named", NAMED_EIP), ANNOTATED)
    lab.wait_ready()
    asking, naming = lab.pod("asking"), lab.pod("naming")
    (made,) = (str(eip.address) for eip in lab.memory.eips if eip.bound_to == asking.owner)
    checks.allowed(83, "a pod that asks for an EIP", asking.http(inet.address, ECHO), source=made)
    checks.allowed(83, "a pod that names one", naming.http(inet.address, ECHO), source=NAMED_EIP)
    seen = inet.http(made, ECHO)
    checks.allowed(86, "internet to the pod that asked, with a rule", seen, source=inet.address, server=asking.name)
    lab.delete("pod/asking", "pod/naming")
    checks.dropped(86, "the pod deleted: its EIP is gone with it", inet.http(made, ECHO))
    left = {str(eip.address): eip.bound_to for eip in lab.memory.eips}
    kept = made not in left and left.get(NAMED_EIP, "") is None
    checks.that(83, "and the named one is left, bound to nothing", kept, f"{NAMED_EIP} alone", ", ".join(left))


def by_balancer(lab: RunningLab, checks: Checks, inet: Host) -> None:
    """Into the cluster by an EIP that is bound to a load balancer and taken off again."""
    lab.apply(BALANCED)
    checks.dropped(0, "internet to an EIP that nobody has", inet.http(ELB_EIP, 80))
    lab.apply(elastic_ip("for-elb", ELB_EIP, loadBalancer="elb"))
    seen = inet.http(ELB_EIP, 80)
    checks.allowed(0, "bound to a load balancer", seen, server=[pod.name for pod in lab.pods("app=web")])
    lab.apply(elastic_ip("for-elb", ELB_EIP))
    checks.dropped(0, "taken off again", inet.http(ELB_EIP, 80))


def bound_twice(lab: RunningLab, checks: Checks) -> None:
    reason = lab.refusal(elastic_ip("for-n1-too", "198.51.100.99", node="n1"))
    checks.that(0, "a second EIP for a node is refused", "n1" in reason, "refused", reason or "accepted")
    reason = lab.refusal(elastic_ip("same-address", NODE_EIP, node="n2"))
    checks.that(0, "one EIP for two nodes as well", NODE_EIP in reason, "refused", reason or "accepted")


def one_rule_a_subnet(lab: RunningLab, checks: Checks) -> None:
    reason = lab.refusal(nat_gateway("nodes", "nodes"))
    checks.that(87, "a second SNAT rule for a subnet", "nodes" in reason, "refused", reason or "accepted")
    seen = lab.node("n2").http(lab.host("inet").address, ECHO)
    checks.allowed(87, "the first goes on", seen, source=NAT_EIP)
