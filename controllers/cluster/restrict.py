"""br-int, table restrict: what no pod may send."""

from __future__ import annotations

from collections.abc import Iterator

from controllers.cluster.ex import VXLAN
from controllers.cluster.view import NodeView, Peer
from controllers.openflow import Flow, match
from testbed.model.desired import ClusterNode, NetworkModel

_DHCP_SERVER = 67


def plan(view: NodeView) -> Iterator[Flow]:
    server = match(udp_src=_DHCP_SERVER)
    yield Flow("restrict", 200, server, owner=view.owner, note="pods are no DHCP servers")
    if view.model is NetworkModel.TUNNEL:
        nodes: tuple[ClusterNode | Peer, ...] = (view.node, *view.peers)
        for node in nodes:
            forged = match(ipv4_dst=node.address, udp_dst=VXLAN)
            yield Flow("restrict", 200, forged, owner=node.owner, note="pods send no VXLAN to nodes")
