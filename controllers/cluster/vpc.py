"""br-int in the ``vpc`` model: pods' packets enter the VPC as they are, and its route tables find the other
node.

172.16.0.2 on 10.0.0.10 sends to 172.16.0.130: the container range sees pods, so the frame leaves by eth0
from the node's MAC to the gateway's; the route 172.16.0.128/25 -> n2 does the rest. To 203.0.113.9, outside
``non_masquerade``, the kernel sends with the node's address.
"""

from __future__ import annotations

from collections.abc import Iterator

from controllers.cluster import local
from controllers.cluster.fields import SOURCE, Source
from controllers.cluster.leave import to_vpc
from controllers.cluster.view import NodeView
from controllers.openflow import Flow, match


def plan(view: NodeView) -> Iterator[Flow]:
    yield from local.plan(view)
    yield from _seen_as_pods(view)
    outside = match({SOURCE: Source.POD})
    note = "outside nonMasqueradeCIDRs, by the node's stack"
    yield Flow("remote", 10, outside, local.to_node(view), "deliver", owner=view.owner, note=note)


def _seen_as_pods(view: NodeView) -> Iterator[Flow]:
    cidrs = [view.container_cidr] if view.container_cidr is not None else []
    for cidr in dict.fromkeys((*cidrs, *view.non_masquerade)):
        seen = match({SOURCE: Source.POD}, ipv4_dst=cidr)
        yield to_vpc(view, 200, seen, f"{cidr} sees the pod's address")
