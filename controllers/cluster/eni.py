"""br-int in the ``eni`` model: each pod's frames go to the VPC on its own VLAN of the carrier ENI.

10.0.1.5 at port 100 has VLAN 7: its frames leave tagged 7, to other pods of the node too, and frames tagged
7 are for port 100. The fabric answers ARP, guards and filters; br-int adds the spoof guard and the Services.

A frame between two pods of a node passes the node's datapath twice, by two cached decisions, and the kernel finds a
decision by trying masks one after the other. So what pods send has one mask whatever its destination, and what the
carrier brings one but for the ports of Services.

A pod with an ENI of its own (``exclusive``) has a second link to br-int that carries the Service range
only. Its connections take the node's address: an endpoint's answer to the pod's own address would reach the
pod by its ENI, past the translation.
"""

from __future__ import annotations

from collections.abc import Iterator

from controllers.cluster import local
from controllers.cluster.fields import OUT_PORT, SERVED, SOURCE, Source
from controllers.cluster.view import NodeView
from controllers.openflow import Copy, Flow, PushVlan, SetField, match
from controllers.openflow.fields import ETH_DST, ETH_SRC, VLAN_VID
from testbed.model.desired import PATCH_EX_PORT, POD_GATEWAY_MAC, PodPort


def plan(view: NodeView) -> Iterator[Flow]:
    yield _from_carrier(view)
    for pod in view.node.pods:
        yield from _exclusive(view, pod) if pod.exclusive else _on_carrier(pod)
    yield from _node(view)


def _from_carrier(view: NodeView) -> Flow:
    came = match({SOURCE: Source.CARRIER})
    return Flow("local", 200, came, goto="deliver", owner=view.owner, note="the VLAN named the pod's port")


def _on_carrier(pod: PodPort) -> Iterator[Flow]:
    assert pod.vlan is not None
    actions = (PushVlan(), SetField(VLAN_VID, pod.vlan), SetField(OUT_PORT, PATCH_EX_PORT))
    note = f"on VLAN {pod.vlan}, its sub-ENI"
    yield Flow("remote", 200, match(in_port=pod.port), actions, "deliver", owner=pod.owner, note=note)
    itself = match({SERVED: 1}, in_port=pod.port, ipv4_dst=pod.address)
    turn = (Copy(ETH_SRC, ETH_DST), SetField(ETH_SRC, POD_GATEWAY_MAC), SetField(OUT_PORT, pod.port))
    yield Flow("local", 200, itself, turn, "deliver", owner=pod.owner, note="is its own endpoint")


def _exclusive(view: NodeView, pod: PodPort) -> Iterator[Flow]:
    """Services' answers to the pod, and the node as the endpoint; all else leaves with the node's address."""
    actions = (SetField(ETH_SRC, POD_GATEWAY_MAC), SetField(ETH_DST, pod.mac), SetField(OUT_PORT, pod.port))
    answer = match(ct_state="+trk+rpl", ipv4_dst=pod.address)
    yield Flow("local", 200, answer, actions, "deliver", owner=pod.owner, note="a Service answers")
    stack = match({SERVED: 1}, in_port=pod.port, ipv4_dst=view.node.address)
    note = "its node is the endpoint"
    yield Flow("local", 200, stack, local.to_node(view), "deliver", owner=pod.owner, note=note)


def _node(view: NodeView) -> Iterator[Flow]:
    for source, note in ((Source.FABRIC, "from the VPC to the node"), (Source.NODE, "a Service answers the node")):
        what = match({SOURCE: source}, ipv4_dst=view.node.address)
        yield Flow("local", 200, what, local.to_node(view), "deliver", owner=view.node.owner, note=note)
