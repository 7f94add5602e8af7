"""br-int in the ``eni`` model: each pod's frames go to the VPC on its own VLAN of the carrier ENI.

10.0.1.5 at port 100 has VLAN 7: its frames leave tagged 7, to other pods of the node too, and frames tagged
7 are for port 100. The fabric answers ARP, guards and filters; br-int adds the spoof guard and the Services.

A pod with an ENI of its own (``exclusive``) has a second link to br-int that carries the Service range
only. Its connections take the node's address: an endpoint's answer to the pod's own address would reach the
pod by its ENI, past the translation.
"""

from __future__ import annotations

from collections.abc import Iterator

from controllers.cluster import local
from controllers.cluster.fields import BOUNCE, OUT_PORT, SERVED, SOURCE, Source
from controllers.cluster.leave import to_vpc
from controllers.cluster.view import NodeView
from controllers.openflow import Copy, Flow, PushVlan, SetField, match
from controllers.openflow.fields import ETH_DST, ETH_SRC, VLAN_VID
from testbed.model.desired import PATCH_EX_PORT, POD_GATEWAY_MAC, PodPort


def plan(view: NodeView) -> Iterator[Flow]:
    yield from _from_carrier(view)
    for pod in view.node.pods:
        yield _exclusive(pod) if pod.exclusive else _to_carrier(pod)
    yield from _node(view)


def _from_carrier(view: NodeView) -> Iterator[Flow]:
    came = match({SOURCE: Source.CARRIER})
    yield Flow("local", 200, came, goto="deliver", owner=view.owner, note="the VLAN named the pod's port")
    turn = (Copy(ETH_SRC, ETH_DST), SetField(ETH_SRC, POD_GATEWAY_MAC))
    back = match({BOUNCE: 1})
    yield Flow("local", 300, back, turn, "deliver", owner=view.owner, note="a pod is its own endpoint")


def _to_carrier(pod: PodPort) -> Flow:
    assert pod.vlan is not None
    actions = (PushVlan(), SetField(VLAN_VID, pod.vlan), SetField(OUT_PORT, PATCH_EX_PORT))
    note = f"on VLAN {pod.vlan}, its sub-ENI"
    return Flow("remote", 200, match(in_port=pod.port), actions, "deliver", owner=pod.owner, note=note)


def _exclusive(pod: PodPort) -> Flow:
    """Replies of Services to the pod; what it sends has the node's address when it gets to remote."""
    actions = (SetField(ETH_SRC, POD_GATEWAY_MAC), SetField(ETH_DST, pod.mac), SetField(OUT_PORT, pod.port))
    replies = match({SERVED: 1}, ipv4_dst=pod.address)
    return Flow("local", 200, replies, actions, "deliver", owner=pod.owner, note="a Service answers")


def _node(view: NodeView) -> Iterator[Flow]:
    to_node = match({SERVED: 1}, ipv4_dst=view.node.address)
    note = "a Service answers the node, or its endpoint is the node"
    yield Flow("local", 200, to_node, local.to_node(view), "deliver", owner=view.node.owner, note=note)
    yield to_vpc(view, 150, match({SERVED: 1}, ipv4_src=view.node.address), "a Service's, as the node")
