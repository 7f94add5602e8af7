"""The same documents on another network model: one word of them is changed."""

from __future__ import annotations

import re
from collections.abc import Sequence

from testbed.emulation.rundir import RunDir
from testbed.model.planning.ledger import Ledger
from testbed.operations import edits
from testbed.operations.change import Note, Outcome, make_change
from testbed.operations.datapath import choose_datapath
from testbed.operations.errors import BadRequestError
from testbed.operations.loading import load_sources, read_sources
from testbed.operations.sources import SourceText
from testbed.operations.verbs import silent

MODELS = ("tunnel", "vpc", "eni")

_MODEL = re.compile(r"(\bnetworkModel:\s*)\w+")


def with_model(text: str, model: str) -> str:
    """The documents with their clusters' network model changed: one word."""
    return _MODEL.sub(rf"\g<1>{model}", text)


def up_in_model(
    paths: Sequence[str], model: str, rundir: RunDir, datapath: str = "auto", note: Note = silent
) -> Outcome:
    """Make the lab of ``paths`` with every cluster in ``model``.

    Raises what :func:`testbed.operations.verbs.up` raises, and ``BadRequestError`` when a lab of that name is there.
    """
    if rundir.exists:
        raise BadRequestError(f"lab {rundir.lab} is there already; lab down {rundir.lab} removes it")
    sources = tuple(SourceText(source.name, with_model(source.text, model)) for source in read_sources(paths))
    edit = edits.Edit(sources, Ledger())
    return make_change(rundir, lambda _: edit, choose_datapath(datapath), note, load_sources(sources))
