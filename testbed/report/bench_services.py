"""``lab bench services``: figures as text and as a document."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from testbed.operations.bench_services import ServicesRun


@dataclass(frozen=True, slots=True)
class ServicesBench:
    """Medians of ``repeat`` runs, by number of Services."""

    nodes: int
    endpoints: int
    model: str
    repeat: int
    datapath: str
    runs: tuple[tuple[int, ServicesRun], ...]


def render_services_bench(bench: ServicesBench) -> str:
    what = f"Services with {bench.endpoints} endpoints on {bench.nodes} nodes, {bench.model} network"
    where = f"{bench.datapath} datapath, {os.cpu_count()} processors, kernel {platform.release()}"
    lines = [
        f"{what}: medians of {bench.repeat} runs ({where})",
        _row("Services", bench, lambda _, services: f"{services}"),
        _row("full build, in force", bench, lambda run, _: f"{run.build:.2f} s"),
        _row("one endpoint changed, in force", bench, lambda run, _: f"{run.change * 1000:.0f} ms"),
        _row("  messages to all switches", bench, lambda run, _: f"{run.messages:.0f}"),
        _row("the whole lab planned anew", bench, lambda run, _: f"{run.plan * 1000:.0f} ms"),
        _row("connections/s by ClusterIP", bench, lambda run, _: f"{run.service_rate:.0f}"),
        _row("connections/s to the pod", bench, lambda run, _: f"{run.pod_rate:.0f}"),
        _row("  ClusterIP to pod", bench, lambda run, _: f"{run.service_rate / run.pod_rate:.2f}"),
    ]
    return "\n".join(lines)


def services_bench_document(bench: ServicesBench) -> dict[str, Any]:
    runs = [{"services": services, **asdict(run)} for services, run in bench.runs]
    return {**asdict(bench), "runs": runs, "kernel": platform.release(), "processors": os.cpu_count()}


def _row(name: str, bench: ServicesBench, figure: Callable[[ServicesRun, int], str]) -> str:
    return f"  {name:<32}" + "".join(f"{figure(run, services):>12}" for services, run in bench.runs)
