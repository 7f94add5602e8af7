"""Waiting until what runs in a lab is ready, and everybody who has to know it knows it."""

from __future__ import annotations

import json

from testbed.emulation.rundir import RunDir
from testbed.emulation.waiting import until
from testbed.model.codec import from_plain
from testbed.model.planning.requests import rolling
from testbed.model.workloads import WorkloadsState, WorkloadsStatus, WorkloadStatus
from testbed.operations.documents import KUBELET, document_path
from testbed.operations.memory import read_memory
from testbed.operations.observing import read_observed
from testbed.operations.waiting import controllers_behind, read_status


def until_ready(rundir: RunDir, limit: float) -> None:
    """Return when every workload is ready and the switches carry the generation that knows of it.

    Raises ``EmulationError`` naming what is not ready after ``limit`` seconds.
    """
    until(lambda: not not_ready(rundir), limit, f"{', '.join(not_ready(rundir)[:5]) or 'workloads'} to be ready")
    until_known(rundir, limit)


def until_known(rundir: RunDir, limit: float) -> None:
    """Return when the manager has planned for what is reported now and the switches carry it."""
    until(lambda: _known(rundir), limit, "the switches to know what is ready")


def not_ready(rundir: RunDir) -> list[str]:
    """Owners of workloads that are wanted and not ready, with the reason where there is one."""
    wanted = _wanted(rundir)
    there = {status.uid: status for status in _statuses(rundir)}
    missing = []
    for uid, owner in wanted.items():
        status = there.get(uid)
        if status is None or not status.ready:
            missing.append(owner + _reason(status))
    return missing


def _wanted(rundir: RunDir) -> dict[str, str]:
    document = json.loads(document_path(rundir, KUBELET).read_text(encoding="utf-8"))
    state = from_plain(WorkloadsState, document)
    return {workload.uid: workload.owner for workload in state.workloads}


def _statuses(rundir: RunDir) -> tuple[WorkloadStatus, ...]:
    document = read_status(rundir, KUBELET)
    return from_plain(WorkloadsStatus, document).workloads if document else ()


def _reason(status: WorkloadStatus | None) -> str:
    reasons = [container.reason for container in status.containers if container.reason] if status else []
    return f" ({reasons[0]})" if reasons else ""


def _known(rundir: RunDir) -> bool:
    """Whether the manager has planned for what the kubelet says now, and the switches carry that plan."""
    memory = read_memory(rundir)
    if memory is None:
        return False
    if memory.lab.services and set(memory.ready) != read_observed(rundir).ready:
        return False
    return not rolling(memory.lab, memory.ledger) and not controllers_behind(rundir, memory.generation)
