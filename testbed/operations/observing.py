"""What planning has to know of the running lab: which pods are ready and which balancer members answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from testbed.emulation.rundir import RunDir, write_atomically
from testbed.model.planning.observed import Observed
from testbed.operations.documents import KUBELET, status_path


def read_observed(rundir: RunDir) -> Observed:
    """From the kubelet's report and the last health checks; nothing is ready before somebody said so."""
    return Observed(ready=_ready(status_path(rundir, KUBELET)), dead_members=_dead(health_path(rundir)))


def health_path(rundir: RunDir) -> Path:
    return rundir.control / "health.json"


def write_dead_members(rundir: RunDir, dead: frozenset[str]) -> None:
    write_atomically(health_path(rundir), json.dumps({"dead": sorted(dead)}))


def _ready(path: Path) -> frozenset[str]:
    return frozenset(str(item["uid"]) for item in _list(path, "workloads") if item.get("ready"))


def _dead(path: Path) -> frozenset[str]:
    return frozenset(map(str, _list(path, "dead")))


def _list(path: Path, key: str) -> list[Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    found = document.get(key) if isinstance(document, dict) else None
    return found if isinstance(found, list) else []
