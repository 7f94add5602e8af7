"""externalTrafficPolicy Local from inside the cluster, cell by cell: one pod, ``solo``, and who reaches it how.

Source: CCE user guide, "Service overview"; of load balancers also ELB FAQ, "Can a Backend Server Access Its Load
Balancer?": at layer 4 it can where the client's address is not handed on, and can't where it is.
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.scenario import Checks, Host, RunningLab


@dataclass(frozen=True, slots=True)
class Cast:
    """Names: the pod's node, ``other`` without a pod, a ``third`` one; pods ``beside`` it and ``away`` on ``other``."""

    server: str
    other: str
    third: str
    beside: str
    away: str
    server_eip: str
    other_eip: str
    node_port: int


def behind(balancer: str, kind: str, name: str, port: str, keeps_client: bool = False) -> str:
    """A LoadBalancer Service of policy Local for ``solo``. ``kind``: union (shared) or performance (dedicated);
    ``port``: of its manifest, as ``port: 90``."""
    kept = ', kubernetes.io/elb.enable-transparent-client-ip: "true"' if keeps_client else ""
    return f"""
apiVersion: v1
kind: Service
metadata:
  name: {name}
  annotations: {{kubernetes.io/elb.class: {kind}, kubernetes.io/elb.id: {balancer}{kept}}}
spec:
  type: LoadBalancer
  externalTrafficPolicy: Local
  selector: {{app: solo}}
  ports: [{{{port}, targetPort: 8080}}]
"""


def by_node_port(lab: RunningLab, checks: Checks, cast: Cast, in_ipvs_mode: bool = False) -> None:
    """Models ``tunnel`` and ``vpc``. The two modes of kube-proxy differ in two cells, at a node without the pod."""
    _from_nodes(lab, checks, cast, own_answers=not in_ipvs_mode or lab.model == "vpc")
    _from_pods(lab, checks, cast, own_answers=in_ipvs_mode)


def _from_nodes(lab: RunningLab, checks: Checks, cast: Cast, own_answers: bool) -> None:
    server, other, third = (lab.node(name) for name in (cast.server, cast.other, cast.third))
    port = cast.node_port
    reached(checks, 0, server, "itself", server.address, port)
    not_reached(checks, 0, server, "a node without the pod", other.address, port)
    reached(checks, 0, other, "the pod's node", server.address, port)
    judge = reached if own_answers else not_reached
    judge(checks, 0, other, "itself, by its private address", other.address, port)
    not_reached(checks, 0, other, "itself, by its public address", cast.other_eip, port)
    not_reached(checks, 0, other, "another node without the pod", third.address, port)


def _from_pods(lab: RunningLab, checks: Checks, cast: Cast, own_answers: bool) -> None:
    server, other, third = (lab.node(name) for name in (cast.server, cast.other, cast.third))
    beside, away, port = lab.pod(cast.beside), lab.pod(cast.away), cast.node_port
    private = "its own node, which has the pod, by the private address"
    if lab.model == "vpc":
        not_reached(checks, 48, beside, private, server.address, port)
    else:
        reached(checks, 49, beside, private, server.address, port)
    reached(checks, 48, beside, "its own node, by the public address", cast.server_eip, port)
    not_reached(checks, 46, beside, "a node without the pod", other.address, port)
    reached(checks, 45, away, "the pod's node", server.address, port)
    if own_answers:
        reached(checks, 0, away, "its own node, which has no pod", other.address, port)
    else:
        not_reached(checks, 46, away, "its own node, which has no pod", other.address, port)
    not_reached(checks, 46, away, "a third node", third.address, port)


def by_balancer(lab: RunningLab, checks: Checks, cast: Cast, number: int, name: str, port: int) -> None:
    """The only member is the pod's node. It sees its client, so it gets packets from itself when it asks itself."""
    address, away, outside = lab.host(name).address, lab.pod(cast.away), lab.host("vm-1")
    for client in (lab.node(cast.server), lab.pod(cast.beside)):
        not_reached(checks, number, client, f"{name}, whose member is its own node", address, port)
    reached(checks, number, away, f"{name}, whose member is another node", address, port)
    seen = outside.http(address, port)
    checks.allowed(number, f"{outside} to {name}", seen, source=outside.address, server="solo")


def reached(checks: Checks, number: int, client: Host, what: str, address: object, port: int) -> None:
    checks.allowed(number, f"{client} to {what}", client.http(str(address), port), server="solo")


def not_reached(checks: Checks, number: int, client: Host, what: str, address: object, port: int) -> None:
    checks.blocked(number, f"{client} to {what}", client.http(str(address), port, timeout=1.0))
