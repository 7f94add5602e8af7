"""``lab bench``: figures as text and as a document."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from typing import Any

from testbed.emulation.bench import Plain
from testbed.operations.bench import Run

MEGABYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Bench:
    """Medians of ``repeat`` runs. Bytes are of a lab in whose pods nothing runs."""

    nodes: int
    pods: int
    model: str
    repeat: int
    datapath: str
    run: Run
    node_bytes: int
    pod_bytes: int
    plain: Plain | None


def render_bench(bench: Bench) -> str:
    head = f"{bench.nodes} nodes, {bench.pods} pods, {bench.model} network: medians of {bench.repeat} runs"
    lines = [f"{head} ({bench.datapath} datapath, {os.cpu_count()} processors, kernel {platform.release()})"]
    lines += [_line(name, f"{seconds:8.2f} s") for name, seconds in bench.run.phases if name != "down"]
    plain = bench.plain
    lines.append(
        _line("up and proven", f"{bench.run.up:8.2f} s", bench.run.up, plain.build + plain.start if plain else None)
    )
    lines.append(_line("down", f"{bench.run.down:8.2f} s", bench.run.down, plain.stop if plain else None))
    lines.append(_line("memory of a node", f"{bench.node_bytes / MEGABYTE:8.1f} MB"))
    lines.append(_line("memory of a pod", f"{bench.pod_bytes / MEGABYTE:8.2f} MB"))
    if plain:
        lines.append(f"plain Mininet: build {plain.build:.1f} s, start {plain.start:.1f} s, stop {plain.stop:.1f} s")
    return "\n".join(lines)


def bench_document(bench: Bench) -> dict[str, Any]:
    document = asdict(bench)
    document["run"]["phases"] = {name: round(seconds, 4) for name, seconds in bench.run.phases}
    return {**document, "kernel": platform.release(), "processors": os.cpu_count()}


def _line(name: str, figure: str, ours: float = 0.0, theirs: float | None = None) -> str:
    ratio = f"   1/{theirs / ours:.1f} of plain Mininet's {theirs:.1f} s" if theirs and ours else ""
    return f"  {name:<24}{figure}{ratio}"
