"""In words: what it means that nothing in a table matched a packet, which is then dropped."""

from __future__ import annotations

from testbed.observe.trace.packet import Packet

NOTE = "nothing else matched"
"""What the flow says that drops the rest of a table."""

_WORDS = {
    ("vpc", "classify"): "no ENI has this port and VLAN",
    ("vpc", "arp"): "nobody is known by {destination}",
    ("vpc", "internet_exit"): "no route to {destination}, and neither elastic IP nor NAT gateway for {source}",
    ("vpc", "nat_out"): "the NAT gateway has no SNAT rule for {source}",
    ("vpc", "nat_in"): "the NAT gateway has no DNAT rule for {destination}{port}",
    ("vpc", "internet"): "the internet knows no {destination}",
    ("vpc", "arrival"): "the VPC where it arrives has no route to {destination}",
    ("vpc", "deliver"): "nobody in the VPC has the address {destination}",
    ("vpc", "balancer"): "the balancer does not admit {source}{port}",
    ("vpc", "pick"): "the balancer has no healthy member",
    ("br-ex", "entry"): "the node carries nothing for {destination} from {source}",
    ("br-int", "classify"): "br-int carries no such packet",
    ("br-int", "spoof"): "{source} is not the pod's own address",
    ("br-int", "local"): "the node has no {destination}",
    ("br-int", "remote"): "no node of the cluster has {destination}",
}


def describe_miss(bridge: str, table: str, packet: Packet) -> str:
    """ "" for a table of which nothing is known."""
    port = f", {packet.protocol.upper()} port {packet.destination_port}" if packet.protocol in ("tcp", "udp") else ""
    words = _WORDS.get((bridge, table), "")
    return words.format(source=packet.source, destination=packet.destination, port=port)
