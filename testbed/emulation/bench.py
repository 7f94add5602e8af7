"""Bring-up and tear-down measured by phase, beside plain Mininet building as much in the same run.

    python -m testbed.emulation.bench --nodes 50 --pods 1000 --repeat 3 --plain

Only the emulation: no controller programs the switches. Plain Mininet runs inside a namespace of a lab of its own,
with an Open vSwitch of its own, so it touches nothing of the machine either.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import secrets
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from testbed.emulation.changes import plan_changes
from testbed.emulation.doctor import has_kernel_datapath
from testbed.emulation.errors import EmulationError, NoSuchLabError
from testbed.emulation.ovs import ovs_environment
from testbed.emulation.ownership import find_processes
from testbed.emulation.processes import run_in
from testbed.emulation.realise import open_session
from testbed.emulation.rundir import RunDir
from testbed.emulation.state import Datapath
from testbed.emulation.synthetic import synthetic_wiring
from testbed.emulation.teardown import tear_down
from testbed.emulation.waiting import WaitedInVainError, until
from testbed.model.wiring import Namespace, NamespaceKind, Switch, Wiring

_PLAIN_LIMIT = 1800.0
_FREE_LIMIT = 30.0
_MEGABYTE = 1 << 20
_PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Measured:
    """One run. Seconds by phase; bytes of memory that the kernel and the switches hold, by node and by pod.

    ``down`` is the command; the kernel then frees the namespaces in its own time, and ``freed`` is when, counted from
    the start of the command, nine tenths of the memory are back (or when that was waited for in vain, because other
    programs took it). ``pod_bytes`` is what the machine lost in available memory beyond the switches' own, divided by
    the pods.
    """

    phases: tuple[tuple[str, float], ...]
    up: float
    down: float
    freed: float
    node_bytes: int
    pod_bytes: int


@dataclass(frozen=True, slots=True)
class Plain:
    """Plain Mininet: seconds to build hosts and links, to start the switches, to stop everything."""

    build: float
    start: float
    stop: float


def choose() -> Datapath:
    return Datapath.KERNEL if has_kernel_datapath() else Datapath.USERSPACE


def measure(nodes: int, pods: int) -> Measured:
    """Bring a synthetic lab up and down once."""
    rundir = RunDir.of(f"bench-{secrets.token_hex(3)}")
    wanted = synthetic_wiring(nodes, pods)
    before = _settled_available()
    try:
        start = time.monotonic()
        with open_session(rundir, choose()) as session:
            session.apply(plan_changes(wanted, session.found.wiring, session.found.doubtful))
            session.settle(1, ())
        up = time.monotonic() - start
        pids = [owned.pid for owned in find_processes(rundir)]
        used = before - _available()
        pods_used = used - sum(_pss(pid, "Pss_Anon") for pid in pids)
        switches = sum(_pss(pid, "Pss") for pid in pids)
    finally:
        down = time.monotonic()
        torn = tear_down(rundir)
    with suppress(WaitedInVainError):  # other programs took memory meanwhile
        enough = max(0, used) / 10 + _MEGABYTE
        until(lambda: before - _available() < enough, _FREE_LIMIT, "the kernel to free the namespaces")
    freed = time.monotonic() - down
    pod_bytes = max(0, pods_used) // max(1, pods)
    return Measured(tuple(session.seconds.items()), up, torn.seconds, freed, switches // (nodes + 1), pod_bytes)


def measure_plain(switches: int, hosts: int) -> Plain:
    """Build, start and stop ``hosts`` hosts on ``switches`` switches around a core switch with plain Mininet."""
    rundir = RunDir.of(f"bench-{secrets.token_hex(3)}")
    owner = "Lab/plain-mininet"
    wanted = Wiring(namespaces=(Namespace("plain", NamespaceKind.NODE, owner),), switches=(Switch("plain", (), owner),))
    try:
        with open_session(rundir, choose()) as session:
            session.apply(plan_changes(wanted, session.found.wiring))
            session.settle(1, ())
        settings = {**ovs_environment(rundir.ovs("plain")), "PYTHONPATH": str(_PROJECT)}
        command = ["env", *(f"{name}={value}" for name, value in settings.items())]
        command += [sys.executable, "-P", "-m", "testbed.emulation.plain_mininet", str(switches), str(hosts)]
        ran = run_in(rundir, "plain", [*command, choose().value], limit=_PLAIN_LIMIT)
        if ran.returncode:
            raise EmulationError(f"plain Mininet failed: {ran.stderr.strip()[-500:]}")
        return Plain(**json.loads(ran.stdout.strip().split("\n")[-1]))
    finally:
        with suppress(NoSuchLabError):  # it could not be made, which is being reported
            tear_down(rundir)


def median(runs: Sequence[Measured]) -> Measured:
    """The median of each figure."""
    names = [name for name, _ in runs[0].phases]
    return Measured(
        phases=tuple((name, statistics.median(dict(run.phases)[name] for run in runs)) for name in names),
        up=statistics.median(run.up for run in runs),
        down=statistics.median(run.down for run in runs),
        freed=statistics.median(run.freed for run in runs),
        node_bytes=round(statistics.median(run.node_bytes for run in runs)),
        pod_bytes=round(statistics.median(run.pod_bytes for run in runs)),
    )


def render_bench(nodes: int, pods: int, result: Measured, plain: Plain | None) -> str:
    lines = [f"{nodes} nodes, {pods} pods ({choose()} datapath, {os.cpu_count()} processors)"]
    lines += [f"  {name:<26}{seconds:8.2f} s" for name, seconds in result.phases]
    lines.append(f"  {'up':<26}{result.up:8.2f} s{_ratio(result.up, plain.build + plain.start if plain else 0)}")
    lines.append(f"  {'down':<26}{result.down:8.2f} s{_ratio(result.down, plain.stop if plain else 0)}")
    lines.append(f"  {'memory back':<26}{result.freed:8.2f} s")
    lines.append(f"  {'memory of a node':<26}{result.node_bytes / _MEGABYTE:8.1f} MB")
    lines.append(f"  {'memory of a pod':<26}{result.pod_bytes / _MEGABYTE:8.2f} MB")
    if plain:
        lines.append(f"  plain Mininet: build {plain.build:.2f} s, start {plain.start:.2f} s, stop {plain.stop:.2f} s")
    return "\n".join(lines) + "\n"


def _ratio(ours: float, theirs: float) -> str:
    return f"   1/{theirs / ours:.1f} of plain Mininet's {theirs:.1f} s" if theirs else ""


def _settled_available() -> int:
    """Available memory once it has stopped growing: an earlier lab's namespaces may still be on their way out."""
    last = -1

    def settled() -> int:
        nonlocal last
        before, last = last, _available()
        return last if abs(last - before) < _MEGABYTE else 0

    with suppress(WaitedInVainError):
        return until(settled, _FREE_LIMIT, "available memory to settle", pause=0.5)
    return last


def _available() -> int:
    match = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return int(match[1]) * 1024 if match else 0


def _pss(pid: int, field: str) -> int:
    """Proportional set size in bytes: a page that fifty daemons share counts a fiftieth for each.

    ``Pss_Anon`` is the part that is not the program's file, which the machine keeps in memory anyway.
    """
    try:
        text = Path("/proc", str(pid), "smaps_rollup").read_text()
    except OSError:
        return 0
    match = re.search(rf"^{field}:\s+(\d+) kB", text, re.MULTILINE)
    return int(match[1]) * 1024 if match else 0


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure bring-up and tear-down of a synthetic lab.")
    parser.add_argument("--nodes", type=int, default=50)
    parser.add_argument("--pods", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--plain", action="store_true", help="measure plain Mininet too (minutes)")
    arguments = parser.parse_args()
    runs = [measure(arguments.nodes, arguments.pods) for _ in range(arguments.repeat)]
    plain = measure_plain(arguments.nodes, arguments.pods) if arguments.plain else None
    sys.stdout.write(render_bench(arguments.nodes, arguments.pods, median(runs), plain))


if __name__ == "__main__":
    main()
