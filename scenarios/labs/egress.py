"""Egress three ways: a node's elastic IP, a pod's own, and a NAT gateway."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.guide import Command, Finding, Guide, RunningLab, Step, expect_allowed

NODE_EIP = """
apiVersion: cnlab.dev/v1
kind: ElasticIP
metadata: {name: for-n1}
spec: {address: 198.51.100.11, boundTo: {node: n1}}
"""

POD_EIP = """
apiVersion: cnlab.dev/v1
kind: ElasticIP
metadata: {name: for-web-0}
spec: {address: 198.51.100.12, boundTo: {pod: web-0}}
"""

NAT = """
apiVersion: cnlab.dev/v1
kind: ElasticIP
metadata: {name: for-nat}
spec: {address: 198.51.100.13}
---
apiVersion: cnlab.dev/v1
kind: NatGateway
metadata: {name: nat}
spec:
  subnet: nodes
  snatRules:
  - {subnet: pods, eip: for-nat}
"""

PORT = 8080


def check(lab: RunningLab) -> Iterator[Finding]:
    inet = lab.host("inet").address
    rule = (
        "a NatGateway needs a snatRule for the subnet that the pods' addresses are of: pods, with an EIP 198.51.100.13"
    )
    for name in ("web-1", "web-2"):
        seen = lab.pod(name).http(inet, PORT)
        yield expect_allowed(f"{name} to the internet", seen, rule, source="198.51.100.13")
    own = "web-0's own elastic IP should stay bound: for-web-0"
    yield expect_allowed("web-0 to the internet", lab.pod("web-0").http(inet, PORT), own, source="198.51.100.12")


GUIDE = Guide(
    title="Egress three ways",
    goal="get pods of Cloud Native Network 2.0 out to the internet, and know whose address is seen there.",
    picture="""
  n1 192.168.0.2 ------- EIP 198.51.100.11 --------+    the internet
  web-0 192.168.64.x --- EIP 198.51.100.12 --------+--> inet 203.0.113.10
  web-1, web-2, ... ---- NAT gateway, SNAT rule ---+
                         for subnet pods, EIP 198.51.100.13
""",
    topology="topologies/peered.yaml",
    model="eni",
    steps=(
        Step(
            "Nothing is set up.",
            (
                Command("lab exec web-0 -- curl -s -m 1 {inet}:8080", status=28),
                Command("lab trace web-0 inet --port 8080 | head -3", shows=("dropped",)),
            ),
            "private addresses do not get out. Somebody has to put a public one in their place.",
        ),
        Step(
            "Way one: an elastic IP for the node.",
            (
                Command("lab apply -f -", NODE_EIP),
                Command("lab exec n1 -- curl -s -m 5 {inet}:8080/clientip", shows=("198.51.100.11:",)),
                Command("lab exec web-0 -- curl -s -m 1 {inet}:8080", status=28),
            ),
            "the node gets out, its pods do not: a pod here has its own address in the VPC and does not go by its "
            "node. In tunnel and vpc networks, where nodes masquerade, this is enough for all pods of n1.",
        ),
        Step(
            "Way two: an elastic IP for one pod.",
            (
                Command("lab apply -f -", POD_EIP),
                Command("lab exec web-0 -- curl -s -m 5 {inet}:8080/clientip", shows=("198.51.100.12:",)),
                Command("lab exec inet -- curl -s -m 1 198.51.100.12:8080", status=28),
            ),
            "it works both ways in principle, but inbound the pod's security group still decides.",
        ),
        Step(
            "And the pod beside it?",
            (Command("lab exec web-2 -- curl -s -m 1 {inet}:8080", status=28),),
            "one elastic IP is one pod's. For many, there is the third way.",
        ),
    ),
    questions=(
        (
            "A SNAT rule for subnet nodes: which pods does it help, in which network model?",
            "All pods in tunnel and vpc networks, because they leave with their nodes' addresses. None here.",
        ),
        (
            "web-0 has an elastic IP, and a SNAT rule covers its subnet. Whose address is seen?",
            "Its elastic IP: it comes before a NAT gateway.",
        ),
    ),
    task="let all pods reach the internet by a NAT gateway with the address 198.51.100.13; web-0 keeps its own.",
    hint="apply an ElasticIP with address 198.51.100.13, and a NatGateway in subnet nodes with "
    "snatRules: [{subnet: pods, eip: NAME}].",
    solution=(Command("lab apply -f -", NAT),),
    check=check,
)
