"""Captured frames become addresses and ports, with what is inside a tunnel kept apart from what is outside."""

from __future__ import annotations

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.layers.vxlan import VXLAN

from testbed.observe.captures import decode


def test_a_vxlan_frame_shows_both_pairs_of_addresses() -> None:
    inner = Ether() / IP(src="172.16.0.16", dst="172.16.0.32") / TCP(sport=40000, dport=8080)
    outer = Ether() / IP(src="192.168.0.2", dst="192.168.0.3") / UDP(sport=5555, dport=4789) / VXLAN(vni=4097) / inner
    frame = decode("n1/eth0", 1.0, bytes(outer))
    assert frame is not None
    assert frame.inner is not None
    assert (frame.source, frame.destination, frame.destination_port, frame.vni) == (
        "192.168.0.2",
        "192.168.0.3",
        4789,
        4097,
    )
    assert (frame.inner.source, frame.inner.destination, frame.inner.protocol) == ("172.16.0.16", "172.16.0.32", "TCP")
    assert str(frame) == (
        "n1/eth0: 192.168.0.2:5555 > 192.168.0.3:4789 UDP VXLAN vni 4097 [ 172.16.0.16:40000 > 172.16.0.32:8080 TCP ]"
    )


def test_a_tagged_frame_keeps_its_vlan() -> None:
    frame = decode("n1/eth1", 1.0, bytes(Ether() / Dot1Q(vlan=7) / IP(src="10.0.0.1", dst="10.0.0.2", ttl=9) / ICMP()))
    assert frame is not None
    assert (frame.vlan, frame.ttl, frame.protocol) == (7, 9, "ICMP")


def test_arp_is_seen_and_other_protocols_are_not() -> None:
    arp = decode("n1/eth0", 1.0, bytes(Ether() / ARP(psrc="10.0.0.1", pdst="10.0.0.2")))
    assert arp is not None
    assert arp.protocol == "ARP"
    assert decode("n1/eth0", 1.0, bytes(Ether(type=0x88CC) / b"lldp")) is None
