"""What planning has to know of the running lab: which pods are ready and which balancer members answer."""

from __future__ import annotations

import json
from pathlib import Path

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
    document = _read(path)
    return frozenset(item["uid"] for item in document.get("workloads", ()) if item.get("ready"))


def _dead(path: Path) -> frozenset[str]:
    return frozenset(_read(path).get("dead", ()))


def _read(path: Path) -> dict[str, list[dict[str, str]]]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
