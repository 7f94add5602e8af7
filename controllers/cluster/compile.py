"""The contents page: from the desired state of all clusters to a program per bridge.

What a new generation doesn't concern comes out as the very same objects: programs of nodes, and the parts that
programs are put together from (a node without Services, one Service).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from controllers.cluster import arp, classify, deliver, eni, ex, restrict, spoof, tunnel, vpc
from controllers.cluster.pipeline import BR_EX, BR_INT
from controllers.cluster.service import hidden, tracked
from controllers.cluster.service.parts import plan_parts
from controllers.cluster.view import NodeView, plan_views
from controllers.openflow import Flow, Part, Program, build_part, build_program
from testbed.model.desired import ClustersState, NetworkModel

_MODELS = {NetworkModel.TUNNEL: tunnel, NetworkModel.VPC: vpc, NetworkModel.ENI: eni}
_KEPT = 4096


def compile_cluster(state: ClustersState) -> dict[int, Program]:
    """Programs by datapath id: two bridges per node, br-ex and br-int.

    Raises ContractError or ProgramError when the state contradicts itself (two pods with one address).
    """
    programs: dict[int, Program] = {}
    for cluster in state.clusters:
        for view in plan_views(cluster):
            bare = replace(view, services=())
            programs[view.node.ex_datapath_id] = compile_ex(bare, ex.plan_service_ports(view))
            programs[view.node.int_datapath_id] = compile_int(view, bare)
    return programs


@lru_cache(_KEPT)
def compile_ex(bare: NodeView, services: ex.ServicePorts) -> Program:
    """br-ex: what passes between the VPC, the node's own stack and br-int."""
    return build_program(BR_EX, ex.plan(bare, services), bridge=f"{bare.node.name}/br-ex")


@lru_cache(_KEPT)
def compile_int(view: NodeView, bare: NodeView) -> Program:
    """br-int: pods, tunnel and Services; ``bare`` is the view without these."""
    flows = (*tracked.plan(view), *hidden.plan(view)) if view.services else ()
    parts = (base_part(bare), *plan_parts(view.services, view.node.name, view.model))
    return build_program(BR_INT, flows, bridge=f"{view.node.name}/br-int", parts=parts)


@lru_cache(_KEPT)
def base_part(bare: NodeView) -> Part:
    """br-int without Services."""
    return build_part(BR_INT, plan_base(bare))


def plan_base(view: NodeView) -> Iterator[Flow]:
    model = _MODELS[view.model]
    yield from classify.plan(view)
    yield from spoof.plan(view)
    yield from arp.plan(view)
    yield from restrict.plan(view)
    yield from model.plan(view)
    yield from deliver.plan(view)
