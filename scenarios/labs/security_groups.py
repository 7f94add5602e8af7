"""ENIs and security groups: a pod with an interface of its own in the VPC, and who may talk to it."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.guide import Command, Finding, Guide, RunningLab, Step, expect_allowed, expect_silent

SHOP = """
apiVersion: cnlab.dev/v1
kind: SecurityGroup
metadata: {name: shop}
spec: {vpc: demo, ingress: []}
---
apiVersion: v1
kind: Pod
metadata:
  name: shop
  annotations: {yangtse.io/security-group-ids: shop}
spec:
  containers: [{name: echo, image: echo, ports: [{containerPort: 8080}]}]
"""

SERVERS_ONLY = """
apiVersion: cnlab.dev/v1
kind: SecurityGroup
metadata: {name: shop}
spec:
  vpc: demo
  ingress:
  - {protocol: tcp, ports: 8080, cidr: 192.168.1.0/24}
"""


def check(lab: RunningLab) -> Iterator[Finding]:
    shop, server = lab.pod("shop"), lab.host("vm-2")
    rule = "group shop has to let TCP 8080 of 192.168.1.0/24 in: lab trace vm-2 shop --port 8080"
    yield expect_allowed("vm-2 to shop, port 8080", server.http(shop.address, 8080), rule, source=server.address)
    narrow = "that lets in more than asked: the servers' subnet, TCP, port 8080"
    yield expect_silent("web-0 to shop, port 8080", lab.pod("web-0").http(shop.address, 8080, timeout=1.0), narrow)
    yield expect_silent("vm-2 pings shop", server.ping(shop.address, timeout=1.0), narrow)


GUIDE = Guide(
    title="ENIs and security groups",
    goal="see that a pod of Cloud Native Network 2.0 is a member of the VPC like any server, with rules of its own.",
    picture="""
  web-0 192.168.64.x    shop 192.168.64.y              vm-2 192.168.1.x
    | VLAN 1              | VLAN 2                        |
+ n1: br-int - br-ex - eth1 (carrier ENI) --+             |
+-----------------------|-------------------+             |
       sub-ENI of web-0 |  sub-ENI of shop                | ENI of vm-2
  ---------------- the VPC: a security group at each ENI ----------------
""",
    topology="topologies/peered.yaml",
    model="eni",
    steps=(
        Step(
            "Every pod has a sub-ENI: an address of the VPC's own subnet, and a VLAN on the node's second interface.",
            (
                Command("lab get pods -o wide", shows=("192.168.64.",)),
                Command("lab get enis -o wide | grep -e NAME -e web -e n1", shows=("web-0", "VLAN"), lines=8),
            ),
            "some sub-ENIs belong to nobody yet: they are bound in advance, so that a pod starts without waiting for "
            "one.",
        ),
        Step(
            "A server of the VPC dials a pod.",
            (
                Command("lab exec vm-2 -- curl -s -m 5 {web-0}:8080", shows=('"name": "web-0"',)),
                Command("lab trace vm-2 web-0 --port 8080 | head -14", shows=("ingress_rules",)),
            ),
            "no node translates, and no tunnel is there. The fabric judges the packet at the pod's own sub-ENI, by the "
            "cluster's default group.",
        ),
        Step(
            "A pod with a group of its own, named by an annotation. The group lets nothing in.",
            (
                Command("lab apply -f -", SHOP),
                Command("lab exec vm-2 -- curl -s -m 1 {shop}:8080", status=28),
                Command("lab trace vm-2 shop --port 8080 | head -4", shows=("dropped", "would pass with")),
            ),
            "the annotation's group takes the place of the default one; it is not added to it.",
        ),
        Step(
            "Does the pod itself get out?",
            (Command("lab exec shop -- curl -s -m 5 {vm-2}:8080", shows=('"name": "vm-2"',)),),
            "yes: outbound is allowed, and what answers an allowed connection may always come in. Groups remember.",
        ),
    ),
    questions=(
        (
            "web-0 and web-2 are on one node. Does a security group stand between them?",
            (
                "Yes. Even there packets go out by one sub-ENI, through the VPC, and in by the other: lab trace web-0 "
                "web-2."
            ),
        ),
        (
            "You take a rule away while a connection is open that it allowed. What happens to it?",
            "An inbound one is cut. One that the pod began itself goes on, whatever happens to outbound rules.",
        ),
    ),
    task="let the servers' subnet (192.168.1.0/24) reach shop on TCP port 8080, and nobody else, nor by anything else.",
    hint="apply SecurityGroup shop with ingress: [{protocol: tcp, ports: 8080, cidr: 192.168.1.0/24}].",
    solution=(Command("lab apply -f -", SERVERS_ONLY),),
    check=check,
)
