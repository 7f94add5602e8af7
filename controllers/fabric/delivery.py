"""The last steps: whose address it is (deliver), what is known of the receiver (receive), its port (output).

A pod's sub-ENI and another one of the same node are behind one port: the packet goes back out of the port it came in
by, with another tag. An ENI alone on its port gets back only what was translated on the way (HAIRPIN); a packet
that a server sent to itself or a node to its own container block is not reflected.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from controllers.fabric.fields import (
    DST_ENI,
    DST_PROFILE,
    HAIRPIN,
    NETWORK,
)
from controllers.fabric.security import LEAVE
from controllers.fabric.view import FabricView
from controllers.openflow import Action, Flow, InPort, Output, PushVlan, SetField, match
from controllers.openflow.fields import ETH_DST, VLAN_VID
from testbed.model.desired import INTERNET, Eni

_IPV4 = 0x0800


def plan(view: FabricView) -> Iterator[Flow]:
    for eni in view.state.enis:
        if eni.network != INTERNET:
            yield _deliver(eni)
        yield _receive(eni, view.profile(eni), view.tracked(eni))
        yield from _output(eni, eni.port in view.shared_ports)


@lru_cache(1 << 15)
def _deliver(eni: Eni) -> Flow:
    to = match({NETWORK: eni.network}, ipv4_dst=eni.address)
    actions = (SetField(DST_ENI, eni.id),)
    return Flow("deliver", 100, to, actions, "receive", owner=eni.owner, note=f"{eni.address} is {eni.name}")


@lru_cache(1 << 15)
def _receive(eni: Eni, profile: int, tracked: bool) -> Flow:
    chosen = match({DST_ENI: eni.id}, eth_type=_IPV4)
    actions = (SetField(ETH_DST, eni.mac), SetField(DST_PROFILE, profile))
    if not tracked:
        note = "no security group applies"
        return Flow("receive", 100, chosen, (*actions, *LEAVE), "output", owner=eni.owner, note=note)
    return Flow("receive", 100, chosen, actions, "ingress", owner=eni.owner, note="security groups apply")


@lru_cache(1 << 15)
def _output(eni: Eni, shared: bool) -> tuple[Flow, Flow]:
    tag: tuple[Action, ...] = (PushVlan(), SetField(VLAN_VID, eni.vlan)) if eni.vlan else ()
    back = match({DST_ENI: eni.id} if shared else {DST_ENI: eni.id, HAIRPIN: 1}, in_port=eni.port)
    where = f"port {eni.port}" + (f", VLAN {eni.vlan}" if eni.vlan else "")
    return (
        Flow("output", 200, back, (*tag, InPort()), owner=eni.owner, note=f"back to {eni.name} at {where}"),
        Flow(
            "output",
            100,
            match({DST_ENI: eni.id}),
            (*tag, Output(eni.port)),
            owner=eni.owner,
            note=f"{eni.name} at {where}",
        ),
    )
