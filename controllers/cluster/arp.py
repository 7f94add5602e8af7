"""br-int, table arp: one answer to every question, so that ARP never leaves the node.

A pod asks for its next hop (172.16.0.2 asks for 169.254.1.1 from port 100); the answer goes back out of
port 100 with POD_GATEWAY_MAC as the owner of whatever was asked for, and br-int routes by address from
there. A question for the asker's own address (duplicate detection, gratuitous ARP) has no answer, or the
asker would believe that somebody else has it.
"""

from __future__ import annotations

from collections.abc import Iterator

from controllers.cluster.fields import ASKER, SOURCE, Source
from controllers.cluster.view import NodeView
from controllers.openflow import Copy, Flow, InPort, SetField, match
from controllers.openflow.fields import (
    ARP_OP,
    ARP_SHA,
    ARP_SPA,
    ARP_THA,
    ARP_TPA,
    ETH_DST,
    ETH_SRC,
)
from testbed.model.desired import POD_GATEWAY_MAC, PodPort

_QUESTION = 1
_ANSWER = (
    Copy(ETH_SRC, ETH_DST),
    SetField(ETH_SRC, POD_GATEWAY_MAC),
    SetField(ARP_OP, 2),
    Copy(ARP_SHA, ARP_THA),
    SetField(ARP_SHA, POD_GATEWAY_MAC),
    Copy(ARP_SPA, ASKER),
    Copy(ARP_TPA, ARP_SPA),
    Copy(ASKER, ARP_TPA),
    InPort(),
)


def plan(view: NodeView) -> Iterator[Flow]:
    yield from _own_address(view)
    answered = match({SOURCE: Source.POD}, arp_op=_QUESTION)
    yield Flow("arp", 100, answered, _ANSWER, owner=view.owner, note="the gateway answers for everybody")
    asks = match({SOURCE: Source.NODE}, arp_op=_QUESTION)
    yield Flow("arp", 100, asks, _ANSWER, owner=view.node.owner, note="answers the node")


def _own_address(view: NodeView) -> Iterator[Flow]:
    for pod in view.node.pods:
        if pod.vlan is None:
            own = match(in_port=pod.port, arp_tpa=pod.address)
            yield Flow("arp", 200, own, owner=pod.owner, note="no answer about its own address")
        else:
            yield _to_fabric(pod)


def _to_fabric(pod: PodPort) -> Flow:
    return Flow(
        "arp", 200, match(in_port=pod.port, eth_type=0x0806), goto="remote", owner=pod.owner,
        note="the VPC answers on its sub-ENI",
    )  # fmt: skip
