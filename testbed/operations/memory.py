"""What a lab remembers from one command to the next: the texts it was made of and how they were planned.

One file of the run directory, ``lab.json``, written last of all: it names the generation that is in force.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from testbed.emulation.rundir import RunDir, write_atomically
from testbed.model.codec import from_plain, to_plain
from testbed.model.lab import Lab
from testbed.model.planning.eips import PlannedEip
from testbed.model.planning.ledger import Ledger
from testbed.model.planning.resolved import PlannedHost, PlannedNode, PlannedPod
from testbed.operations.errors import OperationError
from testbed.operations.sources import SourceText


@dataclass(frozen=True, slots=True)
class Memory:
    """``last_generation`` may be newer than ``generation``: numbers of changes that failed are not used again.

    ``started`` is when the first ``up`` began, ``changed`` when this generation was in force, in seconds since the
    epoch; ``seconds`` is how long the last change took. ``ready`` are the uids of the pods that were ready when this
    generation was planned.
    """

    generation: int
    last_generation: int
    datapath: str
    sources: tuple[SourceText, ...]
    lab: Lab
    nodes: tuple[PlannedNode, ...]
    pods: tuple[PlannedPod, ...]
    hosts: tuple[PlannedHost, ...]
    eips: tuple[PlannedEip, ...]
    ledger: Ledger
    started: float
    changed: float
    seconds: float
    ready: tuple[str, ...] = ()


def memory_path(rundir: RunDir) -> Path:
    return rundir.path / "lab.json"


def write_memory(rundir: RunDir, memory: Memory) -> None:
    write_atomically(memory_path(rundir), json.dumps(to_plain(memory), separators=(",", ":")))


def read_memory(rundir: RunDir) -> Memory | None:
    """None for a lab whose first ``up`` has not ended. Raises ``OperationError`` for a file that is not ours."""
    path = memory_path(rundir)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        return from_plain(Memory, json.loads(text))
    except (ValueError, KeyError, TypeError) as error:
        raise OperationError(
            f"{path} can't be read ({type(error).__name__}: {error}); `lab down --lab {rundir.lab}` removes the lab"
        ) from error
