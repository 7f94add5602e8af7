"""What the last ``lab run`` found, for those who look later: in the user's state directory, not in a lab's."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.emulation.rundir import write_atomically
from testbed.observe.verdicts import Report


@dataclass(frozen=True, slots=True)
class LastRun:
    """``at`` is in seconds since the epoch; ``reports``: (name, checks held, checks, titles of those that failed)."""

    at: float
    reports: tuple[tuple[str, int, int, tuple[str, ...]], ...]


def last_run_path() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "cnlab" / "last-run.json"


def write_last_run(reports: Sequence[Report]) -> None:
    """Nothing is said when it can't be written: the verdicts themselves were shown."""
    path = last_run_path()
    document = {"at": time.time(), "reports": [_plain(report) for report in reports]}
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(document))


def read_last_run() -> LastRun | None:
    """None when there was none, or what is there can't be read."""
    try:
        document = json.loads(last_run_path().read_text(encoding="utf-8"))
        reports = tuple(
            (str(one["name"]), int(one["held"]), int(one["checks"]), tuple(map(str, one["failed"])))
            for one in document["reports"]
        )
        return LastRun(float(document["at"]), reports)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _plain(report: Report) -> dict[str, Any]:
    failed = [check.title for check in report.failed]
    return {
        "name": report.name,
        "held": len(report.checks) - len(failed),
        "checks": len(report.checks),
        "failed": failed,
    }
