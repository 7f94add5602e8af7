"""externalTrafficPolicy: whom the pod sees, and which nodes answer."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.guide import Command, Finding, Guide, RunningLab, Step, expect_allowed, expect_silent

LOCAL = """
apiVersion: v1
kind: Service
metadata: {name: node-port}
spec:
  type: NodePort
  externalTrafficPolicy: Local
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080, nodePort: 30080}]
"""


def check(lab: RunningLab) -> Iterator[Finding]:
    server = lab.host("vm-1")
    seen = server.http(lab.node("n1").address, 30080)
    local = "the pod must see vm-1: externalTrafficPolicy Local on Service node-port"
    yield expect_allowed("vm-1 to n1, port 30080", seen, local, source=server.address)
    seen = server.http(lab.node("n3").address, 30080, timeout=1.0)
    yield expect_silent(
        "vm-1 to n3, port 30080", seen, "n3 has no pod of web; with Local it answers for none elsewhere"
    )


GUIDE = Guide(
    title="externalTrafficPolicy",
    goal="choose between reaching a Service by every node and seeing who the client is.",
    picture="""
  vm-1 --> n1:3008x   web-1 is here
  vm-1 --> n3:3008x   no pod of web is here
  Cluster (port 30080): any pod, by any node; the pod sees that node
  Local   (port 30081): pods of this node only; the pod sees vm-1;
                        a node without a pod stays silent
""",
    topology="topologies/services.yaml",
    model="tunnel",
    steps=(
        Step(
            "Two Services for the same pods: node-port (Cluster) and node-local (Local).",
            (
                Command("lab get svc node-port node-local", shows=("30080", "30081")),
                Command("lab get pods -o wide | grep web", shows=("n1", "n2")),
            ),
            "no pod of web is on n3.",
        ),
        Step(
            "Policy Cluster, by a node with a pod and by one without.",
            (
                Command("lab exec vm-1 -- curl -s -m 5 {n1}:30080/clientip", shows=("192.168.0.2:",)),
                Command("lab exec vm-1 -- curl -s -m 5 {n3}:30080/clientip", shows=("192.168.0.4:",)),
            ),
            "both answer, and the pod sees the node that was dialled. It has to be so: the pod may be on another "
            "node, and its answer must come back to the node that translated.",
        ),
        Step(
            "Policy Local, the same two nodes.",
            (
                Command("lab exec vm-1 -- curl -s -m 5 {n1}:30081/clientip", shows=("192.168.1.",)),
                Command("lab exec vm-1 -- curl -s -m 1 {n3}:30081/clientip", status=28),
                Command("lab trace vm-1 n3 --port 30081 | head -3", shows=("dropped", "this node's endpoints")),
            ),
            "n1 answers with a pod of its own, which sees vm-1. n3 has none, and says nothing.",
        ),
    ),
    questions=(
        (
            "A load balancer stands before the nodes of a Local Service. What must it know?",
            "Which nodes have a ready pod. It checks their health, and sends to those only.",
        ),
        (
            "Two of three pods are on n1, one is on n2, and a balancer shares evenly between nodes. Who gets what?",
            "The one on n2 gets half of all connections, those on n1 a quarter each: the price of Local.",
        ),
    ),
    task="let the pods behind port 30080 see the client's address.",
    hint="apply Service node-port with externalTrafficPolicy: Local (lab get svc node-port -o yaml shows the rest).",
    solution=(Command("lab apply -f -", LOCAL),),
    check=check,
)
