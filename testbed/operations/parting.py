"""Pods that go, while a Service's clients may be talking to them: first new connections end, then programs, then links.

In Kubernetes an endpoint stops taking new connections while its program is told to end; whichever comes first there
is chance, and programs are given a preStop hook that sleeps for it. Here every switch and every proxy has taken the
endpoint out before its program is told, and who was given it before has reached it: a client whose first segment was
lost sends it again after a second, to the same endpoint. The program answers what it has begun; only when its clients
have got all of that are its link and its flows removed.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace

from testbed.emulation.opening import count_opening
from testbed.emulation.rundir import RunDir
from testbed.emulation.sockets import unconfirmed
from testbed.emulation.waiting import WaitedInVainError, until
from testbed.model.desired import ClustersState, load_state
from testbed.model.planning.ledger import Ledger
from testbed.model.planning.plan import Plan, plan_lab
from testbed.operations.documents import CLUSTER, document_path
from testbed.operations.memory import Memory
from testbed.operations.waiting import wait_stopped

OPEN_LIMIT = 1.5
"""Seconds for connections to be opened that were given an endpoint before it was taken out: clients repeat their first
segment after one (RFC 6298)."""

KILL_LIMIT = 2.0
"""Seconds for the kubelet to notice that a program has ended, or to kill it after its grace period."""

CONFIRM_LIMIT = 1.0
"""Seconds for clients to confirm what programs have sent before they ended."""


def plan_partings(rundir: RunDir, memory: Memory, plan: Plan) -> tuple[Plan, ...]:
    """The lab as it is, without new connections to those pods that ``plan`` has no more, then without their programs.

    Numbered from ``plan``'s own on. Empty when there is nobody whom a client would miss.
    """
    going = _serving_and_gone(rundir, memory, plan)
    if not going:
        return ()
    leaving = replace(plan.observed, leaving=going)
    states = (leaving, replace(leaving, terminating=going))
    return tuple(
        plan_lab(memory.lab, memory.ledger, number, memory.datapath, time.time(), observed)
        for number, observed in enumerate(states, plan.generation)
    )


def plan_after(partings: tuple[Plan, ...], plan: Plan, ledger: Ledger) -> Plan:
    """``plan`` under the number that follows those of ``partings``."""
    return plan_lab(plan.lab, ledger, partings[-1].generation + 1, plan.datapath, time.time(), plan.observed)


def wait_opened(rundir: RunDir, leaving: Plan) -> None:
    """Return when the pods that leave have all connections that were meant for them, or after ``OPEN_LIMIT``."""
    endpoints = {pod.address for pod in leaving.pods if pod.address and pod.uid in leaving.observed.leaving}
    switches = [switch.namespace for switch in leaving.wiring.switches]
    with suppress(WaitedInVainError):
        until(lambda: not count_opening(rundir, switches, endpoints), OPEN_LIMIT, "connections to be opened")


def wait_parted(rundir: RunDir, partings: tuple[Plan, ...]) -> None:
    """Return when the programs have ended and their clients have all that was sent to them.

    A program has the grace period of its pod, after which it is killed. An answer that is still on its way is lost
    with the link; one that nobody confirms is waited for no longer than ``CONFIRM_LIMIT``.
    """
    ending = partings[-1].observed.terminating
    graces = (each.termination_grace_seconds for each in partings[0].workloads.workloads if each.uid in ending)
    grace = max(graces, default=0)
    wait_stopped(rundir, ending, grace + KILL_LIMIT)
    own = [rundir.namespace(pod.host) for pod in partings[0].pods if pod.uid in ending and not pod.host_network]
    with suppress(WaitedInVainError):
        until(lambda: not any(unconfirmed(each) for each in own), CONFIRM_LIMIT, "clients to confirm")


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
