"""The documents through which the controllers and the kubelet learn what is wanted."""

from __future__ import annotations

import re
from pathlib import Path

from testbed.emulation.rundir import RunDir, write_atomically
from testbed.model.document import render_document
from testbed.model.planning.plan import Plan

_GENERATION = re.compile(r'^{"generation":\d+,')
"""How every document begins."""

FABRIC, CLUSTER, KUBELET = "fabric", "cluster", "kubelet"


def document_path(rundir: RunDir, reader: str) -> Path:
    """Where ``fabric``, ``cluster`` or ``kubelet`` reads what is wanted."""
    return rundir.workloads if reader == KUBELET else rundir.control / f"{reader}.json"


def status_path(rundir: RunDir, reader: str) -> Path:
    """Where it writes what it has done."""
    return rundir.workloads_status if reader == KUBELET else rundir.control / f"{reader}.applied.json"


def texts_of(plan: Plan) -> dict[str, str]:
    """The documents of a plan."""
    wanted = {FABRIC: plan.fabric, CLUSTER: plan.clusters, KUBELET: plan.workloads}
    return {reader: render_document(state) for reader, state in wanted.items()}


def in_force(rundir: RunDir, plan: Plan) -> bool:
    """Whether the documents say already what ``plan`` says, whatever the generation."""
    there = {reader: _GENERATION.sub("", text) for reader, text in read_documents(rundir).items()}
    return there == {reader: _GENERATION.sub("", text) for reader, text in texts_of(plan).items()}


def write_plan(rundir: RunDir, plan: Plan) -> None:
    for reader, text in texts_of(plan).items():
        write_atomically(document_path(rundir, reader), text)


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
        write_atomically(document_path(rundir, reader), _GENERATION.sub(f'{{"generation":{generation},', text))
