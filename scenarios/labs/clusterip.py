"""ClusterIP step by step: an address that nobody has, and what the client's own node makes of it."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.guide import Command, Finding, Guide, RunningLab, Step, expect, expect_allowed


def check(lab: RunningLab) -> Iterator[Finding]:
    client, service = lab.pod("client-3"), lab.service("empty")
    seen = client.http(service.cluster_ip, 80)
    scale = "it has no ready endpoint: lab get pods, lab describe svc/empty; pods come by lab scale deploy/nobody"
    yield expect_allowed(f"client-3 to empty ({service.cluster_ip})", seen, scale, source=client.address)
    servers = {client.http(service.cluster_ip, 80).server for _ in range(20)}
    shown = ", ".join(sorted(servers - {""})) or "nobody"
    yield expect(
        len(servers) > 1, f"20 connections were answered by {shown}", "at least two pods should share the work"
    )


GUIDE = Guide(
    title="ClusterIP step by step",
    goal="follow a connection to a Service: by name, by its address, to one of its pods, and what happens without any.",
    picture="""
  client-3 --> 10.247.1.1:80 (nobody has this address)
     n3 br-int: table balance picks an endpoint, conntrack remembers it
         |--> web-0 172.16.0.x:8080
         |--> web-1 172.16.0.y:8080   the answer comes back the same way
         +--> web-2 172.16.0.z:8080   and looks as if 10.247.1.1 had sent it
""",
    topology="topologies/services.yaml",
    model="tunnel",
    steps=(
        Step(
            "A Service has an address, ports, and endpoints: the ready pods that its selector finds.",
            (
                Command("lab get svc web", shows=("10.247.",)),
                Command("lab describe svc/web | tail -4", shows=("Endpoints", ":8080")),
            ),
            "port 80 of the Service leads to port 8080 of the pods: targetPort says so.",
        ),
        Step(
            "A pod dials it by name, a few times.",
            (
                Command("lab exec client-3 -- curl -s -m 5 http://web.default/hostname", shows=("web-",)),
                Command("lab exec client-3 -- curl -s -m 5 {svc/web}/hostname", shows=("web-",)),
                Command("lab exec client-3 -- curl -s -m 5 {svc/web}/hostname", shows=("web-",)),
                Command("lab exec client-3 -- curl -s -m 5 {svc/web}/clientip", shows=("172.16.0.",)),
            ),
            "each connection may go to another pod, and the pod sees the client's own address. DNS only gave the "
            "address 10.247.x.y; it did not choose the pod.",
        ),
        Step(
            "Where is it decided? Ask the switches.",
            (
                Command("lab trace client-3 svc/web --port 80", shows=("translation: destination",), lines=12),
                Command("lab flows n3/br-int -t balance --for svc/web", shows=("cluster address, balance",)),
            ),
            "on the client's own node, before anything else. A group of the flow table picks an endpoint, and "
            "conntrack translates this packet and all that follow. After that it is an ordinary packet from pod to "
            "pod.",
        ),
        Step(
            "What does a ping of that address say? And a server outside the cluster?",
            (
                Command("lab exec client-3 -- ping -c 1 -W 1 {svc/web}", status=1),
                Command("lab exec vm-1 -- curl -s -m 1 {svc/web}", status=28),
            ),
            "the address exists as flows for its ports and nothing else; the VPC has no route to it.",
        ),
        Step(
            "The Service empty has no endpoints.",
            (Command("lab exec client-3 -- curl -sS -m 2 {svc/empty}", status=7),),
            "it is refused at once: the node answers for the Service, so nobody waits for a time-out.",
        ),
    ),
    questions=(
        (
            "Why may two connections of one client end at different pods, but no two packets of one connection?",
            (
                "A choice is made for the first packet. Conntrack knows the connection then, and its packets go where "
                "the first one went."
            ),
        ),
        (
            "What makes connections of one client stay with one pod?",
            "sessionAffinity: ClientIP, as the Service sticky has it: its choice is learned as a flow for the client.",
        ),
    ),
    task="make the Service empty answer, with at least two pods behind it.",
    hint="its selector is app=nobody, and Deployment nobody has no replicas: lab scale deploy/nobody --replicas 2.",
    solution=(Command("lab scale deploy/nobody --replicas 2"),),
    check=check,
)
