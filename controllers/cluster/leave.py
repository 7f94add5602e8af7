"""Out of br-int to the VPC by the node's primary ENI, without the node's own stack."""

from __future__ import annotations

from controllers.cluster.fields import OUT_PORT
from controllers.cluster.view import NodeView
from controllers.openflow import Flow, Match, SetField
from controllers.openflow.fields import ETH_DST, ETH_SRC
from testbed.model.desired import PATCH_EX_PORT


def to_vpc(view: NodeView, priority: int, what: Match, note: str) -> Flow:
    """Table remote: from the node's MAC to the VPC gateway's, which routes everything, its own subnet too."""
    actions = (
        SetField(ETH_SRC, view.node.mac),
        SetField(ETH_DST, view.node.gateway_mac),
        SetField(OUT_PORT, PATCH_EX_PORT),
    )
    return Flow("remote", priority, what, actions, "deliver", owner=view.node.owner, note=note)
