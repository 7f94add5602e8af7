"""VPCs side by side: equal ranges, peerings, and where the routes of a table lead."""

from __future__ import annotations

from testbed.scenario import Checks, Host, RunningLab, scenario

ECHO = 8080

TO_PEER = "{destination: 10.1.0.0/16, nextHop: {peering: demo-peer}}"
TO_FAR = "{destination: 10.2.0.0/16, nextHop: {peering: demo-peer}}"
BACK_TO_PEER = "{destination: 10.1.0.0/16, nextHop: {peering: peer-far}}"
BACK_TO_DEMO = "{destination: 192.168.0.0/16, nextHop: {peering: peer-far}}"
TO_FAR_ALONE = "routes: [{destination: 10.2.0.0/16, nextHop: {peering: peer-far}}]"

TWIN = """
apiVersion: cnlab.dev/v1
kind: Vpc
metadata: {{name: twin}}
spec: {{cidr: 192.168.0.0/16}}
---
apiVersion: cnlab.dev/v1
kind: Subnet
metadata: {{name: twin-servers}}
spec: {{vpc: twin, cidr: 192.168.1.0/24}}
---
apiVersion: cnlab.dev/v1
kind: SecurityGroup
metadata: {{name: twin-open}}
spec: {{vpc: twin, ingress: [{{}}]}}
---
apiVersion: cnlab.dev/v1
kind: Server
metadata: {{name: twin-1}}
spec: {{subnet: twin-servers, address: {one}, securityGroups: [twin-open], containers: [{echo}]}}
---
apiVersion: cnlab.dev/v1
kind: Server
metadata: {{name: twin-2}}
spec: {{subnet: twin-servers, address: {other}, securityGroups: [twin-open], containers: [{echo}]}}
"""
ECHO_SERVER = "{name: echo, image: echo, ports: [{containerPort: 8080}]}"

TWIN_PEERING = """
apiVersion: cnlab.dev/v1
kind: VpcPeering
metadata: {name: demo-twin}
spec: {requester: demo, accepter: twin}
"""

GATE = """
apiVersion: cnlab.dev/v1
kind: Server
metadata: {{name: {name}}}
spec: {{subnet: servers, securityGroups: [open], sourceDestCheck: {check}}}
"""


@scenario("topologies/peered.yaml")
def vpcs(lab: RunningLab, checks: Checks) -> None:
    """VPCs: equal ranges, peerings, routes"""
    equal_ranges(lab, checks, lab.node("n1"))
    transitive(lab, checks)
    one_sided(lab, checks)
    forwarding_servers(lab, checks, lab.host("vm-2"))
    refused_routes(lab, checks)


def equal_ranges(lab: RunningLab, checks: Checks, node: Host) -> None:
    """A VPC with the same ranges, and servers in it with the same addresses."""
    server = lab.host("vm-2")
    lab.apply(TWIN.format(one=lab.host("vm-1").address, other=server.address, echo=ECHO_SERVER))
    lab.wait_ready()
    with lab.capture("vm-2/eth0", "twin-2/eth0") as wire:
        seen = lab.host("twin-1").http(server.address, ECHO)
    checks.allowed(0, "in a VPC of equal ranges: an address is its own server's", seen, server="twin-2")
    places = {frame.place for frame in wire.frames if frame.destination == str(server.address)}
    checks.equal(0, "the other VPC hears nothing of it", places, {"twin-2/eth0"})
    seen = node.http(server.address, ECHO)
    checks.allowed(0, "the same address in this VPC", seen, source=node.address, server="vm-2")
    reason = lab.refusal(TWIN_PEERING)
    checks.that(0, "a peering of VPCs with equal ranges is refused", "overlap" in reason, "refused: overlap",
                reason or "accepted")  # fmt: skip


def transitive(lab: RunningLab, checks: Checks) -> None:
    server, peer, far = lab.host("vm-2"), lab.host("peer-vm"), lab.host("far-vm")
    checks.allowed(34, "A to B", server.http(peer.address, ECHO), source=server.address)
    checks.allowed(34, "B to C", peer.http(far.address, ECHO), source=peer.address)
    with (
        lab.changed("RouteTable", "demo-main", f"routes: [{TO_PEER}, {TO_FAR}]"),
        lab.changed("RouteTable", "far-main", f"routes: [{BACK_TO_PEER}, {BACK_TO_DEMO}]"),
    ):
        with lab.capture("vm-2/eth0", "far-vm/eth0") as wire:
            seen = server.http(far.address, ECHO)
        checks.dropped(34, "A to C through B, with routes in all three: not transitive", seen)
        places = {frame.place for frame in wire.between(str(server.address), str(far.address))}
        checks.equal(34, "what A sends to C does not come there", places, {"vm-2/eth0"})
        checks.dropped(34, "and C to A", far.http(server.address, ECHO))


