"""Reading flows: from a line of a switch to the object behind it, and to one that has none."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.guide import Command, Finding, Guide, RunningLab, Step, expect_allowed

SWITCH = "unix:{rundir}/ovs/n1/br-int.mgmt"

NARROW = """
apiVersion: cnlab.dev/v1
kind: SecurityGroup
metadata: {name: demo-cce-node}
spec:
  vpc: demo
  ingress:
  - {cidr: 192.168.0.0/16}
  egress:
  - {cidr: 192.168.0.0/24}
"""

WIDER = (
    NARROW
    + """  - {cidr: 192.168.1.0/24}
"""
)


def check(lab: RunningLab) -> Iterator[Finding]:
    pod, node, server, distant = lab.pod("web-0"), lab.node("n1"), lab.host("vm-2"), lab.pod("web-1")
    look = "which flow of the fabric counts its packets? lab flows fabric -t egress_rules --used -o wide"
    yield expect_allowed("web-0 to vm-2", pod.http(server.address, 8080), look, source=node.address)
    seen = pod.http(distant.address, 8080)
    yield expect_allowed(
        "web-0 to web-1", seen, "the nodes still have to reach each other: 192.168.0.0/24", pod.address
    )


GUIDE = Guide(
    title="Reading flows",
    goal="read a switch's tables as a path, and get from a flow to the object that asked for it.",
    picture="""
  n1 br-int:  classify -> spoof -> ... -> service -> local -> deliver
              whose port?  is it          for a      pod on    out
                           who it says?   Service?   this node?
  each flow: priority, match, packets -> actions, and the object it is for
""",
    topology="topologies/peered.yaml",
    model="tunnel",
    steps=(
        Step(
            "web-0 pings web-2 beside it. Which flows did the packets hit?",
            (
                Command("lab exec web-0 -- ping -c 2 -i 0.3 -W 5 {web-2}", shows=("2 received",)),
                Command("lab flows n1/br-int --used -o wide", lines=30),
            ),
            "tables are passed in order. Each line ends with the object it is there for, and why.",
        ),
        Step(
            "All flows that are there for one object, on all switches.",
            (Command("lab flows --for pod/web-2", shows=("Pod/default/web-2",), lines=24),),
            "a pod's flows are few: it may send as itself, and it is found by its address.",
        ),
        Step(
            "The same for a server in the cloud, and for the group that guards it.",
            (
                Command("lab flows fabric --for vm-1 -o wide", shows=("Server/vm-1",), lines=12),
                Command("lab flows fabric -t ingress_rules -o wide | grep nodes-only", shows=("192.168.0.0/24",)),
            ),
            "the group's rule is a flow of table ingress_rules, with file and line of the YAML that it comes from.",
        ),
        Step(
            "Somebody has been at n1's switch, with his own hands: a flow that no object asked for.",
            (
                Command(
                    f"lab exec n1 -- ovs-ofctl -O OpenFlow14 add-flow {SWITCH} "
                    "table=local,priority=999,cookie=0xbad,ip,nw_src={web-0},nw_dst={web-2},actions=drop"
                ),
                Command("lab exec web-0 -- ping -c 1 -w 20 -i 0.5 {web-2}", shows=("1 received",)),
                Command("lab flows n1/br-int -t local -o wide", shows=("web-2",)),
            ),
            "pings were lost, then one was answered, and ping stopped. The controller counts each switch's flows every "
            "few seconds, reads them when the number is not what it should be, and takes away what nobody asked for.",
        ),
        Step(
            "Somebody else did it properly, and changed an object.",
            (
                Command("lab apply -f -", NARROW),
                Command("lab exec web-0 -- curl -s -m 1 {vm-2}:8080", status=28),
                Command("lab exec web-0 -- curl -s -m 5 {web-1}:8080/hostname", shows=("web-1",)),
            ),
            "web-0 does not reach vm-2 any more, and no controller will repair that: it is what was asked for.",
        ),
    ),
    questions=(
        (
            "Where does lab flows have the names and reasons from? The switch knows numbers only.",
            "Each flow carries a cookie, and the controllers keep a list of what each cookie stands for.",
        ),
        (
            "Two flows of one table match a packet. Which one counts?",
            "That of the higher priority. Here 999 beats the 200 that the cluster's controller uses in table local.",
        ),
    ),
    task="find the flow that drops web-0's packets to vm-2 and the object behind it, and change the object so that "
    "they pass.",
    hint="lab flows fabric -t egress_rules --used -o wide, or lab trace web-0 vm-2 --port 8080. Then apply the group "
    "with one more rule under egress: {cidr: 192.168.1.0/24}.",
    solution=(
        Command("lab flows fabric -t egress_rules -o wide | grep demo-cce-node", shows=("no outbound rule",)),
        Command("lab apply -f -", WIDER),
    ),
    check=check,
)
