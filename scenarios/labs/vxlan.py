"""VXLAN on the wire: what a tunnel network's packets look like outside, and who has to let them through."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.guide import Command, Finding, Guide, RunningLab, Step, expect_allowed, expect_silent

ONLY_SSH = """
apiVersion: cnlab.dev/v1
kind: SecurityGroup
metadata: {name: demo-cce-node}
spec:
  vpc: demo
  ingress:
  - {protocol: tcp, ports: 22}
"""

WITH_VXLAN = (
    ONLY_SSH
    + """  - {protocol: udp, ports: 4789, cidr: 192.168.0.0/24}
"""
)


def check(lab: RunningLab) -> Iterator[Finding]:
    pod, neighbour, distant = lab.pod("web-0"), lab.pod("web-2"), lab.pod("web-1")
    seen = pod.http(neighbour.address, 8080)
    yield expect_allowed("web-0 to web-2, on one node", seen, "no tunnel is needed here: lab trace web-0 web-2")
    seen = pod.http(distant.address, 8080)
    rule = "the nodes' group demo-cce-node must let UDP 4789 of 192.168.0.0/24 in: lab trace web-0 web-1"
    yield expect_allowed("web-0 to web-1, on another node", seen, rule, source=pod.address)
    seen = lab.host("vm-2").ping(lab.node("n1").address, timeout=1.0)
    yield expect_silent("vm-2 pings n1", seen, "that opens more than VXLAN; allow UDP 4789 and nothing else")


GUIDE = Guide(
    title="VXLAN on the wire",
    goal="see where a packet between pods is put into a tunnel, what it costs, and who has to let the tunnel through.",
    picture="""
  web-0 172.16.0.16                                web-1 172.16.0.32
    | eth0                                           | eth0
+ n1 ------------------+                         + n2 ------------------+
| br-int -> VXLAN      |      UDP port 4789      |      VXLAN -> br-int |
| br-ex ------- eth0 --|------- the VPC ---------|-- eth0 ------- br-ex |
+----------------------+ 192.168.0.2  192.168.0.3 +---------------------+
""",
    topology="topologies/peered.yaml",
    model="tunnel",
    steps=(
        Step(
            "Two nodes, two pods on each. Addresses of pods come from blocks of 16, which nodes take when they need "
            "one.",
            (Command("lab get pods -o wide", shows=("172.16.0.16", "172.16.0.32")),),
            "web-0 and web-2 are on n1 and of one block, web-1 and web-3 are on n2 and of another.",
        ),
        Step(
            "web-0 pings web-1 on the other node, while tcpdump watches the wire between n1 and the VPC.",
            (
                Command(
                    "lab exec n1 -- timeout 12 tcpdump -c 2 -nnti eth0 udp port 4789",
                    shows=("VXLAN", "172.16.0.16 > 172.16.0.32: ICMP echo request"),
                    background=True,
                ),
                Command("lab exec web-0 -- ping -c 1 -W 5 {web-1}", shows=("1 received",)),
            ),
            "outside, one node talks to the other by UDP 4789. The VXLAN header carries the cluster's number (vni), "
            "and inside is the pods' packet, unchanged. The VPC sees nodes only: it knows no pod.",
        ),
        Step(
            "Who does it? The switches of the running lab tell it, table by table.",
            (Command("lab trace web-0 web-1", shows=("VXLAN 192.168.0.2 -> 192.168.0.3 put around it",), lines=16),),
            "br-int of n1 knows by the destination's block to which node it goes. The fabric judges the outer packet "
            "by the nodes' security group.",
        ),
        Step(
            "The same on one node, and what a tunnel costs.",
            (
                Command("lab trace web-0 web-2", shows=("n1/br-int",), lines=8),
                Command("lab exec web-0 -- ip link show eth0", shows=("mtu 1450",)),
            ),
            "on one node br-int is all there is, and no tunnel. The headers around a packet take 50 bytes, so a pod "
            "may send 1450 where the wire takes 1500.",
        ),
        Step(
            "Somebody tidies up the nodes' security group: only SSH is to come in.",
            (
                Command("lab apply -f -", ONLY_SSH),
                Command("lab exec web-0 -- ping -c 1 -W 1 {web-1}", status=1, shows=("0 received",)),
                Command("lab exec web-0 -- ping -c 1 -W 5 {web-2}", shows=("1 received",)),
                Command("lab trace web-0 web-1", status=1, shows=("dropped", "would pass with"), lines=4),
            ),
            "pods on one node still talk, pods on different nodes do not. To the VPC a tunnel is UDP like any other.",
        ),
    ),
    questions=(
        (
            "Why does no security group of the VPC ever see the address 172.16.0.16?",
            "It is inside the tunnel. Outside, source and destination are the nodes, so rules can only be about nodes.",
        ),
        (
            "Why can vm-2, a server of the same VPC, not reach web-0?",
            "The VPC has no route to 172.16.0.0/16 and vm-2 speaks no VXLAN: lab trace vm-2 web-0.",
        ),
    ),
    task="change the security group demo-cce-node so that pods of different nodes talk again, and let in nothing else "
    "than SSH and the tunnel.",
    hint="add to the group's ingress: {protocol: udp, ports: 4789, cidr: 192.168.0.0/24}, and lab apply it.",
    solution=(Command("lab apply -f -", WITH_VXLAN),),
    check=check,
)
