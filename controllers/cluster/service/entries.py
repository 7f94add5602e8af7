"""The addresses under which a Service's port is reached on a node, and what happens to a new connection there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address

from controllers.cluster.fields import SOURCE, Source
from controllers.cluster.service.ports import match_port
from controllers.cluster.service.served import Choice, Scope, Served, Verdict, choose, own_stack_only
from controllers.openflow import Match
from controllers.openflow.fields import Target, Value
from testbed.model.desired import NODE_PORT_ADDRESS, ClusterNode, NetworkModel

_DROP = Choice(Verdict.DROP, Scope.NODE)


@dataclass(frozen=True, slots=True)
class Entry:
    """``hide``: the connection takes the node's address."""

    priority: int
    what: Match
    choice: Choice
    note: str
    hide: bool = False


def plan_entries(served: Served, node: ClusterNode, model: NetworkModel) -> Iterator[Entry]:
    yield from _cluster_ip(served, node.name if served.port.internal_local else "")
    yield from _node_port(served, node, model)
    yield from _external(served, node.name)


@lru_cache(1 << 15)
def _cluster_ip(served: Served, node: str) -> tuple[Entry, ...]:
    """The same on every node, unless its policy asks for the node's own endpoints."""
    port = served.port
    if port.cluster_ip is None:
        return ()
    what = _to(served, port.cluster_ip, port.port)
    return (Entry(200, what, choose(served, port.internal_local, node), "its cluster address"),)


def _node_port(served: Served, node: ClusterNode, model: NetworkModel) -> Iterator[Entry]:
    """``Cluster``: any endpoint, which sees the node. ``Local``: this node's endpoints, which see the client; the
    node itself reaches any. Under ``Local``, in ``eni`` only the node's stack can be an endpoint (a pod would answer
    the client past the node), and in ``vpc`` pods don't reach their own node's port, both as documented.
    """
    port = served.port
    if port.node_port is None:
        return
    local = port.external_local
    what = _to(served, node.address, port.node_port)
    choice = choose(served, local, node.name)
    if local and model is NetworkModel.ENI:
        choice = own_stack_only(choice)
    yield Entry(200, what, choice, f"node port {port.node_port}", hide=not local)
    own = _to(served, NODE_PORT_ADDRESS, port.node_port)
    note = f"node port {port.node_port}, from the node itself"
    yield Entry(200, own, choose(served, False, ""), note, hide=True)
    if local and model is NetworkModel.VPC:
        pods = _to(served, node.address, port.node_port, Source.POD)
        yield Entry(300, pods, _DROP, f"node port {port.node_port} with policy Local, from this node's pods")


def _external(served: Served, node: str) -> Iterator[Entry]:
    """Addresses outside the cluster that nodes serve themselves."""
    port = served.port
    for address in port.external_addresses:
        note, hide = f"external address {address}", not port.external_local
        choice = choose(served, port.external_local, node)
        if port.external_local:
            own = _to(served, address, port.port, Source.NODE)
            yield Entry(220, own, choose(served, False, ""), f"{note}, from the node itself", hide=True)
        if not port.source_ranges:
            yield Entry(200, _to(served, address, port.port), choice, note, hide)
            continue
        for cidr in port.source_ranges:
            what = _to(served, address, port.port, ipv4_src=cidr)
            yield Entry(210, what, choice, f"{note}, for {cidr}", hide)
        yield Entry(100, _to(served, address, port.port), _DROP, f"{note}, not for everybody")


def _to(served: Served, address: IPv4Address, port: int, source: Source | None = None, **more: Value) -> Match:
    where: dict[Target, Value] = {} if source is None else {SOURCE: source}
    return match_port(served.port.protocol, "dst", port, where, ipv4_dst=address, **more)
