"""The lab's control loop: ``python -m testbed.operations.manager --run-dir DIR``.

Watches what the kubelet and the health checks report and plans the lab again when it matters: a pod that became
ready joins its Services, one that fails its probe leaves them, a dead member leaves its balancer, idle NICs are
given back after their cool-down. It is the one path of every change, with the same plan and the same documents;
only nothing of the wiring changes here, so no privilege is used.
"""

from __future__ import annotations

import argparse
import logging
import signal
import time
from dataclasses import replace
from pathlib import Path
from types import FrameType

from testbed.emulation.errors import LabBusyError
from testbed.emulation.lock import locked
from testbed.emulation.rundir import RunDir
from testbed.model.planning.faults import PlanError
from testbed.model.planning.observed import Observed
from testbed.model.planning.plan import plan_lab
from testbed.operations.documents import in_force, write_plan
from testbed.operations.health import HealthChecker
from testbed.operations.memory import Memory, memory_path, read_memory, write_memory
from testbed.operations.observing import read_observed, write_dead_members

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

    def step(self, now: float) -> None:
        self._check_health(now)
        seen = read_observed(self._rundir)
        if seen == self._planned_for and now < self._due and self._generation == self._generation_in_force():
            return
        try:
            with locked(self._rundir):
                memory = read_memory(self._rundir)
                if memory is None:
                    return  # the first up has not ended; it tells everybody itself
                self._replan(memory, seen, now)
        except LabBusyError:
            return  # a command changes the lab; look again when it is done
        self._planned_for, self._due = seen, now + REPLAN_SECONDS
        self._generation = self._generation_in_force()

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

    def _replan(self, memory: Memory, seen: Observed, now: float) -> None:
        generation = memory.last_generation + 1
        try:
            plan = plan_lab(memory.lab, memory.ledger, generation, memory.datapath, now, seen)
        except PlanError as error:
            LOG.error("the lab can't be planned again: %s", error)
            return
        self._health.want(plan.health_checks, now)
        if in_force(self._rundir, plan):
            if set(memory.ready) == seen.ready:
                return
            write_memory(self._rundir, replace(memory, ready=tuple(sorted(seen.ready))))
            return
        write_plan(self._rundir, plan)
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


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m testbed.operations.manager", description=__doc__)
    arguments.add_argument("--run-dir", type=Path, required=True)
    path: Path = arguments.parse_args().run_dir
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    manager = Manager(RunDir.of(path.name, path.parent))
    ended: list[int] = []

    def end(number: int, _: FrameType | None) -> None:
        ended.append(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    while not ended:
        manager.step(time.time())
        time.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    main()
