"""The pipeline document says what the declarations say."""

from __future__ import annotations

from controllers.document import PATH, current_document


def test_the_pipeline_document_is_up_to_date() -> None:
    assert PATH.read_text(encoding="utf-8") == current_document(), "run: python -m controllers.document"
