"""Table spoof_guard: an ENI speaks for itself only.

What passes is listed, everything else is dropped: IPv6, LLDP, spanning tree and unknown protocols by not being
listed. An ENI whose source/destination check is off may forward for others. When the state says for whom (a node's
container block, 172.16.0.0/25), it may send for exactly those: a pod can't take the address of a pod on another node.
Otherwise (a server that routes or translates) it may send anything.
No ENI answers by ARP: table arp does that.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from controllers.fabric.fields import SOURCE_OWN, SRC_ENI
from controllers.fabric.view import FabricView
from controllers.openflow import Flow, SetField, match
from testbed.model.desired import Eni

OWNER = "Fabric"
_IPV4, _ARP, _IPV6 = 0x0800, 0x0806, 0x86DD
_GROUP_BIT = (0x010000000000, 0x010000000000)
_ANYTHING = "0.0.0.0/0"


def plan(view: FabricView) -> Iterator[Flow]:
    yield from _never()
    for eni in view.state.enis:
        yield from _own(eni)
        if not eni.source_dest_check:
            yield from _others(eni)


@lru_cache(1)
def _never() -> tuple[Flow, ...]:
    table, owner = "spoof_guard", OWNER
    return (
        Flow(table, 300, match(eth_type=_IPV4, eth_dst=_GROUP_BIT), owner=owner, note="no IP broadcast or multicast"),
        Flow(table, 300, match(udp_src=67), owner=owner, note="no DHCP servers"),
        Flow(table, 10, match(eth_type=_IPV4), owner=owner, note="source address or MAC is not the ENI's"),
        Flow(table, 10, match(eth_type=_ARP), owner=owner, note="ARP sender is not the ENI"),
        Flow(table, 10, match(eth_type=_IPV6), owner=owner, note="no IPv6 in this VPC"),
    )


@lru_cache(1 << 15)
def _own(eni: Eni) -> tuple[Flow, Flow]:
    sent = match({SRC_ENI: eni.id}, eth_src=eni.mac, ipv4_src=eni.address)
    asks = match({SRC_ENI: eni.id}, eth_src=eni.mac, arp_op=1, arp_spa=eni.address, arp_sha=eni.mac)
    return (
        Flow("spoof_guard", 200, sent, (SetField(SOURCE_OWN, 1),), "egress", owner=eni.owner, note="its own address"),
        Flow("spoof_guard", 200, asks, goto="arp", owner=eni.owner, note="asks by ARP as itself"),
    )


@lru_cache(1 << 12)
def _others(eni: Eni) -> tuple[Flow, ...]:
    """It may also ask by ARP in their name: the answer goes to nobody else and says nothing about them."""
    sources = [str(block) for block in sorted(eni.sends_for)] or [_ANYTHING]
    return tuple(flow for source in sources for flow in _other(eni, source))


def _other(eni: Eni, source: str) -> tuple[Flow, Flow]:
    sent = match({SRC_ENI: eni.id}, eth_src=eni.mac, ipv4_src=source, eth_type=_IPV4)
    asks = match({SRC_ENI: eni.id}, eth_src=eni.mac, arp_op=1, arp_spa=source, arp_sha=eni.mac)
    note = "forwards for anybody" if source == _ANYTHING else f"forwards for {source}"
    return (
        Flow("spoof_guard", 100, sent, goto="egress", owner=eni.owner, note=note),
        Flow("spoof_guard", 100, asks, goto="arp", owner=eni.owner, note=f"{note}, asks in their name"),
    )
