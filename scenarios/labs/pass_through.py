"""Load balancer pass-through: who really serves a pod that dials the balancer."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.guide import Command, Finding, Guide, RunningLab, Step, expect

TRIES = 12  # a third of them unanswered by chance: that none is answered is one run in half a million

THROUGH_THE_BALANCER = """
apiVersion: v1
kind: Service
metadata:
  name: balanced
  annotations:
    kubernetes.io/elb.class: performance
    kubernetes.io/elb.id: elb-dedicated
    kubernetes.io/elb.pass-through: "true"
spec:
  type: LoadBalancer
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080, nodePort: 30082}]
"""


def check(lab: RunningLab) -> Iterator[Finding]:
    client, address = lab.pod("client-3"), lab.host("elb-dedicated").address
    before = lab.balancer_connections("elb-dedicated")
    seen = [client.http(address, 80, timeout=1.0) for _ in range(TRIES)]
    rise = lab.balancer_connections("elb-dedicated") - before
    answered = sum(each.verdict == "allowed" for each in seen)
    there = "the Service still has to be there, with its balancer: lab get svc balanced, lab get lb"
    yield expect(answered > 0, f"client-3 to elb-dedicated: {answered} of {TRIES} connections answered", there)
    annotate = 'Service balanced needs the annotation kubernetes.io/elb.pass-through: "true"'
    yield expect(rise > 0, f"of these, the balancer saw {rise} packets", annotate)


GUIDE = Guide(
    title="Load balancer pass-through",
    goal="see that a pod's connection to a load balancer may never come to it, and how to make it.",
    picture="""
  vm-1 --------------------------> elb-dedicated --> a node's port --> web-x
  client-3 --> n3 br-int
                 without the annotation: picks a pod itself ---------> web-x
                 with it: --> elb-dedicated --> a node's port -------> web-x
""",
    topology="topologies/services.yaml",
    model="tunnel",
    steps=(
        Step(
            "The balancer, its Service, and a server that dials it.",
            (
                Command("lab get lb", shows=("elb-dedicated",)),
                Command("lab exec vm-1 -- curl -s -m 5 {elb-dedicated}/hostname", shows=("web-",)),
                Command("lab trace vm-1 elb-dedicated --port 80 | head -12", shows=("fabric/vpc",)),
            ),
            "the fabric is the balancer: it picks a node, and the node a pod.",
        ),
        Step(
            "Now a pod of the cluster dials the same address.",
            (
                Command("lab exec client-3 -- curl -s -m 5 {elb-dedicated}/hostname", shows=("web-",)),
                Command("lab trace client-3 elb-dedicated --port 80 | head -12", shows=("external address",)),
            ),
            "the pod's own node knows the address as one of a Service and picks a pod itself. It is quicker, and works "
            "even when the balancer does not. But whatever the balancer does for its connections (its access log, its "
            "limits, TLS) is not done for this one.",
        ),
        Step(
            "Who counted what? The balancer's choices are flows of the fabric's table pick.",
            (Command("lab flows fabric -t pick --for svc/balanced"),),
            "only vm-1's connection is there.",
        ),
    ),
    questions=(
        (
            "A NetworkPolicy or a log at the balancer shows no connection of the pods. Is it broken?",
            "No: they never came to it. The node served them.",
        ),
        (
            "With pass-through, about one in three connections of client-3 stays without an answer. Why?",
            (
                "The balancer picks one of three nodes. When it picks n3, the packet comes back to the node that sent "
                "it, which the real balancer does not serve either: pass-through has its price."
            ),
        ),
    ),
    task="let connections of pods to elb-dedicated pass through the balancer.",
    hint='apply Service balanced with the annotation kubernetes.io/elb.pass-through: "true" added '
    "(lab get svc balanced -o yaml shows the others).",
    solution=(Command("lab apply -f -", THROUGH_THE_BALANCER),),
    check=check,
)
