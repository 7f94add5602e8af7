"""Runs a scenario: its lab comes up, its statements are judged, the lab goes down again whatever happened."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass

from testbed.emulation.rundir import RunDir
from testbed.observe.verdicts import Report
from testbed.operations import verbs
from testbed.operations.change import Outcome
from testbed.operations.models import up_in_model
from testbed.scenario.checks import Checks, Shown
from testbed.scenario.registry import Scenario
from testbed.scenario.running import RunningLab

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
    outcome = up_in_model((str(wanted.topology),), model, rundir, options.datapath, options.note)
    checks = Checks(model, options.shown)
    try:
        options.note("wait until everything is ready")
        _play(wanted, RunningLab(rundir, model), checks)
    finally:
        if not options.keep:
            options.note("take the lab down")
            verbs.down(rundir, lock_limit=30.0)
    kept = (("lab", rundir.lab),) if options.keep else ()
    return Report(f"{wanted.name} ({model})", tuple(checks.made), (*_facts(outcome, model), *kept))


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
