"""Checking files without making anything: what is said of them by the spec and by planning."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from testbed.model.lab import Lab
from testbed.model.planning.faults import PlanFault
from testbed.model.planning.ledger import Ledger
from testbed.model.planning.plan import plan_lab
from testbed.operations.loading import load_sources, read_sources
from testbed.spec import Fault


@dataclass(frozen=True, slots=True)
class Checked:
    """``summary``: ``1 cluster, 2 subnets, 6 pods``."""

    lab: Lab
    warnings: tuple[Fault | PlanFault, ...]
    summary: str


def check_files(paths: Sequence[str]) -> Checked:
    """Raises ``SpecError`` or ``PlanError`` with every fault."""
    loaded = load_sources(read_sources(paths))
    plan = plan_lab(loaded.lab, Ledger(), 1, "userspace", time.time())
    pending = (PlanFault(pod.source, pod.owner, f"would be Pending: {pod.pending}", "", "P001") for pod in plan.pending)
    counts = _count(loaded.lab)
    summary = ", ".join(f"{count} {name}" for name, count in counts.items()) or "nothing"
    return Checked(loaded.lab, (*loaded.warnings, *pending), f"{summary}; {len(plan.pods)} pods in all")


def fault_document(fault: Fault | PlanFault) -> dict[str, Any]:
    """For programs: where it is (``line``, ``col`` from 1), ``what`` is wrong, ``hint``, ``code``, ``severity``."""
    if isinstance(fault, Fault):
        return asdict(fault)
    place = {"file": fault.source.file, "line": fault.source.line, "col": 1, "path": fault.owner}
    return {**place, "what": fault.what, "hint": fault.hint, "code": fault.code, "severity": "error"}


def _count(lab: Lab) -> dict[str, int]:
    counts = {field.name.replace("_", " "): len(getattr(lab, field.name)) for field in fields(lab)}
    return {
        name if count > 1 else name.removesuffix("s").replace("policie", "policy"): count
        for name, count in counts.items()
        if count
    }
