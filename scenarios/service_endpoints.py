"""Which endpoints a Service has, for whom and how long: ports by name, own slices, termination, affinity."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

from testbed.scenario import Checks, Host, RunningLab, scenario

WEB = ("web-0", "web-1", "web-2")

OWN = """
apiVersion: v1
kind: Service
metadata: {{name: own}}
spec:
  type: NodePort
  externalTrafficPolicy: {policy}
  ports: [{{port: 80, nodePort: 30090}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: own-1, labels: {{kubernetes.io/service-name: own}}}}
addressType: IPv4
ports: [{{port: 8080, protocol: TCP}}]
endpoints:
{endpoints}
"""

ENDPOINT = """
- addresses: [{address}]
  {node}
  conditions: {{ready: {ready}, serving: {serving}, terminating: {terminating}}}
"""


@scenario("topologies/services.yaml")
def service_endpoints(lab: RunningLab, checks: Checks) -> None:
    """Endpoints of Services: named ports, own slices, termination, client affinity"""
    client = lab.pod("client-3")
    named_ports(lab, checks, client)
    headless(lab, checks, client)
    outside_endpoint(lab, checks, client)
    termination(lab, checks, client)
    pods_that_go(lab, checks, client)
    affinity_ends(lab, checks, client)
    udp_endpoint_leaves(lab, checks, client)
    node_stack(lab, checks)


def named_ports(lab: RunningLab, checks: Checks, client: Host) -> None:
    address = lab.service("web").cluster_ip
    for port, target in ((80, 8080), (9000, 9090)):
        seen = client.http(address, port)
        checks.allowed(0, f"port {port} of three", seen, source=client.address, server=WEB)
        checks.equal(0, f"is the pods' port {target}, by its name", served_port(seen.body), target)
    checks.blocked(0, "a port that the Service lacks", client.http(address, 8080))


def served_port(body: str) -> int:
    """The port that the server was asked at, as it says itself."""
    return int(json.loads(body or "{}").get("server", ":0").rpartition(":")[2])


def headless(lab: RunningLab, checks: Checks, client: Host) -> None:
    """No switch does anything for it: its pods are reached by their own addresses, which DNS gives out."""
    try:
        found = lab.service("headless").cluster_ip
    except LookupError:
        found = "none"
    checks.equal(64, "a headless Service has no address in the switches", found, "none")
    seen = client.http(lab.pod("web-0").address, 8080)
    checks.allowed(64, "its pods answer at their own", seen, source=client.address, server="web-0")


def slices(*endpoints: tuple[Host, str], policy: str = "Cluster") -> str:
    """A Service without a selector; an endpoint is "ready", "terminating" (it still serves) or "failing"."""
    listed = (
        ENDPOINT.format(
            address=host.address,
            node=f"nodeName: {host.node}" if host.node else "",
            ready=str(state == "ready").lower(),
            serving=str(state != "failing").lower(),
            terminating=str(state == "terminating").lower(),
        ).strip("\n")
        for host, state in endpoints
    )
    return OWN.format(policy=policy, endpoints="\n".join(listed))


def outside_endpoint(lab: RunningLab, checks: Checks, client: Host) -> None:
    server = lab.host("vm-1")
    lab.apply(slices((server, "ready")))
    source = lab.node(client.node).address if lab.model == "tunnel" else client.address
    seen = client.http(lab.service("own").cluster_ip, 80)
    checks.allowed(0, "a Service without a selector, its endpoint a server of the VPC", seen, source=source,
                   server="vm-1")  # fmt: skip


def termination(lab: RunningLab, checks: Checks, client: Host) -> None:
    leaving, staying = lab.pod("web-0"), lab.pod("web-1")
    lab.apply(slices((leaving, "ready")))
    address = lab.service("own").cluster_ip
    with client.connection(address, 80) as connection:
        checks.that(0, "a connection to an endpoint", connection.alive(), "alive", connection.state)
        lab.apply(slices((leaving, "terminating"), (staying, "ready")))
        servers = {client.http(address, 80).server for _ in range(12)}
        checks.equal(0, "new ones leave a terminating endpoint", servers, {"web-1"})
        checks.that(0, "the old one is drained, not cut", connection.alive(), "alive", connection.state)
    lab.apply(slices((leaving, "terminating"), (staying, "failing")))
    servers = {client.http(address, 80).server for _ in range(6)}
    checks.equal(0, "when none is ready, one that terminates and still serves is used", servers, {"web-0"})
    if lab.model != "eni":
        lab.apply(slices((leaving, "terminating"), (staying, "ready"), policy="Local"))
        seen = lab.host("vm-1").http(lab.node(leaving.node).address, 30090)
        known = "web-0" if leaving.node != staying.node else "web-1"
        checks.allowed(45, "policy Local: so is the node's last one", seen, source=lab.host("vm-1").address,
                       server=known)  # fmt: skip
    lab.apply(slices((leaving, "failing"), (staying, "failing")))
    checks.refused(0, "when none serves, the Service refuses", client.http(address, 80))


GOING = """
---
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: going}}}}
spec:
  nodeName: {node}
  containers:
  - name: echo
    image: echo
    env: [{{name: DRAIN_SECONDS, value: "4"}}]
    ports: [{{containerPort: 8080}}]
