"""The verbs that change a lab, each as an editor of what the lab remembers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from testbed.emulation.errors import NoSuchLabError
from testbed.emulation.lock import LOCK_SECONDS
from testbed.emulation.rundir import RunDir, list_labs
from testbed.emulation.state import Datapath
from testbed.emulation.teardown import TornDown, tear_down
from testbed.model.planning.ledger import Ledger
from testbed.operations import edits
from testbed.operations.change import Editor, Note, Outcome, make_change, preview_change
from testbed.operations.datapath import choose_datapath
from testbed.operations.errors import BadRequestError
from testbed.operations.loading import load_sources, read_sources
from testbed.operations.memory import Memory, read_memory
from testbed.operations.sources import SourceText


def silent(_: str) -> None:
    """Tell nobody."""


def up(
    paths: Sequence[str], rundir: RunDir, datapath: str = "auto", *, dry_run: bool = False, note: Note = silent
) -> Outcome:
    """Make the lab of ``paths`` real; a lab that runs is changed to what they say.

    ``datapath`` is ``auto``, ``kernel`` or ``userspace``. Raises ``SpecError`` or ``PlanError`` with every fault before
    anything is touched, ``MachineLacksError``, ``BadRequestError``, ``EmulationError``, ``NotAppliedError``.
    """
    note("read")
    sources = read_sources(paths)
    loaded = None if rundir.exists else load_sources(sources)
    chosen = choose_datapath(datapath)

    def editor(memory: Memory | None) -> edits.Edit:
        if memory and datapath != "auto" and chosen.value != memory.datapath:
            raise BadRequestError(
                f"lab {rundir.lab} runs on the {memory.datapath} datapath, which can't be changed: lab down first"
            )
        return edits.Edit(sources, memory.ledger if memory else Ledger())

    if dry_run:
        return preview_change(rundir, editor, chosen, loaded)
    return make_change(rundir, editor, chosen, note, loaded)


def apply(paths: Sequence[str], rundir: RunDir, *, dry_run: bool = False, note: Note = silent) -> Outcome:
    """Add the objects of the files, or change those that are there."""
    return apply_sources(read_sources(paths), rundir, dry_run=dry_run, note=note)


def apply_sources(
    sources: Sequence[SourceText], rundir: RunDir, *, dry_run: bool = False, note: Note = silent
) -> Outcome:
    """The same for documents that are texts already."""
    return _edit(rundir, lambda memory: edits.plan_apply(memory, sources), dry_run, note)


def delete(targets: Sequence[edits.Target], rundir: RunDir, *, dry_run: bool = False, note: Note = silent) -> Outcome:
    """Remove objects. Raises ``BadRequestError`` for one that is not there."""
    return _edit(rundir, lambda memory: edits.plan_delete(memory, targets), dry_run, note)


def delete_files(paths: Sequence[str], rundir: RunDir, *, dry_run: bool = False, note: Note = silent) -> Outcome:
    """Remove the objects that the files are about."""
    sources = read_sources(paths)
    return _edit(rundir, lambda memory: edits.plan_delete_documents(memory, sources), dry_run, note)


def scale(
    target: edits.Target, replicas: int, rundir: RunDir, *, dry_run: bool = False, note: Note = silent
) -> Outcome:
    return _edit(rundir, lambda memory: edits.plan_scale(memory, target, replicas), dry_run, note)


def down(rundir: RunDir, lock_limit: float = LOCK_SECONDS) -> TornDown:
    """Remove the lab and nothing else. Raises ``NoSuchLabError``, ``LabBusyError``, ``EmulationError``."""
    return tear_down(rundir, lock_limit)


def down_all() -> dict[str, TornDown]:
    return {name: tear_down(RunDir.of(name)) for name in list_labs()}


def _edit(rundir: RunDir, edit: Callable[[Memory], edits.Edit], dry_run: bool, note: Note) -> Outcome:
    """A change of a lab that runs."""

    def editor(memory: Memory | None) -> edits.Edit:
        if memory is None:
            raise NoSuchLabError(f"lab {rundir.lab} has never come up; lab down --lab {rundir.lab} removes the rest")
        return edit(memory)

    if not rundir.exists:
        raise NoSuchLabError(f"there is no lab {rundir.lab}")
    memory = read_memory(rundir)
    datapath = Datapath(memory.datapath) if memory else Datapath.USERSPACE
    if dry_run:
        return preview_change(rundir, editor, datapath)
    return make_change(rundir, editor, datapath, note)


__all__ = ["Editor", "apply", "apply_sources", "delete", "delete_files", "down", "down_all", "scale", "silent", "up"]
