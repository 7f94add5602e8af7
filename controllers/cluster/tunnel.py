"""br-int in the ``tunnel`` model: VXLAN to the node that owns the destination's block.

172.16.0.2 on 10.0.0.10 sends to 172.16.0.18: one flow for 172.16.0.16/28 says tunnel destination 10.0.0.11
and the cluster's VNI. Nodes' addresses go the same way, so that pods and nodes see each other's own
addresses.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from controllers.cluster import local
from controllers.cluster.fields import OUT_PORT, SERVED, SOURCE, Source
from controllers.cluster.view import NodeView, Peer
from controllers.openflow import Flow, SetField, match
from controllers.openflow.fields import TUN_IPV4_DST, TUNNEL_ID
from testbed.model.desired import TUNNEL_PORT


def plan(view: NodeView) -> Iterator[Flow]:
    yield from local.plan(view)
    yield _no_transit(view)
    for peer in view.peers:
        yield from _to_peer(peer, view.vni)
    yield from _outside(view)


def _no_transit(view: NodeView) -> Flow:
    came = match({SOURCE: Source.TUNNEL, SERVED: 0})
    return Flow("remote", 300, came, owner=view.owner, note="from a tunnel to this node only")


@lru_cache(1 << 14)
def _to_peer(peer: Peer, vni: int) -> tuple[Flow, ...]:
    """The same for all nodes of a cluster, so it is made once."""
    actions = (
        SetField(TUN_IPV4_DST, peer.address),
        SetField(TUNNEL_ID, vni),
        SetField(OUT_PORT, TUNNEL_PORT),
    )
    node = match({SOURCE: Source.POD}, ipv4_dst=peer.address)
    note = "by tunnel to the node"
    blocks = (
        Flow(
            "remote", 200, match(ipv4_dst=block), actions, "deliver",
            owner=peer.owner, note=f"by tunnel to block {block}",
        )
        for block in peer.blocks
    )  # fmt: skip
    return (*blocks, Flow("remote", 100, node, actions, "deliver", owner=peer.owner, note=note))


def _outside(view: NodeView) -> Iterator[Flow]:
    """The kernel masquerades what isn't the cluster's own; container addresses of nobody end here."""
    if view.container_cidr is not None:
        nobody = match(ipv4_dst=view.container_cidr)
        yield Flow("remote", 50, nobody, owner=view.owner, note="no node has this container address")
    outside = match({SOURCE: Source.POD})
    note = "outside the cluster, by the node's stack"
    yield Flow("remote", 10, outside, local.to_node(view), "deliver", owner=view.owner, note=note)
