"""Labs as views, without anything running: their files are written, and nothing else."""

from __future__ import annotations

from pathlib import Path

from testbed.emulation.rundir import RunDir
from testbed.model.planning import Ledger, plan_lab
from testbed.observe.status import View
from testbed.operations.documents import write_plan
from testbed.operations.loading import load_sources
from testbed.operations.memory import Memory, write_memory
from testbed.operations.models import with_model
from testbed.operations.sources import SourceText

ROOT = Path(__file__).resolve().parents[3]


def view_of(topology: str, model: str, root: Path, more: str = "") -> View:
    """The lab of ``topologies/<topology>.yaml`` as it is right after ``lab up``; ``root``: for its run directory.

    ``more``: documents besides.
    """
    path = f"topologies/{topology}.yaml"
    sources = (SourceText(path, with_model((ROOT / path).read_text(), model) + more),)
    plan = plan_lab(load_sources(sources).lab, Ledger(), 1, "userspace", 0.0)
    rundir = RunDir.of(topology, root)
    rundir.make()
    write_plan(rundir, plan)
    planned = (plan.lab, plan.nodes, plan.pods, plan.hosts, plan.eips, plan.ledger)
    write_memory(rundir, Memory(1, 1, "userspace", sources, *planned, 0.0, 0.0, 0.0))
    return View(rundir)
