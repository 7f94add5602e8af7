"""Runs a scenario: its lab comes up, its statements are judged, the lab goes down again whatever happened."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable
from dataclasses import dataclass

from testbed.emulation.rundir import RunDir
from testbed.model.planning.ledger import Ledger
from testbed.observe.verdicts import Report
from testbed.operations import edits, verbs
from testbed.operations.change import Outcome, make_change
from testbed.operations.datapath import choose_datapath
from testbed.operations.errors import BadRequestError
from testbed.operations.loading import load_sources, read_sources
from testbed.operations.sources import SourceText
from testbed.scenario.checks import Checks, Shown
from testbed.scenario.registry import Scenario
from testbed.scenario.running import RunningLab

_MODEL = re.compile(r"^(\s*networkModel:\s*)\w+", re.MULTILINE)

Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Options:
    """``keep`` leaves the lab up for a look at what went wrong; ``lab`` names it ("": after the scenario)."""

    datapath: str = "auto"
    keep: bool = False
    lab: str = ""
    shown: Shown = lambda _: None
    note: Note = lambda _: None


def run_scenario(wanted: Scenario, model: str, options: Options = Options()) -> Report:
    """One scenario in one model. A scenario that can't go on yields a report whose last check is an error.

    Raises ``SpecError``, ``PlanError``, ``EmulationError`` when the lab can't be made, ``BadRequestError`` when a lab
    of its name is there already.
    """
    rundir = RunDir.of(options.lab or f"{wanted.name.replace('_', '-')}-{model}")
    if rundir.exists:
        raise BadRequestError(f"lab {rundir.lab} is there already; lab down {rundir.lab} removes it")
    outcome = _up(wanted, model, rundir, options)
    checks = Checks(model, options.shown)
    try:
        options.note("wait until everything is ready")
        _play(wanted, RunningLab(rundir, model), checks)
    finally:
        if not options.keep:
            options.note("take the lab down")
            verbs.down(rundir, lock_limit=30.0)
    return Report(f"{wanted.name} ({model})", tuple(checks.made), _facts(outcome, model))


def with_model(text: str, model: str) -> str:
    """The topology with its clusters' network model changed: one word."""
    return _MODEL.sub(rf"\g<1>{model}", text)


def _up(wanted: Scenario, model: str, rundir: RunDir, options: Options) -> Outcome:
    read = read_sources((str(wanted.topology),))
    sources = tuple(SourceText(source.name, with_model(source.text, model)) for source in read)
    edit = edits.Edit(sources, Ledger())
    return make_change(rundir, lambda _: edit, choose_datapath(options.datapath), options.note, load_sources(sources))


def _play(wanted: Scenario, lab: RunningLab, checks: Checks) -> None:
    try:
        lab.wait_ready()
        wanted.body(lab, checks)
    except Exception as error:  # whatever it is, it is this scenario's result and the lab goes down
        checks.error("the scenario could not go on", f"{type(error).__name__}: {error}")


def _facts(outcome: Outcome, model: str) -> tuple[tuple[str, str], ...]:
    return (
        ("model", model),
        ("datapath", outcome.datapath),
        ("kernel", platform.release()),
        ("up", f"{outcome.seconds:.1f} s"),
    )
