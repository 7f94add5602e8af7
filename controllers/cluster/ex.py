"""br-ex: the node's side of the VPC."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

from controllers.cluster.fields import UNTAGGED, VLAN_TAGGED
from controllers.cluster.service.ports import match_port, port_masks
from controllers.cluster.view import NodeView
from controllers.openflow import ANY, LOCAL, Flow, Local, Output, match
from controllers.openflow.fields import ARP
from testbed.model.desired import (
    CARRIER_PORT,
    NODE_PORTS,
    PATCH_INT_PORT,
    SERVICE_SOURCE_PORTS,
    UPLINK_PORT,
    NetworkModel,
)

VXLAN = 4789


def plan(view: NodeView) -> Iterator[Flow]:
    yield from _from_vpc(view)
    yield from _from_node(view)
    yield from _from_br_int(view)
    if view.node.carrier:
        yield from _carrier(view)
    if view.model is NetworkModel.TUNNEL:
        yield from _tunnels(view)
    if view.services:
        yield from _services(view)
    yield Flow("node", 10, ANY, (Local(),), owner=view.node.owner, note="to the node's own stack")


def _from_vpc(view: NodeView) -> Iterator[Flow]:
    """Only for the node's address; in ``vpc`` also for its blocks, which the VPC routes here.

    ARP answers go to LOCAL too, where Open vSwitch learns the MACs of tunnel peers.
    """
    node = view.node
    to_node = match(in_port=UPLINK_PORT, vlan_vid=UNTAGGED, ipv4_dst=node.address)
    asked = match(in_port=UPLINK_PORT, vlan_vid=UNTAGGED, arp_tpa=node.address)
    yield Flow("entry", 100, asked, (Local(),), owner=node.owner, note="ARP for the node")
    yield Flow("entry", 100, to_node, goto="node", owner=node.owner, note="to the node's address")
    if view.model is NetworkModel.VPC:
        for block in node.blocks:
            to_block = match(in_port=UPLINK_PORT, vlan_vid=UNTAGGED, ipv4_dst=block)
            note = f"to block {block}"
            yield Flow("entry", 90, to_block, (Output(PATCH_INT_PORT),), owner=node.owner, note=note)


def _from_node(view: NodeView) -> Iterator[Flow]:
    """The node's own packets, and what Open vSwitch has wrapped in VXLAN, which enters by LOCAL as well."""
    owner = view.node.owner
    for name, eth_type in (("ARP", ARP), ("packets", 0x0800)):
        sent = match(in_port=LOCAL, eth_type=eth_type)
        yield Flow("entry", 100, sent, (Output(UPLINK_PORT),), owner=owner, note=f"{name} of the node")


def _from_br_int(view: NodeView) -> Iterator[Flow]:
    """Packets that leave with the node's address (Services) or, in ``vpc``, with a pod's."""
    node = view.node
    blocks = node.blocks if view.model is NetworkModel.VPC else ()
    sources: tuple[IPv4Address | IPv4Network, ...] = (node.address, *blocks)
    for source in sources:
        leaves = match(in_port=PATCH_INT_PORT, vlan_vid=UNTAGGED, ipv4_src=source)
        note = f"from br-int with source {source}"
        yield Flow("entry", 100, leaves, (Output(UPLINK_PORT),), owner=node.owner, note=note)


def _carrier(view: NodeView) -> Iterator[Flow]:
    owner = view.node.owner
    out = match(in_port=PATCH_INT_PORT, vlan_vid=VLAN_TAGGED)
    back = match(in_port=CARRIER_PORT, vlan_vid=VLAN_TAGGED)
    yield Flow("entry", 100, out, (Output(CARRIER_PORT),), owner=owner, note="sub-ENI to the carrier")
    yield Flow("entry", 100, back, (Output(PATCH_INT_PORT),), owner=owner, note="carrier to the sub-ENI")


def _tunnels(view: NodeView) -> Iterator[Flow]:
    """Only an explicit output to LOCAL makes Open vSwitch take the tunnel header off."""
    for peer in view.peers:
        known = match(udp_dst=VXLAN, ipv4_src=peer.address)
        yield Flow("node", 300, known, (Local(),), owner=peer.owner, note="VXLAN from a node of the cluster")
    note = "VXLAN from a stranger is dropped"
    yield Flow("node", 200, match(udp_dst=VXLAN), owner=view.owner, note=note)


def _services(view: NodeView) -> Iterator[Flow]:
    """NodePorts, and answers to Service connections that took the node's address, are br-int's business."""
    owner, to_br_int = view.node.owner, (Output(PATCH_INT_PORT),)
    for first, last in (NODE_PORTS, SERVICE_SOURCE_PORTS):
        for ports in port_masks(first, last):
            for transport in ("tcp", "udp"):
                what, note = match_port(transport, "dst", ports), f"Services have ports {first}-{last}"
                yield Flow("node", 100, what, to_br_int, owner=owner, note=note)
    yield from _own_endpoints(view)


def _own_endpoints(view: NodeView) -> Iterator[Flow]:
    """The node's stack as an endpoint under policy Local answers the client itself: br-int must see that."""
    node = view.node
    for served in view.services:
        port = served.port
        if not port.external_local or port.node_port is None:
            continue
        for endpoint in port.endpoints:
            if endpoint.host_network and endpoint.node == node.name:
                what = match_port(port.protocol, "src", endpoint.port, in_port=LOCAL, ipv4_src=node.address)
                note = "may answer a client of the Service"
                yield Flow("entry", 110, what, (Output(PATCH_INT_PORT),), owner=port.owner, note=note)