"""
GOING_SERVICE = """
---
apiVersion: v1
kind: Service
metadata: {name: going}
spec:
  type: NodePort
  externalTrafficPolicy: Local
  selector: {app: going}
  ports: [{port: 80, targetPort: 8080, nodePort: 30091}]
"""
SLOW, LONG = "/delay?ms=5000", 20.0


def pods_that_go(lab: RunningLab, checks: Checks, client: Host) -> None:
    """Pods that are deleted while they answer: what is begun is finished, and new connections go where they can."""
    lab.apply(GOING.format(name="going-1", node="n1") + GOING_SERVICE)
    lab.wait_ready()
    lab.until_endpoints("going", 1)
    address, server = lab.service("going").cluster_ip, lab.host("vm-1")
    with ThreadPoolExecutor(2) as beside:
        begun = beside.submit(client.http, address, 80, SLOW, timeout=LONG)
        lab.apply(GOING.format(name="going-2", node="n2"))
        lab.wait_ready()
        lab.until_endpoints("going", 2)
        gone = beside.submit(lab.delete, "pod/going-1")
        lab.until_endpoints("going", 1)
        servers = {client.http(address, 80).server for _ in range(12)}
        checks.equal(63, "a pod that is deleted: new connections leave it", servers, {"going-2"})
        checks.equal(0, "while it still answers what it has begun", (begun.done(), gone.done()), (False, False))
        checks.equal(0, "which its client gets", begun.result().body.strip(), "going-1")
        gone.result()
        last = beside.submit(lab.delete, "pod/going-2")
        lab.until_endpoints("going", 0)
        seen = client.http(address, 80)
        checks.allowed(0, "the last one is deleted: as long as it serves it is asked", seen, server="going-2")
        if lab.model != "eni":
            seen = server.http(lab.node("n2").address, 30091)
            checks.allowed(45, "policy Local: so is a node's last one", seen, source=server.address, server="going-2")
        checks.equal(0, "it is still on its way out", last.done(), False)
        last.result()
    checks.refused(0, "it is gone: the Service refuses", client.http(address, 80))


def affinity_ends(lab: RunningLab, checks: Checks, client: Host) -> None:
    timeout = "sessionAffinityConfig: {clientIP: {timeoutSeconds: 1}}"
    lab.apply(lab.document_with("Service", "sticky", timeout))
    address = lab.service("sticky").cluster_ip
    servers = {client.http(address, 80).server}
    for _ in range(20):  # that 20 free choices of three fall on the same one is not to be expected
        lab.until(lambda: not lab.affinities(client), 20, "the client's endpoint to be forgotten")
        servers.add(client.http(address, 80).server)
        if len(servers) > 1:
            break
    checks.that(61, "after timeoutSeconds of silence the client's endpoint is chosen anew", len(servers) > 1,
                "another server", ", ".join(sorted(servers)))  # fmt: skip


def udp_endpoint_leaves(lab: RunningLab, checks: Checks, client: Host) -> None:
    address = lab.service("web").cluster_ip
    gone = client.udp(address, 53, source_port=5300).server
    again = {client.udp(address, 53, source_port=5300).server for _ in range(5)}
    checks.equal(41, "UDP from one port stays with its endpoint", again, {gone})
    lab.pod(gone).post("/fail")
    lab.until_endpoints("web", 2)
    lab.until(lambda: client.udp(address, 53, source_port=5300).server not in ("", gone), 10, f"UDP to leave {gone}")
    servers = {client.udp(address, 53, source_port=5300).server for _ in range(5)}
    checks.that(0, "and leaves it when it is not ready", bool(servers) and gone not in servers, f"not {gone}",
                ", ".join(sorted(servers)))  # fmt: skip
    lab.pod(gone).post("/recover")
    lab.until_endpoints("web", 3)


def node_stack(lab: RunningLab, checks: Checks) -> None:
    """A hostNetwork pod is its node's stack: policy Local works for it in every model."""
    server, n2 = lab.host("vm-1"), lab.node("n2")
    number = 47 if lab.model == "eni" else 45
    seen = server.http(n2.address, 30085)
    checks.allowed(number, "NodePort Local to a hostNetwork pod", seen, source=server.address, server="stack")
    checks.dropped(number, "by a node without it", server.http(lab.node("n3").address, 30085))
    if lab.model == "eni":
        node = lab.node(lab.pod("web-0").node)
        checks.dropped(47, "NodePort Local to pods with a sub-ENI", server.http(node.address, 30081))
