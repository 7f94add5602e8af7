"""The contents page of every change: edit, load, plan, compare, realise, wait until it is in force, remember.

Pods that go end first, and lose their network then. Whatever goes wrong on the way, the generation that was in force
before is put back in force, and nothing is remembered of the one that failed but its number. A lab whose first ``up``
fails is removed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from testbed.emulation import interrupts
from testbed.emulation.changes import Change, Changes, plan_changes
from testbed.emulation.decisions import forget_decisions
from testbed.emulation.realise import Session, open_session, read_found
from testbed.emulation.rundir import RunDir
from testbed.emulation.state import Datapath
from testbed.model.planning.plan import Plan, plan_lab
from testbed.model.wiring import Wiring
from testbed.operations.components import wait_reloaded
from testbed.operations.documents import KUBELET, in_force, read_documents, write_documents, write_plan
from testbed.operations.edits import Edit
from testbed.operations.errors import NotAppliedError
from testbed.operations.loading import Loaded, load_sources
from testbed.operations.memory import Memory, read_memory, write_memory
from testbed.operations.observing import read_observed
from testbed.operations.parting import plan_after, plan_partings, wait_opened, wait_parted
from testbed.operations.programs import Gate, log_ends, start_programs
from testbed.operations.waiting import wait_in_force

GO_BACK_LIMIT = 10.0
"""Seconds to wait for the old generation to be in force again."""

Note = Callable[[str], None]
"""Called with what is being done now (``links``)."""

Editor = Callable[[Memory | None], Edit]
"""Makes the wanted texts of what the lab remembers (None: a new lab)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a change did, or would do. ``lines`` is empty when nothing had to be done; ``warnings`` are for the user."""

    lab: str
    generation: int
    datapath: str
    lines: tuple[Change, ...]
    warnings: tuple[str, ...]
    plan: Plan
    seconds: float
    phases: tuple[tuple[str, float], ...] = ()


def make_change(
    rundir: RunDir, editor: Editor, datapath: Datapath, note: Note = lambda _: None, loaded: Loaded | None = None
) -> Outcome:
    """Change the lab to what ``editor`` makes of its memory. ``loaded``: what its texts say, if that is known.

    Raises ``SpecError``, ``PlanError`` or ``BadRequestError`` before anything is touched; ``EmulationError`` or
    ``NotAppliedError`` after the old generation is back in force.
    """
    begin = time.monotonic()
    gate = Gate(rundir, note)
    with open_session(rundir, datapath, progress=gate) as session:
        memory = read_memory(rundir)
        note("plan")
        desired = editor(memory)
        loaded = loaded or load_sources(desired.sources, memory.lab if memory else None)
        interrupts.check()
        gate.programs = start_programs(rundir)
        plan = plan_next(rundir, memory, desired, loaded, session.datapath)
        if memory is not None and (partings := plan_partings(rundir, memory, plan)):
            leaving, ending = partings
            nothing = plan_changes(session.found.wiring, session.found.wiring)
            _realise(session, gate, memory, leaving, nothing)
            wait_opened(rundir, leaving)
            _realise(session, gate, memory, ending, nothing)
            wait_parted(rundir, partings)
            plan = plan_after(partings, plan, desired.ledger)
        changes = plan_changes(plan.wiring, session.found.wiring, session.found.doubtful)
        _realise(session, gate, memory, plan, changes)
        seconds = time.monotonic() - begin
        write_memory(rundir, _remember(memory, desired, plan, seconds))
        session.settle(plan.generation, tuple(source.name for source in desired.sources))
    phases = tuple(session.seconds.items())
    return _outcome(rundir, plan, changes, loaded, seconds, phases)


def preview_change(rundir: RunDir, editor: Editor, datapath: Datapath, loaded: Loaded | None = None) -> Outcome:
    """The same up to the comparison; nothing is touched."""
    begin = time.monotonic()
    memory = read_memory(rundir) if rundir.exists else None
    desired = editor(memory)
    loaded = loaded or load_sources(desired.sources, memory.lab if memory else None)
    plan = plan_next(rundir, memory, desired, loaded, datapath)
    if memory is None:
        changes = plan_changes(plan.wiring, Wiring())
    else:
        found = read_found(rundir)
        changes = plan_changes(plan.wiring, found.wiring, found.doubtful)
    return _outcome(rundir, plan, changes, loaded, time.monotonic() - begin)


def plan_next(rundir: RunDir, memory: Memory | None, desired: Edit, loaded: Loaded, datapath: Datapath) -> Plan:
    """The next generation; the one in force when it would not differ."""
    now = time.time()
    if memory is None:
        return plan_lab(loaded.lab, desired.ledger, 1, datapath.value, now)
    seen = read_observed(rundir)
    plan = plan_lab(loaded.lab, desired.ledger, memory.generation, memory.datapath, now, seen)
    if in_force(rundir, plan):
        return plan
    return plan_lab(loaded.lab, desired.ledger, memory.last_generation + 1, memory.datapath, now, seen)


def _realise(session: Session, gate: Gate, memory: Memory | None, plan: Plan, changes: Changes) -> None:
    """Put ``plan`` in force, or what was in force before when that fails."""
    before = read_documents(session.rundir)
    wiring = session.found.wiring
    try:
        write_plan(session.rundir, plan)
        session.apply(changes)
        wait_in_force(session.rundir, plan.generation, gate)
        if KUBELET in before:
            forget_decisions(session.rundir, session.datapath, (item.namespace for item in plan.wiring.switches))
            wait_reloaded(session.rundir, before[KUBELET], plan.workloads)
        interrupts.check()
    except BaseException as error:
        error.add_note(log_ends(session.rundir))
        if memory is not None:
            with interrupts.ignored():
                _go_back(session, gate, memory, before, wiring, plan.generation + 1)
        raise


def _go_back(
    session: Session, gate: Gate, memory: Memory, documents: dict[str, str], wiring: Wiring, generation: int
) -> None:
    """What was in force is in force again, as a new generation: numbers are never used twice."""
    gate.tell("go back to what was before")
    write_documents(session.rundir, documents, generation)
    found = read_found(session.rundir)
    session.apply(plan_changes(wiring, found.wiring, found.doubtful))
    write_memory(session.rundir, replace(memory, generation=generation, last_generation=generation))
    session.settle(generation, tuple(source.name for source in memory.sources))
    with suppress(NotAppliedError):  # what failed is being reported; whoever is late takes it over when it can
        wait_in_force(session.rundir, generation, gate, GO_BACK_LIMIT)
    forget_decisions(session.rundir, session.datapath, (item.namespace for item in wiring.switches))


def _remember(memory: Memory | None, desired: Edit, plan: Plan, seconds: float) -> Memory:
    now = time.time()
    unchanged = memory is not None and memory.generation == plan.generation
    return Memory(
        generation=plan.generation,
        last_generation=plan.generation,
        datapath=plan.datapath,
        sources=desired.sources,
        lab=plan.lab,
        nodes=plan.nodes,
        pods=plan.pods,
        hosts=plan.hosts,
        eips=plan.eips,
        ledger=plan.ledger,
        started=memory.started if memory else now - seconds,
        changed=memory.changed if memory and unchanged else now,
        seconds=memory.seconds if memory and unchanged else seconds,
        ready=tuple(sorted(plan.observed.ready)),
    )


def _outcome(
    rundir: RunDir,
    plan: Plan,
    changes: Changes,
    loaded: Loaded,
    seconds: float,
    phases: tuple[tuple[str, float], ...] = (),
) -> Outcome:
    pending = (f"{pod.owner} is Pending: {pod.pending}" for pod in plan.pending)
    warnings = (*map(str, loaded.warnings), *pending)
    return Outcome(rundir.lab, plan.generation, plan.datapath, changes.lines, warnings, plan, seconds, phases)
