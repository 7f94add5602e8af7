"""The contents page of a run: make what is measured, judge the conditions, measure in turn, remove everything."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from testbed.emulation import interrupts
from testbed.emulation.errors import NoSuchLabError
from testbed.emulation.rundir import RunDir
from testbed.emulation.state import Datapath
from testbed.emulation.teardown import tear_down
from testbed.observe.status import View
from testbed.observe.trace.results import Trace
from testbed.observe.trace.tracer import tracing
from testbed.operations.datapath import choose_datapath
from testbed.operations.models import MODELS
from testbed.perf import plain
from testbed.perf.conditions import expect_equal, find_doubts
from testbed.perf.facts import read_facts, trace_path
from testbed.perf.measuring import read_machine, take_sample
from testbed.perf.results import RAW, Cell, Facts, Measure, Path, Result, Sample
from testbed.perf.subjects import (
    Subject,
    make_model,
    make_plain,
    make_raw,
    start_servers,
    switch_offloads_off,
    wait_answers,
)
from testbed.perf.surroundings import choose_congestion, read_conditions, read_subject, read_tools

PLAIN_PATHS = (Path.SAME, Path.OTHER)
"""Paths that plain bridges can stand for: no kernel forwards and nothing is translated."""

PLAIN_MODELS = ("vpc", "eni")
_LOCK_LIMIT = 20.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to measure. ``offloads`` is ``auto`` (off for all when one model can't have them), ``on`` or ``off``."""

    models: tuple[str, ...] = MODELS
    paths: tuple[Path, ...] = tuple(path for path in Path if path is not Path.PAIR)
    measures: tuple[Measure, ...] = tuple(Measure)
    rounds: int = 5
    seconds: int = 1
    offloads: str = "auto"
    datapath: str = "auto"
    plain: bool = True


@dataclass(frozen=True, slots=True)
class Progress:
    """What happens: ``note`` is called with each step, ``sampled`` with each sample, how many there are and will be.

    ``stage`` is called a few times in a run only: for who reads it later.
    """

    note: Callable[[str], None] = lambda _: None
    sampled: Callable[[Sample, int, int], None] = lambda _sample, _done, _all: None
    stage: Callable[[str], None] = lambda _: None


def measure(wanted: Wanted, progress: Progress = Progress()) -> Result:
    """Raises ``UnequalError`` before anything is measured, ``MachineLacksError``, what ``lab up`` raises.

    Ctrl-C ends it between two samples at the latest; whatever was made is removed in any case.
    """
    started, tools, congestion = datetime.now(UTC), read_tools(), choose_congestion()
    with interrupts.deferred(), _labs() as rundir_of:
        subjects, facts = _make_all(wanted, rundir_of, progress)
        for subject in subjects if offloads_off(wanted) else ():
            switch_offloads_off(subject)
        conditions = read_conditions([read_subject(subject, congestion) for subject in subjects], tools)
        expect_equal(conditions.subjects)
        steal = read_machine()[1]
        begin = time.monotonic()
        samples = tuple(_sample_all(wanted, subjects, congestion, progress))
        processor_seconds = (time.monotonic() - begin) * conditions.processors
        conditions = replace(conditions, steal=round(100 * (read_machine()[1] - steal) / processor_seconds, 2))
    result = Result(
        started.isoformat(timespec="seconds"), wanted.rounds, wanted.seconds, conditions, samples, facts,
        left_out=find_left_out(wanted, subjects),
    )  # fmt: skip
    return replace(result, doubts=find_doubts(result))


def offloads_off(wanted: Wanted) -> bool:
    """Open vSwitch 3.1 in user space can't tunnel frames that still need segmenting, so then nobody sends such."""
    if wanted.offloads != "auto":
        return wanted.offloads == "off"
    return "tunnel" in wanted.models and choose_datapath(wanted.datapath) is Datapath.USERSPACE


