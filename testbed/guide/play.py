"""A guided lab's life: up, checked, down."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from testbed.emulation.errors import EmulationError
from testbed.emulation.rundir import RunDir
from testbed.guide.guides import Finding, Guide
from testbed.guide.registry import ROOT
from testbed.operations.models import up_in_model
from testbed.operations.readiness import not_ready, until_ready
from testbed.scenario.running import RunningLab

READY_LIMIT, SETTLE_LIMIT = 60.0, 10.0
"""Seconds for the lab to be ready: when it comes up, and after what the learner changed."""


def bring_up(guide: Guide, rundir: RunDir, datapath: str, note: Callable[[str], None]) -> None:
    """The guide's lab, ready. Raises ``BadRequestError`` when it runs already, and what ``lab up`` raises."""
    path, here = ROOT / guide.topology, Path.cwd()
    shown = path.relative_to(here) if path.is_relative_to(here) else path  # what commands call the files
    up_in_model((str(shown),), guide.model, rundir, datapath, note)
    note("wait until everything is ready")
    until_ready(rundir, READY_LIMIT)


def check(guide: Guide, rundir: RunDir) -> tuple[Finding, ...]:
    """What the guide's checker finds. What keeps it from looking is a finding too."""
    findings: list[Finding] = []
    with suppress(EmulationError):
        until_ready(rundir, SETTLE_LIMIT)
    if missing := not_ready(rundir):
        what = f"not ready after {SETTLE_LIMIT:g} s: {', '.join(missing[:5])}"
        findings.append(Finding(False, what, "see what holds it up: lab get pods, lab status"))
    try:
        findings.extend(guide.check(RunningLab(rundir, guide.model)))
    except (LookupError, OSError, EmulationError, ValueError) as error:
        again = f"put it back, or begin again: lab labs stop, lab labs start (lab {rundir.lab})"
        findings.append(Finding(False, f"the check can't go on: {error}", again))
    return tuple(findings)
