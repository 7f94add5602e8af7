"""What one node's programs depend on, and nothing else: equal views have the same programs.

A view holds the other nodes' addresses and blocks but not their pods, so a pod that starts on one node leaves
the views of all others as they were.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from controllers.cluster.service.served import Served, serve
from testbed.model.desired import ClusterNode, ClusterState, NetworkModel


@dataclass(frozen=True, slots=True)
class Peer:
    """Another node of the cluster, as far as forwarding to it needs to know."""

    name: str
    address: IPv4Address
    blocks: tuple[IPv4Network, ...]
    owner: str


@dataclass(frozen=True, slots=True)
class NodeView:
    """One node in its cluster."""

    cluster: str
    model: NetworkModel
    vni: int
    owner: str
    container_cidr: IPv4Network | None
    service_cidr: IPv4Network | None
    non_masquerade: tuple[IPv4Network, ...]
    node: ClusterNode
    peers: tuple[Peer, ...]
    services: tuple[Served, ...] = ()


def plan_views(cluster: ClusterState) -> Iterator[NodeView]:
    """A view per node, in the order of the nodes."""
    peers = tuple(Peer(node.name, node.address, node.blocks, node.owner) for node in cluster.nodes)
    services = tuple(serve(port) for port in cluster.services)
    for position, node in enumerate(cluster.nodes):
        yield NodeView(
            cluster.name,
            cluster.model,
            cluster.vni,
            cluster.owner,
            cluster.container_cidr,
            cluster.service_cidr,
            cluster.non_masquerade,
            node,
            peers[:position] + peers[position + 1 :],
            services,
        )
