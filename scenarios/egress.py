"""Out to the internet: by a node's elastic IP, a pod's own, or a NAT gateway, and what does not lead out."""

from __future__ import annotations

from testbed.scenario import Checks, Host, RunningLab, scenario

ECHO = 8080
BY_NODE, BY_NAT = "pod to internet, its node has an EIP", "pod to internet, SNAT for the node subnet"
BY_POD_NAT = "pod to internet, SNAT for the pod subnet"
NODE_EIP, POD_EIP, NAT_EIP = "198.51.100.11", "198.51.100.12", "198.51.100.13"

BIND_NODE = f"""
apiVersion: cnlab.dev/v1
kind: ElasticIP
metadata: {{name: for-n1}}
spec: {{address: {NODE_EIP}, boundTo: {{node: n1}}}}
"""

UNBIND_NODE = f"""
apiVersion: cnlab.dev/v1
kind: ElasticIP
metadata: {{name: for-n1}}
spec: {{address: {NODE_EIP}}}
"""

BIND_POD = f"""
apiVersion: cnlab.dev/v1
kind: ElasticIP
metadata: {{name: for-web-0}}
spec: {{address: {POD_EIP}, boundTo: {{pod: web-0}}}}
"""

NAT_FOR = """
apiVersion: cnlab.dev/v1
kind: ElasticIP
metadata: {{name: for-nat}}
spec: {{address: {address}}}
---
apiVersion: cnlab.dev/v1
kind: NatGateway
metadata: {{name: nat}}
spec:
  subnet: nodes
  snatRules:
{rules}
"""

LET_IN = """
apiVersion: cnlab.dev/v1
kind: SecurityGroup
metadata: {name: demo-cce-eni}
spec:
  vpc: demo
  ingress:
  - {cidr: 192.168.0.0/16}
  - {protocol: tcp, ports: 8080, cidr: 203.0.113.0/24}
"""


def nat_gateway(*subnets: str) -> str:
    rules = "".join(f"  - {{subnet: {subnet}, eip: for-nat}}\n" for subnet in subnets)
    return NAT_FOR.format(address=NAT_EIP, rules=rules)


@scenario("topologies/peered.yaml")
def egress(lab: RunningLab, checks: Checks) -> None:
    """Egress three ways: node EIP, pod EIP, NAT gateway"""
    pod, inet = lab.pod("web-0"), lab.host("inet")
    seen = pod.http(inet.address, ECHO)
    checks.dropped(0, "pod to the internet, nothing set up", seen, path="pod to internet, nothing set up")
    checks.dropped(0, "node to the internet, nothing set up", lab.node("n1").http(inet.address, ECHO))
    by_node_eip(lab, checks, pod, inet)
    by_nat_gateway(lab, checks, pod, inet)
    eip_before_nat(lab, checks, inet)
    if lab.model == "eni":
        by_pod_eip(lab, checks, pod, inet)
    one_rule_a_subnet(lab, checks)


def by_node_eip(lab: RunningLab, checks: Checks, pod: Host, inet: Host) -> None:
    lab.apply(BIND_NODE)
    seen = pod.http(inet.address, ECHO)
    if lab.model == "eni":
        checks.dropped(83, "pod to the internet, only its node has an EIP", seen, path=BY_NODE)
    else:
        checks.allowed(82, "pod to the internet by its node's EIP", seen, source=NODE_EIP, path=BY_NODE)
    checks.allowed(82, "node to the internet by its EIP", lab.node("n1").http(inet.address, ECHO), source=NODE_EIP)
    lab.apply(UNBIND_NODE)
    checks.dropped(0, "the EIP unbound again", pod.http(inet.address, ECHO))


def by_nat_gateway(lab: RunningLab, checks: Checks, pod: Host, inet: Host) -> None:
    lab.apply(nat_gateway("nodes"))
    seen = pod.http(inet.address, ECHO)
    if lab.model == "eni":
        checks.dropped(84, "SNAT for the node subnet only: a pod", seen, path=BY_NAT)
        lab.apply(nat_gateway("nodes", "pods"))
        seen = pod.http(inet.address, ECHO)
        checks.allowed(84, "SNAT for the pod subnet: a pod", seen, source=NAT_EIP, path=BY_POD_NAT)
    else:
        checks.allowed(84, "SNAT for the node subnet: a pod", seen, source=NAT_EIP, path=BY_NAT)
    checks.allowed(84, "SNAT for the node subnet: a node", lab.node("n1").http(inet.address, ECHO), source=NAT_EIP)


def eip_before_nat(lab: RunningLab, checks: Checks, inet: Host) -> None:
    lab.apply(BIND_NODE)
    seen = lab.node("n1").http(inet.address, ECHO)
    checks.allowed(85, "a node with an EIP, beside a NAT gateway", seen, source=NODE_EIP)
    other = lab.node("n2").http(inet.address, ECHO)
    checks.allowed(85, "a node without one", other, source=NAT_EIP)


def by_pod_eip(lab: RunningLab, checks: Checks, pod: Host, inet: Host) -> None:
    lab.apply(BIND_POD)
    seen = pod.http(inet.address, ECHO)
    checks.allowed(83, "pod to the internet by its own EIP", seen, source=POD_EIP, path="pod to internet, own EIP")
    checks.dropped(86, "internet to the pod's EIP, no rule lets it in", inet.http(POD_EIP, ECHO))
    lab.apply(LET_IN)
    seen = inet.http(POD_EIP, ECHO)
    checks.allowed(86, "internet to the pod's EIP, with a rule", seen, source=inet.address, server=pod.name)


def one_rule_a_subnet(lab: RunningLab, checks: Checks) -> None:
    reason = lab.refusal(nat_gateway("nodes", "nodes"))
    checks.that(87, "a second SNAT rule for a subnet", "nodes" in reason, "refused", reason or "accepted")
