"""br-int, tables hide, local and remote: Service connections that take another source address, and refusals."""

from __future__ import annotations

from collections.abc import Iterator

from controllers.cluster.fields import (
    DISGUISE,
    HIDDEN,
    HIDE,
    LOCAL_16,
    OUT_PORT,
    REFUSED,
    SERVED,
    SOURCE,
    Source,
)
from controllers.cluster.leave import to_vpc
from controllers.cluster.view import NodeView
from controllers.openflow import Action, Ct, Flow, SetField, Snat, match
from controllers.openflow.fields import ETH_DST, ETH_SRC, IPV4
from testbed.model.desired import (
    HAIRPIN_SOURCE_PORTS,
    NODE_STAND_IN,
    POD_GATEWAY_MAC,
    REFUSE_MAC,
    SERVICE_SOURCE_PORTS,
    ClusterNode,
    NetworkModel,
)

_REFUSED = {
    NetworkModel.TUNNEL: (Source.NODE,),
    NetworkModel.VPC: (Source.NODE,),
    NetworkModel.ENI: (Source.NODE, Source.POD),
}
"""Whose refusals the node's kernel would not send to br-int by itself."""


def plan(view: NodeView) -> Iterator[Flow]:
    yield from _hide(view)
    yield from _leave(view)


def _hide(view: NodeView) -> Iterator[Flow]:
    """Nobody can be the peer of itself over a wire: neither the node's stack nor a pod."""
    node = view.node
    stand_in = (Ct(DISGUISE, table="local", commit=True, nat=Snat(NODE_STAND_IN)),)
    for source in _REFUSED[view.model]:
        refused = match({REFUSED: 1, SOURCE: source}, eth_type=IPV4)
        note = f"refused to the {source.name.lower()}, the answer must come by here"
        yield Flow("hide", 400, refused, stand_in, owner=node.owner, note=note)
    to_node = match({HIDDEN: 1}, ipv4_dst=node.address)
    yield Flow("hide", 300, to_node, stand_in, owner=node.owner, note="to the node's stack")
    as_node = _as_node(node, (SERVICE_SOURCE_PORTS[0], HAIRPIN_SOURCE_PORTS[0] - 1))
    yield Flow(
        "hide", 200, match({HIDDEN: 1}, eth_type=IPV4), as_node, owner=node.owner, note="takes the node's address"
    )
    to_itself = _as_node(node, HAIRPIN_SOURCE_PORTS)
    for pod in node.pods:
        if pod.exclusive:
            by_link = match({HIDDEN: 1}, ipv4_src=pod.address)
            yield Flow("hide", 260, by_link, as_node, owner=pod.owner, note="its link carries the Service range only")
        else:
            itself = match({SERVED: 1}, ipv4_src=pod.address, ipv4_dst=pod.address)
            yield Flow("hide", 260, itself, to_itself, owner=pod.owner, note="is its own endpoint")
    if view.model is NetworkModel.ENI:
        pods = match({HIDDEN: 1, SOURCE: Source.POD}, eth_type=IPV4)
        yield Flow("hide", 250, pods, goto="local", owner=view.owner, note="a sub-ENI carries the pod's address only")


def _as_node(node: ClusterNode, ports: tuple[int, int]) -> tuple[Action, ...]:
    return (Ct(DISGUISE, table="local", commit=True, nat=Snat(node.address, ports=ports)),)


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
    if view.model is NetworkModel.ENI:
        yield from _refused(node)


def _refused(node: ClusterNode) -> Iterator[Flow]:
    """Table local, ``eni``: the node's own connections, which hide, go to pods by the VPC."""
    for pod in node.pods:
        said = match({SOURCE: Source.NODE, HIDE: 0}, ipv4_dst=pod.address)
        actions = (SetField(ETH_SRC, POD_GATEWAY_MAC), SetField(ETH_DST, pod.mac), SetField(OUT_PORT, pod.port))
        yield Flow("local", 200, said, actions, "deliver", owner=pod.owner, note="the node's kernel refuses")