def find_left_out(wanted: Wanted, subjects: Sequence[Subject]) -> tuple[tuple[str, str], ...]:
    there = {path for subject in subjects for path in subject.sites}
    return tuple((path.value, "this lab does not serve it yet") for path in wanted.paths if path not in there)


@contextmanager
def _labs() -> Iterator[Callable[[str], RunDir]]:
    """Gives run directories of this run by subject, and removes each lab at the end, whatever happened."""
    run = secrets.token_hex(2)
    made: list[RunDir] = []

    def rundir_of(subject: str) -> RunDir:
        made.append(RunDir.of(f"perf-{run}-{subject}"))
        return made[-1]

    try:
        yield rundir_of
    finally:
        with interrupts.ignored(), ExitStack() as stack:
            for rundir in made:
                stack.callback(_remove, rundir)


def _remove(rundir: RunDir) -> None:
    with suppress(NoSuchLabError):
        tear_down(rundir, _LOCK_LIMIT)


def _make_all(
    wanted: Wanted, rundir_of: Callable[[str], RunDir], progress: Progress
) -> tuple[list[Subject], tuple[Facts, ...]]:
    """The raw pair first, then each model, followed by its plain bridges: the order of every round."""
    raw = make_raw(rundir_of(RAW), wanted.datapath, progress.note)
    start_servers(raw)
    subjects, facts = [raw], []
    for model in wanted.models:
        progress.note(f"lab up, {model}")
        progress.stage(f"lab up, {model}")
        subject = make_model(model, rundir_of(model), wanted.datapath, progress.note)
        start_servers(subject)
        wait_answers(subject)
        progress.note(f"trace the paths of {model}")
        traces = _trace_all(subject, wanted)
        facts += [read_facts(subject, path, trace) for path, trace in traces.items()]
        subjects.append(subject)
        if wanted.plain and model in PLAIN_MODELS:
            subjects += _make_plain(subject, traces, rundir_of, progress)
    return subjects, tuple(facts)


def _trace_all(subject: Subject, wanted: Wanted) -> dict[Path, tuple[Trace, ...]]:
    with tracing(View(subject.rundir)) as tracer:
        return {path: trace_path(tracer, subject.sites[path]) for path in wanted.paths if path in subject.sites}


def _make_plain(
    model: Subject, traces: dict[Path, tuple[Trace, ...]], rundir_of: Callable[[str], RunDir], progress: Progress
) -> Iterator[Subject]:
    chosen = {path: trace for path, trace in traces.items() if path in PLAIN_PATHS}
    if not chosen:
        return
    progress.note(f"the hops of {model.name} on plain bridges")
    subject = make_plain(model, chosen, rundir_of(f"plain-{model.name}"), progress.note)
    for trace in (trace for traces in chosen.values() for trace in traces):
        plain.apply_trace(subject, trace)
    start_servers(subject)
    wait_answers(subject)
    yield subject


def plan_round(wanted: Wanted, subjects: Sequence[Subject]) -> tuple[Cell, ...]:
    """Every cell once: all subjects by turns on one path and measure, so that what disturbs hits all alike."""
    return tuple(
        Cell(subject.name, path, measure)
        for path in (Path.PAIR, *wanted.paths)
        for measure in wanted.measures
        for subject in subjects
        if path in subject.sites and measure in subject.sites[path].measures
    )


def _sample_all(wanted: Wanted, subjects: Sequence[Subject], congestion: str, progress: Progress) -> Iterator[Sample]:
    by_name = {subject.name: subject for subject in subjects}
    cells = plan_round(wanted, subjects)
    total, done = len(cells) * wanted.rounds, 0
    for number in range(1, wanted.rounds + 1):
        progress.stage(f"round {number} of {wanted.rounds}, {len(cells)} samples")
        for cell in cells:
            interrupts.check()
            progress.note(f"round {number} of {wanted.rounds}, {cell}")
            sample = take_sample(by_name[cell.subject], cell, number, wanted.seconds, congestion)
            done += 1
            progress.sampled(sample, done, total)
            yield sample
