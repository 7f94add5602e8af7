"""Bring-up and tear-down of a whole lab measured by phase: planned, made, programmed, proven by pings, removed.

In the pods of the lab no program runs. Its own name and run directory; nothing is kept.
"""

from __future__ import annotations

import random
import secrets
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from testbed.emulation.errors import EmulationError, NoSuchLabError
from testbed.emulation.processes import run_in
from testbed.emulation.rundir import RunDir
from testbed.emulation.teardown import tear_down
from testbed.model.planning.resolved import PlannedPod
from testbed.operations import verbs
from testbed.operations.change import Note

PINGS = 20
"""Pairs of pods that are tried; most are on different nodes when there are many nodes."""

_LOCK_LIMIT = 20.0  # the lab's own manager may be planning a thousand pods again

_TEXT = """
apiVersion: cnlab.dev/v1
kind: Vpc
metadata: {{name: bench}}
spec: {{cidr: 10.0.0.0/9}}
---
apiVersion: cnlab.dev/v1
kind: Subnet
metadata: {{name: nodes}}
spec: {{vpc: bench, cidr: 10.0.0.0/16}}
---
apiVersion: cnlab.dev/v1
kind: Subnet
metadata: {{name: pods}}
spec: {{vpc: bench, cidr: 10.64.0.0/12}}
---
apiVersion: cnlab.dev/v1
kind: Cluster
metadata: {{name: bench}}
spec:
  networkModel: {model}
  vpc: bench
  nodeSubnet: nodes
  podSubnets: [pods]
  containerCIDR: 172.16.0.0/14
  nodePools: [{{name: node, count: {nodes}, maxPods: 256{quota}}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: pod}}
spec:
  replicas: {pods}
  selector: {{matchLabels: {{app: pod}}}}
  template:
    metadata: {{labels: {{app: pod}}}}
    spec: {{containers: [{{name: pause, image: pause}}]}}
"""


@dataclass(frozen=True, slots=True)
class Run:
    """Seconds by phase, in the order in which they begin; ``up`` is all but ``down``, the pings included."""

    phases: tuple[tuple[str, float], ...]
    up: float
    down: float


def bench_text(nodes: int, pods: int, model: str) -> str:
    quota = ", subENIs: 256" if model == "eni" else ""
    return _TEXT.format(nodes=nodes, pods=pods, model=model, quota=quota)


def measure_lab(nodes: int, pods: int, model: str, datapath: str, note: Note = verbs.silent) -> Run:
    """One lab up, proven and down. Raises ``EmulationError`` when a ping is lost: then there is nothing to time."""
    rundir = RunDir.of(f"bench-{secrets.token_hex(3)}")
    phases = _Phases(note)
    try:
        with TemporaryDirectory() as folder:
            file = Path(folder) / "bench.yaml"
            file.write_text(bench_text(nodes, pods, model), encoding="utf-8")
            outcome = verbs.up((str(file),), rundir, datapath, note=phases)
        phases("pings")
        _prove(rundir, outcome.plan.pods)
        phases("down")
        tear_down(rundir, _LOCK_LIMIT)
        phases("end")
    finally:
        with suppress(NoSuchLabError):
            tear_down(rundir, _LOCK_LIMIT)
    seconds = phases.seconds()
    down = seconds.pop("down")
    return Run((*seconds.items(), ("down", down)), sum(seconds.values()), down)


def median(runs: Sequence[Run]) -> Run:
    """The median of each figure."""
    return Run(
        tuple((name, statistics.median(dict(run.phases).get(name, 0.0) for run in runs)) for name, _ in runs[0].phases),
        statistics.median(run.up for run in runs),
        statistics.median(run.down for run in runs),
    )


class _Phases:
    """Notes when each step begins."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._begun: list[tuple[str, float]] = []

    def __call__(self, phase: str) -> None:
        self._begun.append((phase.partition(" for generation")[0], time.monotonic()))
        self._note(phase)

    def seconds(self) -> dict[str, float]:
        """By phase; one that was begun several times counts all of them."""
        found: dict[str, float] = {}
        for (phase, start), (_, end) in zip(self._begun, self._begun[1:], strict=False):
            found[phase] = found.get(phase, 0.0) + end - start
        return found


def _prove(rundir: RunDir, pods: Sequence[PlannedPod]) -> None:
    placed = [pod for pod in pods if pod.node is not None]
    if len(placed) < len(pods) or len(placed) < 2:
        raise EmulationError(f"{len(pods) - len(placed)} of {len(pods)} pods have no place")
    choose = random.Random(1)  # noqa: S311 - the same pairs in every run
    for _ in range(PINGS):
        source, target = choose.sample(placed, 2)
        done = run_in(rundir, source.host, ("ping", "-c1", "-W3", "-q", str(target.address)))
        if done.returncode:
            raise EmulationError(f"{source.name} on {source.node} does not reach {target.name} on {target.node}")
