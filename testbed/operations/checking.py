"""Checking files without making anything: what is said of them by the spec and by planning."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, fields

from testbed.model.lab import Lab
from testbed.model.planning.ledger import Ledger
from testbed.model.planning.plan import plan_lab
from testbed.operations.loading import load_sources, read_sources


@dataclass(frozen=True, slots=True)
class Checked:
    """``summary``: ``1 cluster, 2 subnets, 6 pods``."""

    lab: Lab
    warnings: tuple[str, ...]
    summary: str


def check_files(paths: Sequence[str]) -> Checked:
    """Raises ``SpecError`` or ``PlanError`` with every fault."""
    loaded = load_sources(read_sources(paths))
    plan = plan_lab(loaded.lab, Ledger(), 1, "userspace", time.time())
    pending = (f"{pod.owner} would be Pending: {pod.pending}" for pod in plan.pending)
    counts = _count(loaded.lab)
    summary = ", ".join(f"{count} {name}" for name, count in counts.items()) or "nothing"
    return Checked(loaded.lab, (*map(str, loaded.warnings), *pending), f"{summary}; {len(plan.pods)} pods in all")


def _count(lab: Lab) -> dict[str, int]:
    counts = {field.name.replace("_", " "): len(getattr(lab, field.name)) for field in fields(lab)}
    return {
        name if count > 1 else name.removesuffix("s").replace("policie", "policy"): count
        for name, count in counts.items()
        if count
    }
