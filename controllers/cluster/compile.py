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
from controllers.cluster.service.parts import part_everywhere, plan_parts
from controllers.cluster.service.served import Served, target_ports
from controllers.cluster.view import NodeView, plan_views
from controllers.openflow import NOTHING, Flow, Part, Program, Shared, build_part, build_program, share
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


_LAST: dict[str, Shared] = {}
"""By cluster: what its Services came to in the generation before, of which the next one differs little."""


@lru_cache(64)
def share_services(cluster: str, services: tuple[Served, ...]) -> Shared:
    """What all nodes of a cluster have of its Services."""
    shared = _LAST[cluster] = share(map(part_everywhere, services), _LAST.get(cluster, NOTHING))
    return shared


@lru_cache(_KEPT)
def compile_ex(bare: NodeView, services: ex.ServicePorts) -> Program:
    """br-ex: what passes between the VPC, the node's own stack and br-int."""
    return build_program(BR_EX, ex.plan(bare, services), bridge=f"{bare.node.name}/br-ex")


@lru_cache(_KEPT)
def compile_int(view: NodeView, bare: NodeView) -> Program:
    """br-int: pods, tunnel and Services; ``bare`` is the view without these."""
    parts = [base_part(bare), *plan_parts(view.services, view.node.name, view.model)]
    if view.services:
        parts.append(translation_part(bare, target_ports(view.services)))
    shared = share_services(view.cluster, view.services)
    return build_program(BR_INT, (), bridge=f"{view.node.name}/br-int", parts=parts, shared=shared)


@lru_cache(_KEPT)
def translation_part(bare: NodeView, ports: tuple[tuple[str, int], ...]) -> Part:
    """What a br-int has when there are Services, whichever."""
    return build_part(BR_INT, (*tracked.plan(bare, ports), *hidden.plan(bare)))


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
