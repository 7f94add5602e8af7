"""Pods that go, while a Service's clients may be talking to them: first no new connections, then their network.

As a Kubernetes node does it: an endpoint that terminates takes no new connections while its program, told to end,
answers what it has begun. Only then its link and its flows are removed.
"""

from __future__ import annotations

import time
from dataclasses import replace

from testbed.emulation.rundir import RunDir
from testbed.model.desired import ClustersState, load_state
from testbed.model.planning.ledger import Ledger
from testbed.model.planning.plan import Plan, plan_lab
from testbed.operations.documents import CLUSTER, document_path
from testbed.operations.memory import Memory


def plan_parting(rundir: RunDir, memory: Memory, plan: Plan) -> Plan | None:
    """The lab as it is, under ``plan``'s number, with those pods terminating that ``plan`` has no more.

    None when there is nobody whom a client would miss.
    """
    going = _serving_and_gone(rundir, memory, plan)
    if not going:
        return None
    observed = replace(plan.observed, terminating=going)
    return plan_lab(memory.lab, memory.ledger, plan.generation, memory.datapath, time.time(), observed)


def plan_again(plan: Plan, ledger: Ledger) -> Plan:
    """``plan`` under the next number, as its own was used."""
    return plan_lab(plan.lab, ledger, plan.generation + 1, plan.datapath, time.time(), plan.observed)


def _serving_and_gone(rundir: RunDir, memory: Memory, plan: Plan) -> frozenset[str]:
    """Uids of pods that are endpoints of a Service and not in ``plan``."""
    staying = {pod.uid for pod in plan.pods}
    going = {pod.owner: pod.uid for pod in memory.pods if pod.uid not in staying}
    if not going:
        return frozenset()
    before = load_state(ClustersState, document_path(rundir, CLUSTER))
    ports = (port for cluster in before.clusters for port in cluster.services)
    serving = {endpoint.owner for port in ports for endpoint in port.endpoints if endpoint.ready}
    return frozenset(uid for owner, uid in going.items() if owner in serving)
