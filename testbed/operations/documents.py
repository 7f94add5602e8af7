"""The documents through which the controllers and the kubelet learn what is wanted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from testbed.emulation.rundir import RunDir, write_atomically
from testbed.model.codec import to_plain
from testbed.model.planning.plan import Plan

FABRIC, CLUSTER, KUBELET = "fabric", "cluster", "kubelet"


def document_path(rundir: RunDir, reader: str) -> Path:
    """Where ``fabric``, ``cluster`` or ``kubelet`` reads what is wanted."""
    return rundir.path / "workloads.json" if reader == KUBELET else rundir.control / f"{reader}.json"


def status_path(rundir: RunDir, reader: str) -> Path:
    """Where it writes what it has done."""
    return rundir.path / "workloads.status.json" if reader == KUBELET else rundir.control / f"{reader}.applied.json"


def documents_of(plan: Plan) -> dict[str, Any]:
    """The documents of a plan as JSON values."""
    return {FABRIC: to_plain(plan.fabric), CLUSTER: to_plain(plan.clusters), KUBELET: to_plain(plan.workloads)}


def in_force(rundir: RunDir, plan: Plan) -> bool:
    """Whether the documents say already what ``plan`` says, whatever the generation."""
    texts = read_documents(rundir)
    there = {reader: {**json.loads(text), "generation": 0} for reader, text in texts.items()}
    return there == {reader: {**document, "generation": 0} for reader, document in documents_of(plan).items()}


def write_plan(rundir: RunDir, plan: Plan) -> None:
    for reader, document in documents_of(plan).items():
        write_atomically(document_path(rundir, reader), json.dumps(document, separators=(",", ":")))


def read_documents(rundir: RunDir) -> dict[str, str]:
    """The texts as they are, to be put back if need be; those that are there."""
    texts = {}
    for reader in (FABRIC, CLUSTER, KUBELET):
        path = document_path(rundir, reader)
        if path.exists():
            texts[reader] = path.read_text(encoding="utf-8")
    return texts


def write_documents(rundir: RunDir, texts: dict[str, str], generation: int) -> None:
    """Put ``texts`` (of :func:`read_documents`) back under a new generation number."""
    for reader, text in texts.items():
        document = {**json.loads(text), "generation": generation}
        write_atomically(document_path(rundir, reader), json.dumps(document, separators=(",", ":")))
