"""Services from inside the cluster: which pod answers, whose address it sees, and who is refused or left alone."""

from __future__ import annotations

from collections import Counter

from testbed.scenario import Checks, Host, RunningLab, scenario

WEB = ("web-0", "web-1", "web-2")

DEFAULT_AFFINITY = """
apiVersion: v1
kind: Service
metadata: {name: longest}
spec:
  selector: {app: web}
  sessionAffinity: ClientIP
  ports: [{port: 80, targetPort: 8080}]
"""


@scenario("topologies/services.yaml")
def in_cluster_access(lab: RunningLab, checks: Checks) -> None:
    """Services from pods and nodes of the cluster"""
    near, far = lab.pod("client-1"), lab.pod("client-3")
    cluster_ip(lab, checks, near, far)
    no_endpoints(lab, checks, near)
    affinity(lab, checks, near, far)
    default_timeout(lab, checks, far)
    internal_policy(lab, checks, near, far)
    node_ports(lab, checks, near, far)
    readiness(lab, checks, far)
    refused_numbers(lab, checks)


def cluster_ip(lab: RunningLab, checks: Checks, near: Host, far: Host) -> None:
    address = lab.service("web").cluster_ip
    for client, where in ((near, "its own node and others"), (far, "other nodes")):
        every = [client.http(address, 80) for _ in range(40)]
        example = next((one for one in every if one.client != str(client.address)), every[0])
        checks.allowed(41, f"pod to ClusterIP, endpoints on {where}", example, source=client.address, server=WEB,
                       path="pod to ClusterIP")  # fmt: skip
        servers = {one.server for one in every}
        checks.that(41, "reaches every endpoint", servers == set(WEB), ", ".join(WEB), ", ".join(sorted(servers)))
    on_the_clients_node(lab, checks, address, far)
    seen = far.udp(address, 53)
    checks.allowed(41, "the same by UDP", seen, source=far.address, server=WEB)
    node = lab.node("n3")
    checks.allowed(41, "node to ClusterIP", node.http(address, 80), server=WEB, path="node to ClusterIP")
    checks.blocked(42, "VPC server to ClusterIP", lab.host("vm-1").http(address, 80), path="VPC server to ClusterIP")
    checks.dropped(43, "ping of a ClusterIP", near.ping(address))
    counts = Counter(far.http(address, 80).server for _ in range(90))
    fair = all(10 <= counts[name] <= 55 for name in WEB)
    checks.that(41, "90 connections spread over 3 endpoints", fair, "10 to 55 each",
                ", ".join(f"{name} {counts[name]}" for name in WEB))  # fmt: skip
    hairpin(lab, checks, address)


def on_the_clients_node(lab: RunningLab, checks: Checks, address: str, far: Host) -> None:
    uplinks = ("n3/eth0", "n3/eth1") if lab.model == "eni" else ("n3/eth0",)
    with lab.capture(*uplinks) as wire:
        seen = far.http(address, 80)
    inside = [one for frame in wire.frames for one in frame.flattened]
    opened = [one for one in inside if (one.source, one.info) == (str(far.address), "S")]
    targets = {(frame.destination, frame.destination_port) for frame in opened}
    checks.equal(41, "the client's node translates: what leaves it is for the pod", targets,
                 {(str(lab.pod(seen.server).address), 8080)}, opened[:1])  # fmt: skip


def hairpin(lab: RunningLab, checks: Checks, address: str) -> None:
    """A pod that asks for its own Service reaches itself too."""
    pod = lab.pod("web-0")
    servers = {pod.http(address, 80).server for _ in range(40)}
    checks.that(41, "an endpoint reaches its own Service, itself included", servers == set(WEB), "web-0, web-1, web-2",
                ", ".join(sorted(servers)))  # fmt: skip


NOBODY = """
apiVersion: v1
kind: Service
metadata: {name: nobody}
spec:
  type: NodePort
  selector: {app: nobody}
  ports: [{port: 80, targetPort: 8080, nodePort: 30098}]
"""


def no_endpoints(lab: RunningLab, checks: Checks, near: Host) -> None:
    lab.apply(NOBODY)
    node, server = lab.node("n3"), lab.host("vm-1")
    for client, address in ((node, node.address), (near, node.address), (server, node.address)):
        seen = client.http(address, 30098)
        checks.refused(0, f"{client} to a NodePort without endpoints: refused at once", seen)
    checks.refused(0, "a node to a Service without endpoints", node.http(lab.service("empty").cluster_ip, 80))
    seen = near.http(lab.service("empty").cluster_ip, 80)
    checks.refused(0, "a Service without endpoints refuses at once", seen)
    checks.that(0, "and does not keep anybody waiting", seen.milliseconds < 1000, "under 1 s",
                f"{seen.milliseconds:.0f} ms")  # fmt: skip


