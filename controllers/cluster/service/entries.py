"""The addresses under which a Service's port is reached, and what happens to a new connection there.

What is the same on every node (``everywhere``) is kept apart from what a policy makes the node's own (``on_node``),
so that a thousand Services are planned once and not once per node.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from controllers.cluster.fields import NODE_PORT, SOURCE, Source
from controllers.cluster.service.ports import match_port
from controllers.cluster.service.served import DROPPED, Choice, Served, choose, own_stack_only
from controllers.openflow import Match
from controllers.openflow.fields import Target, Value
from testbed.model.desired import NetworkModel


@dataclass(frozen=True, slots=True)
class Entry:
    """``hide``: the connection takes the node's address."""

    priority: int
    what: Match
    choice: Choice
    note: str
    hide: bool = False


def everywhere(served: Served) -> Iterator[Entry]:
    """The cluster address; node ports and external addresses of policy Cluster, whose endpoints see the node.

    Under Local, the node itself still reaches any endpoint.
    """
    port, anywhere = served.port, choose(served)
    if port.cluster_ip is not None and not port.internal_local:
        yield Entry(200, _to(served, port.cluster_ip), anywhere, "its cluster address")
    if port.node_port is not None:
        if port.external_local:
            own = _to_node_port(served, port.node_port, Source.NODE)
            yield Entry(220, own, anywhere, f"node port {port.node_port}, from the node itself", hide=True)
        else:
            yield Entry(200, _to_node_port(served, port.node_port), anywhere, f"node port {port.node_port}", hide=True)
    if not port.external_local:
        for address in port.external_addresses:
            yield from _external(served, address, anywhere, hide=True)


def on_node(served: Served, node: str, model: NetworkModel) -> Iterator[Entry]:
    """What policy Local leaves to the endpoints of ``node``, which see the client."""
    port, here = served.port, choose(served, node)
    if port.internal_local and port.cluster_ip is not None:
        yield Entry(200, _to(served, port.cluster_ip), here, "its cluster address, this node's endpoints")
    if port.external_local:
        if port.node_port is not None:
            yield from _local_node_port(served, port.node_port, here, model)
        for address in port.external_addresses:
            yield from _external(served, address, here, hide=False)


def _local_node_port(served: Served, number: int, here: Choice, model: NetworkModel) -> Iterator[Entry]:
    """In ``eni`` only the node's stack can be an endpoint (a pod would answer the client past the node), in ``vpc``
    pods don't reach their own node's port; both as documented."""
    note = f"node port {number}, this node's endpoints"
    choice = own_stack_only(here) if model is NetworkModel.ENI else here
    yield Entry(200, _to_node_port(served, number), choice, note)
    if served.port.bound and here is DROPPED and model is not NetworkModel.ENI:
        yield from _without_endpoint(served, number, model)
    elif model is NetworkModel.VPC:
        yield Entry(300, _to_node_port(served, number, Source.POD), DROPPED, f"{note}, from this node's pods")


def _without_endpoint(served: Served, number: int, model: NetworkModel) -> Iterator[Entry]:
    """IPVS, a node that has none: its pods reach any endpoint; its own stack none in ``tunnel``. As documented."""
    pods, own = (_to_node_port(served, number, source) for source in (Source.POD, Source.NODE))
    yield Entry(300, pods, choose(served), f"node port {number}, from this node's pods", hide=True)
    if model is NetworkModel.TUNNEL:
        yield Entry(300, own, DROPPED, f"node port {number}, from the node itself, which has no endpoint")


def _external(served: Served, address: IPv4Address, choice: Choice, hide: bool) -> Iterator[Entry]:
    note = f"external address {address}"
    if not served.port.source_ranges:
        yield Entry(200, _to(served, address), choice, note, hide)
        return
    for cidr in served.port.source_ranges:
        yield Entry(210, _to(served, address, ipv4_src=cidr), choice, f"{note}, for {cidr}", hide)
    yield Entry(100, _to(served, address), DROPPED, f"{note}, not for everybody")


def _to(served: Served, address: IPv4Address, **more: Value) -> Match:
    return match_port(served.port.protocol, "dst", served.port.port, None, ipv4_dst=address, **more)


def _to_node_port(served: Served, number: int, source: Source | None = None) -> Match:
    where: dict[Target, Value] = {} if source is None else {SOURCE: source}
    return match_port(served.port.protocol, "dst", number, {NODE_PORT: 1, **where})
