"""Waiting until a generation is in force everywhere, and saying who stands in the way when it is not."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

from testbed.emulation.errors import EmulationError
from testbed.emulation.ownership import is_running
from testbed.emulation.processes import read_log_end
from testbed.emulation.rundir import RunDir
from testbed.emulation.waiting import WaitedInVainError, until
from testbed.operations.documents import KUBELET, status_path
from testbed.operations.errors import NotAppliedError
from testbed.operations.programs import CONTROLLERS, LOGS, Gate

LIMIT = 60.0
"""Seconds that a generation may take to be in force everywhere."""

REFUSED_LIMIT = 3.0
"""Seconds for a controller to get its way with a switch that refused something: it reads back and tries again."""


def wait_in_force(rundir: RunDir, generation: int, gate: Gate, limit: float = LIMIT) -> None:
    """Return when every switch and the kubelet have ``generation``.

    Raises ``NotAppliedError`` with a line for each that has not: at once when a program died or can't read its
    document, after ``REFUSED_LIMIT`` when a switch goes on refusing, after ``limit`` in any case.
    """
    gate.tell(f"wait for generation {generation}")
    begin = time.monotonic()

    def settled() -> bool:
        _expect_alive(rundir, gate)
        obstacles = _behind(rundir, generation, gate)
        final = [text for text, is_final in obstacles if is_final]
        if final and (time.monotonic() - begin > REFUSED_LIMIT):
            raise NotAppliedError("\n".join(final))
        return not obstacles

    try:
        until(settled, limit, f"generation {generation}")
    except EmulationError as error:
        obstacles = _behind(rundir, generation, gate)
        lines = [f"generation {generation} is not in force after {limit:g} s", *(text for text, _ in obstacles)]
        raise NotAppliedError("\n".join(lines)) from error


def wait_stopped(rundir: RunDir, uids: Collection[str], limit: float) -> None:
    """Return when the kubelet has nothing left of the workloads ``uids``, or after ``limit`` seconds in any case."""

    def ended() -> bool:
        status = read_status(rundir, KUBELET) or {}
        return not any(item["uid"] in uids for item in status.get("workloads", ()))

    with suppress(WaitedInVainError):
        until(ended, limit, "programs to end")


def read_status(rundir: RunDir, reader: str) -> dict[str, Any] | None:
    """What ``fabric``, ``cluster`` or ``kubelet`` says it has done; None before it said anything."""
    try:
        document = json.loads(status_path(rundir, reader).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def _behind(rundir: RunDir, generation: int, gate: Gate) -> list[tuple[str, bool]]:
    return [*controllers_behind(rundir, generation, gate.programs), *kubelet_behind(rundir, generation)]


def controllers_behind(
    rundir: RunDir, generation: int, programs: Mapping[str, int] | None = None
) -> list[tuple[str, bool]]:
    """(what stands in the way, whether waiting longer is useless), a line each.

    ``programs`` are the pids of those that run: what one that has died had said counts no more.
    """
    obstacles: list[tuple[str, bool]] = []
    for name in CONTROLLERS:
        status = read_status(rundir, name)
        if status is None or (programs and status["pid"] != programs[name]):
            obstacles.append((f"controller {name} has not said anything yet", False))
        elif status["wanted"] < generation:
            problem = status.get("problem", "")
            what = f"can't use its desired state: {problem}" if problem else "has not read its desired state yet"
            obstacles.append((f"controller {name} {what}", bool(problem)))
        else:
            obstacles += _switches_behind(name, status, generation)
    return obstacles


def _switches_behind(name: str, status: dict[str, Any], generation: int) -> list[tuple[str, bool]]:
    obstacles = []
    for switch in status["switches"].values():
        where = f"{name}: bridge {switch['bridge']}"
        if not switch["connected"]:
            obstacles.append((f"{where} is not connected to its controller", False))
        elif switch["errors"]:
            obstacles.append((f"{where} refused: {'; '.join(switch['errors'])}", True))
        elif switch["generation"] < generation:
            obstacles.append((f"{where} has generation {switch['generation']} ({switch['state']})", False))
    return obstacles


def kubelet_behind(rundir: RunDir, generation: int) -> list[tuple[str, bool]]:
    status = read_status(rundir, KUBELET)
    if status is None:
        return [("the kubelet has not said anything yet", False)]
    if status["generation"] < generation:
        return [(f"the kubelet has generation {status['generation']}", False)]
    return []


def _expect_alive(rundir: RunDir, gate: Gate) -> None:
    for name, pid in gate.programs.items():
        if not is_running(rundir, pid):
            raise NotAppliedError(f"{name} died: {read_log_end(rundir, LOGS[name], lines=1)}")
