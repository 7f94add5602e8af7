"""br-int, table local: what ``tunnel`` and ``vpc`` share, destinations on this node."""

from __future__ import annotations

from collections.abc import Iterator

from controllers.cluster.fields import LOCAL_16, OUT_PORT
from controllers.cluster.view import NodeView
from controllers.openflow import Flow, SetField, match
from controllers.openflow.fields import ETH_DST, ETH_SRC
from testbed.model.desired import POD_GATEWAY_MAC


def plan(view: NodeView) -> Iterator[Flow]:
    yield from _pods(view)
    yield _node(view)
    yield from _nobody(view)


def to_node(view: NodeView) -> tuple[SetField, ...]:
    """Actions that hand the packet to the node's own stack."""
    return (
        SetField(ETH_SRC, POD_GATEWAY_MAC),
        SetField(ETH_DST, view.node.int_mac),
        SetField(OUT_PORT, LOCAL_16),
    )


def _pods(view: NodeView) -> Iterator[Flow]:
    for pod in view.node.pods:
        actions = (
            SetField(ETH_SRC, POD_GATEWAY_MAC),
            SetField(ETH_DST, pod.mac),
            SetField(OUT_PORT, pod.port),
        )
        here = match(ipv4_dst=pod.address)
        yield Flow("local", 200, here, actions, "deliver", owner=pod.owner, note="pod on this node")


def _node(view: NodeView) -> Flow:
    here = match(ipv4_dst=view.node.address)
    return Flow("local", 200, here, to_node(view), "deliver", owner=view.node.owner, note="the node itself")


def _nobody(view: NodeView) -> Iterator[Flow]:
    for block in view.node.blocks:
        note = f"no pod has this address of block {block}"
        yield Flow("local", 100, match(ipv4_dst=block), owner=view.node.owner, note=note)
