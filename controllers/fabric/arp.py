"""Table arp: answers in the place of whoever was asked, so that ARP reaches nobody.

10.0.0.5 asks "who has 10.0.0.9": the question is turned into the answer (operation 2, the owner's MAC, the two
addresses swapped) and leaves through table output, which knows the asker's port and tag. In a VPC the answered
addresses are those that exist: ENIs, gateways, load balancers. A host of the internet has an address and nothing
on its link, so any question of it is answered with the gateway's MAC.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from ipaddress import IPv4Address

from controllers.fabric.fields import DST_ENI, HAIRPIN, NETWORK, SCRATCH, SRC_ENI
from controllers.fabric.spoof_guard import OWNER
from controllers.fabric.view import FabricView
from controllers.openflow import Action, Copy, Flow, SetField, match
from controllers.openflow.fields import ARP_OP, ARP_SHA, ARP_SPA, ARP_THA, ARP_TPA, ETH_DST, ETH_SRC
from testbed.model.desired import GATEWAY_MAC, INTERNET, FabricLoadBalancer


def plan(view: FabricView) -> Iterator[Flow]:
    for eni in view.state.enis:
        if eni.network == INTERNET:
            own = match({NETWORK: INTERNET}, arp_op=1, arp_tpa=eni.address)
            yield Flow("arp", 200, own, owner=eni.owner, note="nobody else has its address")
        else:
            yield _answered(eni.network, eni.address, eni.mac, eni.owner)
    for subnet in view.state.subnets:
        yield _answered(subnet.network, subnet.gateway, GATEWAY_MAC, subnet.owner)
    for balancer in view.state.load_balancers:
        yield from _balancer(balancer)
    yield _internet()


def _balancer(balancer: FabricLoadBalancer) -> Iterator[Flow]:
    for address in {balancer.address, balancer.snat_address} - {None}:
        assert address is not None
        yield _answered(balancer.network, address, balancer.mac, balancer.owner)


@lru_cache(1)
def _internet() -> Flow:
    asked, note = match({NETWORK: INTERNET}, arp_op=1), "everybody is behind the gateway"
    return Flow("arp", 100, asked, _answer(GATEWAY_MAC), "output", owner=OWNER, note=note)


@lru_cache(1 << 15)
def _answered(network: int, address: IPv4Address, mac: str, owner: str) -> Flow:
    asked = match({NETWORK: network}, arp_op=1, arp_tpa=address)
    return Flow("arp", 100, asked, _answer(mac), "output", owner=owner, note=f"{address} is at {mac}")


@lru_cache(1 << 15)
def _answer(mac: str) -> tuple[Action, ...]:
    return (
        Copy(ETH_SRC, ETH_DST),
        SetField(ETH_SRC, mac),
        SetField(ARP_OP, 2),
        Copy(ARP_SHA, ARP_THA),
        SetField(ARP_SHA, mac),
        Copy(ARP_SPA, SCRATCH),
        Copy(ARP_TPA, ARP_SPA),
        Copy(SCRATCH, ARP_TPA),
        Copy(SRC_ENI, DST_ENI),
        SetField(HAIRPIN, 1),
    )
