"""Which lab a verb is about."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from testbed.cli.options import settings
from testbed.emulation.errors import EmulationError, NoSuchLabError
from testbed.emulation.rundir import RunDir, list_labs
from testbed.operations.errors import BadRequestError

DEMO = Path(__file__).resolve().parents[2] / "topologies" / "demo.yaml"
"""What ``lab up`` without a file makes."""


def demo_path() -> str:
    """As the user would type it from where he is."""
    here = Path.cwd()
    return str(DEMO.relative_to(here) if DEMO.is_relative_to(here) else DEMO)


def chosen_lab() -> RunDir:
    """The lab named by ``--lab``, or the only one that runs.

    Raises ``NoSuchLabError`` when there is none of that name, none at all, or a choice to make.
    """
    wanted, running = settings().lab, readable_labs()
    if wanted is not None:
        rundir = named_lab(wanted)
        if not rundir.exists:
            known = f"running: {', '.join(running)}" if running else "none is running"
            raise NoSuchLabError(f"there is no lab {wanted}; {known}")
        return rundir
    if not running:
        raise NoSuchLabError("no lab is running; make one: lab up topologies/demo.yaml")
    if len(running) > 1:
        raise NoSuchLabError(f"several labs are running: {', '.join(running)}; say which: --lab {running[0]}")
    return RunDir.of(running[0])


def lab_for(paths: Sequence[str]) -> RunDir:
    """The lab that ``up`` makes of ``paths``: named by ``--lab``, else after the first file."""
    return named_lab(settings().lab or _stem(paths[0]))


def named_lab(name: str) -> RunDir:
    """Raises ``BadRequestError`` for a name that a lab can't have."""
    try:
        return RunDir.of(name)
    except EmulationError as error:
        raise BadRequestError(str(error)) from error


def readable_labs() -> tuple[str, ...]:
    """Labs that run. Raises ``PermissionError`` when only root may know."""
    return list_labs()


def _stem(path: str) -> str:
    stem = Path(path).stem if path != "-" else "lab"
    name = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")[:40].strip("-")
    return name or "lab"
