"""br-ex: the node's side of the VPC."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from controllers.cluster.fields import UNTAGGED, VLAN_TAGGED
from controllers.cluster.service.ports import match_port, port_masks
from controllers.cluster.service.served import with_local_policy
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


@dataclass(frozen=True, slots=True)
class ServicePorts:
    """What br-ex must know of the Services: whether there are any, and ports of the node's own stack that answer
    clients of node ports themselves (policy Local): (protocol, port, owner)."""

    any: bool
    own: tuple[tuple[str, int, str], ...]


def plan_service_ports(view: NodeView) -> ServicePorts:
    own = {
        (served.port.protocol.value, endpoint.port): served.port.owner
        for served in with_local_policy(view.services)
        if served.port.external_local and served.port.node_port is not None
        for endpoint in served.port.endpoints
        if endpoint.host_network and endpoint.node == view.node.name
    }
    return ServicePorts(bool(view.services), tuple(sorted((*key, owner) for key, owner in own.items())))


def plan(view: NodeView, services: ServicePorts) -> Iterator[Flow]:
    yield from _from_vpc(view)
    yield from _from_node(view)
    yield from _from_br_int(view)
    if view.node.carrier:
        yield from _carrier(view)
    if view.model is NetworkModel.TUNNEL:
        yield from _tunnels(view)
    if services.any:
        yield from _services(view, services)
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


def _services(view: NodeView, services: ServicePorts) -> Iterator[Flow]:
    """NodePorts, and answers to Service connections that took the node's address, are br-int's business; so are the
    answers of the node's stack as an endpoint, for they must get the Service's port as their source."""
    node, to_br_int = view.node, (Output(PATCH_INT_PORT),)
    for first, last in (NODE_PORTS, SERVICE_SOURCE_PORTS):
        for ports in port_masks(first, last):
            for transport in ("tcp", "udp"):
                what, note = match_port(transport, "dst", ports), f"Services have ports {first}-{last}"
                yield Flow("node", 100, what, to_br_int, owner=node.owner, note=note)
    for protocol, port, owner in services.own:
        answer = match_port(protocol, "src", port, in_port=LOCAL, ipv4_src=node.address)
        note = "may answer a client of the Service"
        yield Flow("entry", 110, answer, to_br_int, owner=owner, note=note)
