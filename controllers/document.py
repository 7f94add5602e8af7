"""Writes the pipeline document: ``python -m controllers.document`` (``--check`` only says whether it is stale)."""

from __future__ import annotations

import sys
from pathlib import Path

from controllers.cluster import BR_EX, BR_INT
from controllers.fabric import PIPELINE as VPC
from controllers.openflow.document import render_document

PATH = Path(__file__).with_name("PIPELINE.md")


def current_document() -> str:
    """What the document should say now."""
    return render_document((VPC, BR_EX, BR_INT))


def main(arguments: list[str]) -> int:
    """Exit status: 0 written or up to date, 1 stale (with ``--check``)."""
    wanted = current_document()
    if "--check" in arguments:
        return 0 if PATH.exists() and PATH.read_text(encoding="utf-8") == wanted else 1
    PATH.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
