"""The pipeline document and the names of tables say what the declarations say."""

from __future__ import annotations

from controllers.document import NAMES_PATH, PATH, current_document, current_names
from testbed.model import tables

LIMIT = 31
"""Characters of a table's name that OpenFlow carries."""


def test_the_pipeline_document_is_up_to_date() -> None:
    assert PATH.read_text(encoding="utf-8") == current_document(), "run: python -m controllers.document"


def test_the_names_of_tables_are_up_to_date() -> None:
    assert NAMES_PATH.read_text(encoding="utf-8") == current_names(), "run: python -m controllers.document"


def test_names_of_tables_are_shown_whole() -> None:
    assert [name for name in (*tables.VPC, *tables.BR_EX, *tables.BR_INT) if len(name) > LIMIT] == []
