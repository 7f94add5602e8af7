"""The user's files as texts, and texts as a lab."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from testbed.model.lab import Lab
from testbed.operations.sources import SourceText
from testbed.spec import Loaded, SpecError, load_texts
from testbed.spec.faults import Fault
from testbed.spec.source import Reading, read_bytes, read_file

__all__ = ["Loaded", "load_sources", "read_sources"]


def read_sources(paths: Sequence[str]) -> tuple[SourceText, ...]:
    """The files' texts; ``-`` is the standard input.

    Raises ``SpecError`` when a file can't be read as text, or says nothing, with all files in which that is so.
    """
    texts: list[SourceText] = []
    faults: list[Fault] = []
    for path in paths:
        text, reading = _read(path)
        texts.append(text)
        if not reading.documents:
            faults += reading.faults
    if faults:
        raise SpecError(faults)
    return tuple(texts)


def load_sources(sources: Iterable[SourceText], running: Lab | None = None) -> Loaded:
    """The lab that the texts describe together. Raises ``SpecError`` with every fault."""
    return load_texts(((source.name, source.text) for source in sources), running)


def _read(path: str) -> tuple[SourceText, Reading]:
    name = "<stdin>" if path == "-" else path
    try:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError:
        return SourceText(name, ""), read_file(Path(path))  # which says what is wrong with it
    text = data.decode("utf-8-sig", errors="replace").replace("\r\n", "\n")
    return SourceText(name, text), read_bytes(data, name)
