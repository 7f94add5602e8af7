"""The lab's control loop: ``python -m testbed.operations.manager --run-dir DIR``.

Watches what the kubelet and the health checks report and plans the lab again when it matters: a pod that became
ready joins its Services, one that fails its probe leaves them, a dead member leaves its balancer, idle NICs are
given back after their cool-down: the same plan and the same documents as of every change. Where pods come or go, as in
the steps of a rolling replacement, it is a change like a command's.
"""

from __future__ import annotations

import argparse
import logging
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType

from testbed.emulation.decisions import forget_decisions
from testbed.emulation.errors import EmulationError, InterruptedByUserError, LabBusyError
from testbed.emulation.lock import locked
from testbed.emulation.rundir import RunDir
from testbed.emulation.state import Datapath
from testbed.model.planning.faults import PlanError
from testbed.model.planning.observed import Observed
from testbed.model.planning.plan import Plan, plan_lab
from testbed.model.planning.resolved import PlannedPod
from testbed.operations.change import make_change
from testbed.operations.documents import in_force, write_plan
from testbed.operations.edits import Edit
from testbed.operations.errors import OperationError
from testbed.operations.health import HealthChecker
from testbed.operations.memory import Memory, memory_path, read_memory, write_memory
from testbed.operations.observing import read_observed, write_dead_members
from testbed.operations.waiting import controllers_behind
from testbed.spec import SpecError

LOOK_SECONDS = 0.05
"""Between two looks at the reports: a change of readiness is in force well within a second."""

REPLAN_SECONDS = 10.0
"""NICs are pre-bound and given back this often, as on the real nodes."""

LOG = logging.getLogger("manager")


class Manager:
    """``step`` is called again and again; it does nothing unless something was reported or is due."""

    def __init__(self, rundir: RunDir) -> None:
        self._rundir = rundir
        self._planned_for: Observed | None = None
        self._generation = 0.0
        self._due = 0.0
        self._health = HealthChecker(rundir)
        self._dead: frozenset[str] = frozenset()
        self._settling: Plan | None = None

    def step(self, now: float) -> None:
        self._check_health(now)
        self._settle()
        seen = read_observed(self._rundir)
        if seen == self._planned_for and now < self._due and self._generation == self._generation_in_force():
            return
        try:
            with locked(self._rundir):
                memory = read_memory(self._rundir)
                if memory is None:
                    return  # the first up has not ended; it tells everybody itself
                pods_move = self._replan(memory, seen, now)
            again = self._change(Datapath(memory.datapath)) if pods_move else REPLAN_SECONDS
        except LabBusyError:
            return  # a command changes the lab; look again when it is done
        self._planned_for, self._due = seen, now + again
        self._generation = self._generation_in_force()

    def _change(self, datapath: Datapath) -> float:
        """Plan and realise; seconds until the next look."""
        try:
            outcome = make_change(self._rundir, as_it_is, datapath)
        except (InterruptedByUserError, LabBusyError):
            raise
        except (EmulationError, OperationError, PlanError, SpecError) as error:
            LOG.error("pods can't be replaced: %s", error)
            return REPLAN_SECONDS
        LOG.info("generation %d: %d pods", outcome.generation, len(outcome.plan.pods))
        return 0.0

    def _settle(self) -> None:
        """Once the switches have the flows of the last plan, what they decided by those of before is forgotten."""
        plan = self._settling
        if plan is None or controllers_behind(self._rundir, plan.generation):
            return
        self._settling = None
        namespaces = (item.namespace for item in plan.wiring.switches)
        forget_decisions(self._rundir, Datapath(plan.datapath), namespaces)

    def _check_health(self, now: float) -> None:
        self._health.tick(now)
        dead = self._health.dead()
        if dead != self._dead:
            write_dead_members(self._rundir, dead)
            self._dead = dead

    def _generation_in_force(self) -> float:
        """Changes with every command that changed the lab: the time at which its memory was written."""
        try:
            return memory_path(self._rundir).stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def _replan(self, memory: Memory, seen: Observed, now: float) -> bool:
        """Put the plan for what is ``seen`` in force. Not when pods come or go: then say so."""
        generation = memory.last_generation + 1
        try:
            plan = plan_lab(memory.lab, memory.ledger, generation, memory.datapath, now, seen)
        except PlanError as error:
            LOG.error("the lab can't be planned again: %s", error)
            return False
        if _placed(plan.pods) != _placed(memory.pods):
            return True
        self._health.want(plan.health_checks, now)
        if in_force(self._rundir, plan):
            if set(memory.ready) != seen.ready:
                write_memory(self._rundir, replace(memory, ready=tuple(sorted(seen.ready))))
            return False
        write_plan(self._rundir, plan)
        self._settling = plan
        changed = replace(
            memory,
            generation=generation,
            last_generation=generation,
            nodes=plan.nodes,
            pods=plan.pods,
            hosts=plan.hosts,
            eips=plan.eips,
            ledger=plan.ledger,
            changed=now,
            ready=tuple(sorted(seen.ready)),
        )
        write_memory(self._rundir, changed)
        LOG.info("generation %d: %d pods ready, %d members dead", generation, len(seen.ready), len(seen.dead_members))
        return False


def as_it_is(memory: Memory | None) -> Edit:
    """Nothing is asked for but what was asked before."""
    assert memory is not None  # a lab whose first up has not ended is left alone
    return Edit(memory.sources, memory.ledger)


def _placed(pods: Iterable[PlannedPod]) -> set[str]:
    return {pod.uid for pod in pods if pod.node is not None}


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m testbed.operations.manager", description=__doc__)
    arguments.add_argument("--run-dir", type=Path, required=True)
    path: Path = arguments.parse_args().run_dir
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    manager = Manager(RunDir.at(path))
    ended: list[int] = []

    def end(number: int, _: FrameType | None) -> None:
        ended.append(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    with suppress(InterruptedByUserError):  # in the middle of a change, which has been undone
        while not ended:
            manager.step(time.time())
            time.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    main()