def affinity(lab: RunningLab, checks: Checks, near: Host, far: Host) -> None:
    address = lab.service("sticky").cluster_ip
    for client in (near, far):
        servers = {client.http(address, 80).server for _ in range(12)}
        checks.that(61, f"ClientIP affinity: {client} stays with one pod", len(servers) == 1, "1 server",
                    ", ".join(sorted(servers)))  # fmt: skip
    plain = {far.http(lab.service("web").cluster_ip, 80).server for _ in range(40)}
    checks.that(61, "without affinity connections spread", len(plain) > 1, "several servers", ", ".join(sorted(plain)))


def default_timeout(lab: RunningLab, checks: Checks, client: Host) -> None:
    lab.apply(DEFAULT_AFFINITY)
    before = lab.affinities(client)
    checks.allowed(61, "affinity without a timeout given", client.http(lab.service("longest").cluster_ip, 80))
    learned = [seconds for seconds in lab.affinities(client) if seconds not in before]
    checks.equal(61, "is kept for the default's seconds", learned, [10800])


def internal_policy(lab: RunningLab, checks: Checks, near: Host, far: Host) -> None:
    address = lab.service("inside").cluster_ip
    local = {pod.name for pod in lab.pods("app=web", node="n1")}
    servers = {near.http(address, 80).server for _ in range(40)}
    checks.that(62, "internalTrafficPolicy Local: pods of the client's node only", servers == local,
                ", ".join(sorted(local)), ", ".join(sorted(servers)))  # fmt: skip
    checks.dropped(62, "and none where the node has no endpoint", far.http(address, 80))


def node_ports(lab: RunningLab, checks: Checks, near: Host, far: Host) -> None:
    n1, n3, server = lab.node("n1"), lab.node("n3"), lab.host("vm-1")
    seen = server.http(n3.address, 30080)
    checks.allowed(44, "NodePort by a node without the pod", seen, source=n3.address, server=WEB,
                   path="VPC server to NodePort")  # fmt: skip
    seen = far.http(n1.address, 30080)
    checks.allowed(44, "pod to NodePort", seen, source=n1.address, server=WEB, path="pod to NodePort")
    if lab.model == "eni":
        return
    local = {pod.name for pod in lab.pods("app=web", node="n1")}
    seen = server.http(n1.address, 30081)
    checks.allowed(45, "NodePort Local by a node with a pod", seen, source=server.address, server=sorted(local),
                   path="VPC server to NodePort Local")  # fmt: skip
    servers = {server.http(n1.address, 30081).server for _ in range(12)}
    checks.that(45, "which asks its own pods alone", servers <= local, ", ".join(sorted(local)),
                ", ".join(sorted(servers)))  # fmt: skip
    checks.dropped(46, "NodePort Local by a node without", server.http(n3.address, 30081))


def readiness(lab: RunningLab, checks: Checks, far: Host) -> None:
    address = lab.service("web").cluster_ip
    lab.pod("web-0").post("/fail")
    lab.until_endpoints("web", 2)
    servers = {far.http(address, 80).server for _ in range(40)}
    checks.that(63, "a pod that is not ready gets no traffic", "web-0" not in servers, "web-1, web-2",
                ", ".join(sorted(servers)))  # fmt: skip
    lab.pod("web-0").post("/recover")
    lab.until_endpoints("web", 3)
    servers = {far.http(address, 80).server for _ in range(40)}
    checks.that(63, "and again once it is ready", "web-0" in servers, "web-0 among them", ", ".join(sorted(servers)))


def refused_numbers(lab: RunningLab, checks: Checks) -> None:
    for port in (29999, 32768):
        text = lab.document("Service", "node-port").replace("30080", str(port)).replace("node-port", "other")
        checks.that(65, f"nodePort {port}", "30000-32767" in lab.refusal(text), "refused", lab.refusal(text) or "taken")
    text = lab.document("Service", "node-port").replace("{name: node-port}", "{name: other}")
    reason = lab.refusal(text)
    checks.that(65, "a nodePort that another Service has", "30080" in reason, "refused: 30080", reason or "taken")