def one_sided(lab: RunningLab, checks: Checks) -> None:
    server, peer, pod = lab.host("vm-2"), lab.host("peer-vm"), lab.pod("web-0")
    checks.allowed(33, "routes on both sides", server.http(peer.address, ECHO), source=server.address)
    with lab.changed("RouteTable", "peer-main", TO_FAR_ALONE):
        with lab.capture("peer-vm/eth0") as wire:
            seen = server.http(peer.address, ECHO)
        checks.dropped(33, "route on one side only", seen, [f"{len(wire.frames)} frames at peer-vm"])
        checks.dropped(33, "and from the other side", peer.http(server.address, ECHO))
        checks.dropped(33, "nor a pod", pod.http(peer.address, ECHO))
    checks.allowed(33, "the route is back", server.http(peer.address, ECHO), source=server.address)
    if lab.model != "vpc":  # there the peer has no route to pods, which show their own addresses
        checks.allowed(33, "for a pod too", pod.http(peer.address, ECHO), server=peer.name)


ROUTES_TO_GATES = (
    f"routes: [{TO_PEER}, {{destination: 10.9.0.0/16, nextHop: {{server: gate-1}}}},"
    " {destination: 10.9.1.0/24, nextHop: {server: gate-2}}]"
)


def forwarding_servers(lab: RunningLab, checks: Checks, server: Host) -> None:
    """Routes to servers that forward for others; what is sent to an address of no one shows where they lead."""
    gates = [GATE.format(name=name, check="false") for name in ("gate-1", "gate-2")]
    lab.apply(*gates, lab.document_with("RouteTable", "demo-main", ROUTES_TO_GATES))
    arrives(lab, checks, "by the route", server, "10.9.0.1", {"gate-1/eth0"})
    arrives(lab, checks, "by the one with the longest prefix", server, "10.9.1.1", {"gate-2/eth0"})
    lab.apply(GATE.format(name="gate-1", check="true"))
    arrives(lab, checks, "not at an ENI that checks destinations", server, "10.9.0.1", {"nothing"})
    foreign_source(lab, checks, "gate-1", server, {"nothing"})
    foreign_source(lab, checks, "gate-2", server, {"vm-2/eth0"})


def foreign_source(lab: RunningLab, checks: Checks, gate: str, server: Host, places: set[str]) -> None:
    """A server sends with an address that is not its ENI's."""
    sender = lab.host(gate)
    sender.ping(server.address)  # so that it need not ask for the neighbour in a foreign name
    lab.run(sender, "ip", "address", "add", "10.9.7.7/32", "dev", "lo")
    with lab.capture("vm-2/eth0") as wire:
        lab.run(sender, "ping", "-c1", "-W1", "-I", "10.9.7.7", str(server.address))
    frames = wire.where(lambda frame: frame.source == "10.9.7.7")
    seen = {frame.place for frame in frames} or {"nothing"}
    checks.equal(0, f"{gate} sends with a foreign source", seen, places, frames[:1])


def arrives(lab: RunningLab, checks: Checks, title: str, server: Host, address: str, places: set[str]) -> None:
    with lab.capture("gate-1/eth0", "gate-2/eth0") as wire:
        server.ping(address, timeout=1)
    frames = wire.where(lambda frame: frame.destination == address)
    seen = {frame.place for frame in frames} or {"nothing"}
    checks.equal(0, f"{server} to {address}: {title}", seen, places, frames[:1])


def refused_routes(lab: RunningLab, checks: Checks) -> None:
    twice = ROUTES_TO_GATES.replace("10.9.1.0/24", "10.9.0.0/16")
    reason = lab.refusal(lab.document_with("RouteTable", "demo-main", twice))
    checks.that(
        0, "two routes to one destination are refused", "10.9.0.0/16" in reason, "refused", reason or "accepted"
    )
