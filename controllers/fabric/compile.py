"""The fabric's compiler, contents page: one line for each concern. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from controllers.fabric import (
    arp,
    balancer,
    classify,
    delivery,
    eip,
    nat,
    peering,
    routing,
    security,
    spoof_guard,
)
from controllers.fabric.pipeline import PIPELINE
from controllers.fabric.view import FabricView, fabric_view
from controllers.openflow import Flow, Program, build_program
from testbed.model.desired import FabricState


def compile_fabric(state: FabricState) -> dict[int, Program]:
    """The program of the fabric's one bridge, by its datapath id.

    Raises ``StateError`` when the document contradicts itself, ``ProgramError`` when two of its objects want
    different things for the same packets (one elastic IP bound twice).
    """
    view = fabric_view(state)
    return {state.datapath_id: build_program(PIPELINE, _flows(view), balancer.plan_groups(view))}


def _flows(view: FabricView) -> Iterator[Flow]:
    yield from classify.plan(view)
    yield from spoof_guard.plan(view)
    yield from arp.plan(view)
    yield from security.plan(view)
    yield from routing.plan(view)
    yield from peering.plan(view)
    yield from eip.plan(view)
    yield from nat.plan(view)
    yield from delivery.plan(view)
    yield from balancer.plan(view)
