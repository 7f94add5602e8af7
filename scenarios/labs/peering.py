"""Peering: two VPCs, routes on both sides, and what is not passed on."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.guide import Command, Finding, Guide, RunningLab, Step, expect_allowed, expect_silent

TOWARDS_FAR = """
apiVersion: cnlab.dev/v1
kind: RouteTable
metadata: {name: demo-main}
spec:
  vpc: demo
  default: true
  routes:
  - {destination: 10.1.0.0/16, nextHop: {peering: demo-peer}}
  - {destination: 10.2.0.0/16, nextHop: {peering: demo-peer}}
"""

BACK_TO_PODS = """
apiVersion: cnlab.dev/v1
kind: RouteTable
metadata: {name: peer-main}
spec:
  vpc: peer
  default: true
  routes:
  - {destination: 192.168.0.0/16, nextHop: {peering: demo-peer}}
  - {destination: 172.16.0.0/16, nextHop: {peering: demo-peer}}
  - {destination: 10.2.0.0/16, nextHop: {peering: peer-far}}
"""


def check(lab: RunningLab) -> Iterator[Finding]:
    pod, server, peer, far = lab.pod("web-0"), lab.host("vm-2"), lab.host("peer-vm"), lab.host("far-vm")
    route = "VPC peer needs a route to the pods: 172.16.0.0/16 by demo-peer in table peer-main"
    yield expect_allowed("web-0 to peer-vm", pod.http(peer.address, 8080), route, source=pod.address)
    kept = "peer-main needs its other routes as well: 192.168.0.0/16 by demo-peer, 10.2.0.0/16 by peer-far"
    yield expect_allowed("vm-2 to peer-vm", server.http(peer.address, 8080), kept, source=server.address)
    yield expect_allowed("peer-vm to far-vm", peer.http(far.address, 8080), kept, source=peer.address)
    yield expect_silent(
        "vm-2 to far-vm", server.http(far.address, 8080, timeout=1.0), "a peering does not pass that on"
    )


GUIDE = Guide(
    title="Peering",
    goal="join VPCs by peering, and see why it needs routes on both sides and is not passed on.",
    picture="""
  VPC demo 192.168.0.0/16    VPC peer 10.1.0.0/16     VPC far 10.2.0.0/16
    pods   172.16.0.0/16
    web-0, vm-2 --- demo-peer --- peer-vm --- peer-far --- far-vm
    table demo-main              table peer-main          table far-main
""",
    topology="topologies/peered.yaml",
    model="vpc",
    steps=(
        Step(
            "Two peerings in a row, and the routes that make them work.",
            (
                Command("lab get peerings", shows=("demo-peer", "peer-far")),
                Command("lab get routes", shows=("10.1.0.0/16", "192.168.0.0/16")),
                Command("lab exec vm-2 -- curl -s -m 5 {peer-vm}:8080/clientip", shows=("192.168.1.",)),
            ),
            "a peering alone does nothing: demo-main leads to it, peer-main leads back.",
        ),
        Step(
            "The pods' range is not the VPC's. Does web-0 reach peer-vm?",
            (
                Command("lab exec web-0 -- curl -s -m 1 {peer-vm}:8080", status=28),
                Command("lab trace web-0 peer-vm --port 8080 | head -4", shows=("the answer is dropped",)),
            ),
            "the question arrives. The answer is for 172.16.0.2, and VPC peer has a route to 192.168.0.0/16 only.",
        ),
        Step(
            "From the first VPC to the third, with a route that seems to lead there.",
            (
                Command("lab apply -f -", TOWARDS_FAR),
                Command("lab exec vm-2 -- curl -s -m 1 {far-vm}:8080", status=28),
                Command("lab exec peer-vm -- curl -s -m 5 {far-vm}:8080/clientip", shows=("10.1.1.",)),
            ),
            "demo is peered with peer, and peer with far. That does not join demo and far: a peering takes only what "
            "is for the other VPC itself.",
        ),
    ),
    questions=(
        (
            "In a tunnel network the same curl from web-0 to peer-vm works at once. Why?",
            "peer-vm sees n1's address there, 192.168.0.2, and to that VPC peer has a route.",
        ),
        (
            "What would have to be made for vm-2 to reach far-vm?",
            "A third peering, between demo and far, with routes on both its sides.",
        ),
    ),
    task="let web-0 reach peer-vm with its own address, and keep everything that worked.",
    hint="apply RouteTable peer-main with one more route: 172.16.0.0/16 by the peering demo-peer.",
    solution=(Command("lab apply -f -", BACK_TO_PODS),),
    check=check,
)
