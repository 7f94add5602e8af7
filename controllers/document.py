"""Writes what is known from the pipelines alone: ``python -m controllers.document`` (``--check``: are they stale?).

The document for readers, and the names of the tables for the plan of the switches, so that every dump shows them.
"""

from __future__ import annotations

import sys
from pathlib import Path

from controllers.cluster import BR_EX, BR_INT
from controllers.fabric import PIPELINE as VPC
from controllers.openflow.document import render_document
from controllers.openflow.pipeline import Pipeline
from testbed.model import tables

PATH = Path(__file__).with_name("PIPELINE.md")
NAMES_PATH = Path(tables.__file__)

_NAMES = '''"""Names of the flow tables by their ids, as dumps show them; made by ``python -m controllers.document``."""

from __future__ import annotations

'''


def current_document() -> str:
    """What the document should say now."""
    return render_document((VPC, BR_EX, BR_INT))


def current_names() -> str:
    """What the module of table names should say now."""
    return _NAMES + "\n".join(map(_render_names, (VPC, BR_EX, BR_INT)))


def _render_names(pipeline: Pipeline) -> str:
    lines = "".join(f'    "{name}",\n' for name in pipeline.names)
    return f"{pipeline.role.upper().replace('-', '_')} = (\n{lines})\n"


def main(arguments: list[str]) -> int:
    """Exit status: 0 written or up to date, 1 stale (with ``--check``)."""
    wanted = {PATH: current_document(), NAMES_PATH: current_names()}
    if "--check" in arguments:
        return int(any(path.read_text(encoding="utf-8") != text for path, text in wanted.items()))
    for path, text in wanted.items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
