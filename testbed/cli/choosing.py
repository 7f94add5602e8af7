"""Which lab a verb is about."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from testbed.cli.options import settings
from testbed.emulation.errors import NoSuchLabError
from testbed.emulation.rundir import RunDir, list_labs, run_root

DEMO = Path(__file__).resolve().parents[2] / "topologies" / "demo.yaml"
"""What ``lab up`` without a file makes."""


def chosen_lab() -> RunDir:
    """The lab named by ``--lab``, or the only one that runs.

    Raises ``NoSuchLabError`` when there is none of that name, none at all, or a choice to make.
    """
    wanted, running = settings().lab, readable_labs()
    if wanted is not None:
        rundir = RunDir.of(wanted)
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
    return RunDir.of(settings().lab or _stem(paths[0]))


def readable_labs() -> tuple[str, ...]:
    """Labs that run. Raises ``PermissionError`` with what to do about it when only root may know."""
    try:
        return list_labs()
    except PermissionError:
        raise PermissionError(f"{run_root()} is readable by root only; try: sudo ./lab ...") from None


def _stem(path: str) -> str:
    stem = Path(path).stem if path != "-" else "lab"
    name = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")[:40].strip("-")
    return name or "lab"
