"""The contents page: from the desired state of all clusters to a program per bridge."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from controllers.cluster import arp, classify, deliver, eni, ex, restrict, spoof, tunnel, vpc
from controllers.cluster.pipeline import BR_EX, BR_INT
from controllers.cluster.service import tables
from controllers.cluster.view import NodeView, plan_views
from controllers.openflow import Flow, Program, build_program
from testbed.model.desired import ClustersState, NetworkModel

_MODELS = {NetworkModel.TUNNEL: tunnel, NetworkModel.VPC: vpc, NetworkModel.ENI: eni}

_NODES = 4096
"""Programs kept, so that nodes which a new generation doesn't concern get the very same ones again."""


def compile_cluster(state: ClustersState) -> dict[int, Program]:
    """Programs by datapath id: two bridges per node, br-ex and br-int.

    Raises ContractError or ProgramError when the state contradicts itself (two pods with one address).
    """
    programs: dict[int, Program] = {}
    for cluster in state.clusters:
        for view in plan_views(cluster):
            programs[view.node.ex_datapath_id] = compile_ex(view)
            programs[view.node.int_datapath_id] = compile_int(view)
    return programs


@lru_cache(_NODES)
def compile_ex(view: NodeView) -> Program:
    """br-ex: what passes between the VPC, the node's own stack and br-int."""
    return build_program(BR_EX, ex.plan(view))


@lru_cache(_NODES)
def compile_int(view: NodeView) -> Program:
    """br-int: pods, tunnel and Services."""
    services = tables.plan(view)
    return build_program(BR_INT, (*plan_int(view), *services.flows), services.groups)


def plan_int(view: NodeView) -> Iterator[Flow]:
    """Everything but Services."""
    model = _MODELS[view.model]
    yield from classify.plan(view)
    yield from spoof.plan(view)
    yield from arp.plan(view)
    yield from restrict.plan(view)
    yield from model.plan(view)
    yield from deliver.plan(view)
