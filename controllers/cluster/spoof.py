"""br-int, table spoof: a pod speaks with its own MAC and address, untagged."""

from __future__ import annotations

from collections.abc import Iterator

from controllers.cluster.fields import HIDE, UNTAGGED
from controllers.cluster.view import NodeView
from controllers.openflow import Flow, SetField, match


def plan(view: NodeView) -> Iterator[Flow]:
    for pod in view.node.pods:
        says = match(in_port=pod.port, vlan_vid=UNTAGGED, eth_src=pod.mac, arp_spa=pod.address, arp_sha=pod.mac)
        sends = match(in_port=pod.port, vlan_vid=UNTAGGED, eth_src=pod.mac, ipv4_src=pod.address)
        yield Flow("spoof", 100, says, goto="arp", owner=pod.owner, note="asks as itself")
        actions = (SetField(HIDE, 1),) if pod.exclusive else ()
        yield Flow("spoof", 100, sends, actions, "restrict", owner=pod.owner, note="sends as itself")
