"""br-int, tables hide, local and remote: Service connections that take another source address, and refusals."""

from __future__ import annotations

from collections.abc import Iterator

from controllers.cluster.fields import (
    DISGUISE,
    HIDDEN,
    LOCAL_16,
    OUT_PORT,
    REFUSED,
    SERVED,
    SOURCE,
    Source,
)
from controllers.cluster.leave import to_vpc
from controllers.cluster.view import NodeView
from controllers.openflow import Ct, Flow, SetField, Snat, match
from controllers.openflow.fields import ETH_DST, ETH_SRC, IPV4
from testbed.model.desired import NODE_STAND_IN, REFUSE_MAC, SERVICE_SOURCE_PORTS


def plan(view: NodeView) -> Iterator[Flow]:
    yield from _hide(view)
    yield from _leave(view)


def _hide(view: NodeView) -> Iterator[Flow]:
    """Nobody can be the peer of itself over a wire: neither the node's stack nor a pod."""
    node = view.node
    stand_in = (Ct(DISGUISE, table="local", commit=True, nat=Snat(NODE_STAND_IN)),)
    refused = match({REFUSED: 1, SOURCE: Source.NODE}, eth_type=IPV4)
    yield Flow("hide", 400, refused, stand_in, owner=node.owner, note="refused to the node itself")
    to_node = match({HIDDEN: 1}, ipv4_dst=node.address)
    yield Flow("hide", 300, to_node, stand_in, owner=node.owner, note="to the node's stack")
    as_node = (Ct(DISGUISE, table="local", commit=True, nat=Snat(node.address, ports=SERVICE_SOURCE_PORTS)),)
    yield Flow(
        "hide", 200, match({HIDDEN: 1}, eth_type=IPV4), as_node, owner=node.owner, note="takes the node's address"
    )
    for pod in node.pods:
        if not pod.exclusive:
            itself = match({SERVED: 1}, ipv4_src=pod.address, ipv4_dst=pod.address)
            yield Flow("hide", 100, itself, as_node, owner=pod.owner, note="is its own endpoint")


def _leave(view: NodeView) -> Iterator[Flow]:
    """Tables local and remote: what is refused, and what leaves with the node's address, past the node's stack."""
    node = view.node
    refuse = (SetField(ETH_SRC, REFUSE_MAC), SetField(ETH_DST, node.int_mac), SetField(OUT_PORT, LOCAL_16))
    note = "the node's kernel refuses"
    yield Flow("local", 400, match({REFUSED: 1}), refuse, "deliver", owner=node.owner, note=note)
    served = match({SERVED: 1}, ipv4_src=node.address)
    yield to_vpc(view, 150, served, "a Service's, with the node's address")
    plain = match({SOURCE: Source.FABRIC}, ipv4_src=node.address)
    yield to_vpc(view, 140, plain, "the node's own, not a Service's after all")
