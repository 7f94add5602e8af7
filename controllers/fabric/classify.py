"""Table classify: which ENI sent the packet, and what is known about it.

A sub-ENI is (port, VLAN); untagged packets of the same port are the carrier's own. Whatever comes by a port or
with a tag that no ENI has is dropped by the table's miss.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from controllers.fabric.fields import NETWORK, ROUTE_TABLE, SRC_ENI, SRC_PROFILE, SRC_TRACKED
from controllers.fabric.view import FabricView
from controllers.openflow import Action, Flow, PopVlan, SetField, match
from testbed.model.desired import Eni


def plan(view: FabricView) -> Iterator[Flow]:
    for eni in view.state.enis:
        yield _classify(eni, view.route_table(eni), view.profile(eni), view.tracked(eni))


@lru_cache(1 << 15)
def _classify(eni: Eni, route_table: int, profile: int, tracked: bool) -> Flow:
    actions: list[Action] = [PopVlan()] if eni.vlan else []
    facts = ((SRC_ENI, eni.id), (NETWORK, eni.network), (ROUTE_TABLE, route_table), (SRC_PROFILE, profile))
    actions += [SetField(target, value) for target, value in (*facts, (SRC_TRACKED, int(tracked))) if value]
    return Flow(
        "classify",
        100,
        match(in_port=eni.port, vlan_vid=eni.vlan or 0),
        tuple(actions),
        goto="spoof_guard",
        owner=eni.owner,
        note=f"from ENI {eni.name}",
    )
