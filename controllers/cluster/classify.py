"""br-int, table classify: where a packet entered, and what is never carried."""

from __future__ import annotations

from collections.abc import Iterator

from controllers.cluster.fields import OUT_PORT, SOURCE, UNTAGGED, Source
from controllers.cluster.view import NodeView
from controllers.openflow import ANY, LOCAL, CtClear, Flow, Match, PopVlan, SetField, match
from controllers.openflow.fields import ARP, IPV4
from testbed.model.desired import PATCH_EX_PORT, TUNNEL_PORT, NetworkModel

_NEVER = (
    ("IPv6 is not carried", match(eth_type=0x86DD)),
    ("LLDP stays on its link", match(eth_type=0x88CC)),
    ("bridges' own protocols stay on their link", match(eth_dst=(0x0180C2000000, 0xFFFFFFFFFF00))),
    ("multicast and broadcast are not carried", match(ipv4_dst="224.0.0.0/3")),
)


def plan(view: NodeView) -> Iterator[Flow]:
    yield from _never(view)
    yield from _from_node(view)
    yield from _from_fabric(view)
    if view.model is NetworkModel.TUNNEL:
        yield from _from_tunnel(view)
    yield _source(view, 10, ANY, Source.POD, "spoof", "every other port is a pod's")


def _source(view: NodeView, priority: int, where: Match, source: Source, goto: str, note: str) -> Flow:
    return Flow("classify", priority, where, (SetField(SOURCE, source),), goto, owner=view.node.owner, note=note)


def _never(view: NodeView) -> Iterator[Flow]:
    for note, what in _NEVER:
        yield Flow("classify", 300, what, owner=view.owner, note=note)


def _from_node(view: NodeView) -> Iterator[Flow]:
    """What the kernel's connection table thinks of a packet comes along on the kernel's datapath, and is not ours."""
    arp, packet = match(in_port=LOCAL, eth_type=ARP), match(in_port=LOCAL, eth_type=IPV4)
    yield _source(view, 200, arp, Source.NODE, "arp", "the node asks")
    forget = (CtClear(), SetField(SOURCE, Source.NODE))
    yield Flow("classify", 200, packet, forget, "unhide", owner=view.node.owner, note="from the node")


def _from_fabric(view: NodeView) -> Iterator[Flow]:
    """Untagged from the primary ENI; tagged, for the one pod that has this VLAN, from the carrier."""
    packet = match(in_port=PATCH_EX_PORT, vlan_vid=UNTAGGED, eth_type=IPV4)
    yield _source(view, 200, packet, Source.FABRIC, "unhide", "from the VPC")
    yield Flow("classify", 100, match(in_port=PATCH_EX_PORT), owner=view.node.owner, note="no pod's from the VPC")
    for pod in view.node.pods:
        if pod.vlan is not None:
            untag = (PopVlan(), SetField(SOURCE, Source.CARRIER), SetField(OUT_PORT, pod.port))
            tagged = match(in_port=PATCH_EX_PORT, vlan_vid=pod.vlan)
            note = f"VLAN {pod.vlan} is its sub-ENI"
            yield Flow("classify", 200, tagged, untag, "untranslate", owner=pod.owner, note=note)


def _from_tunnel(view: NodeView) -> Iterator[Flow]:
    """Only this cluster's VNI, only from its nodes, and no tunnel in the tunnel."""
    for peer in view.peers:
        known = match(in_port=TUNNEL_PORT, tun_ipv4_src=peer.address, tunnel_id=view.vni, eth_type=IPV4)
        yield Flow(
            "classify", 200, known, (SetField(SOURCE, Source.TUNNEL),), "unhide",
            owner=peer.owner, note="tunnel from a node of the cluster",
        )  # fmt: skip
    note = "a tunnel from a stranger, or another VNI"
    yield Flow("classify", 100, match(in_port=TUNNEL_PORT), owner=view.owner, note=note)
    nested = match(in_port=TUNNEL_PORT, ipv4_dst=view.node.address, udp_dst=4789)
    yield Flow("classify", 300, nested, owner=view.owner, note="no tunnel in the tunnel")
