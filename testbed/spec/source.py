"""Files to documents: YAML text becomes plain values with a map of positions, and every trap is a fault.

The parser's events are read one by one (no recursion, so nothing in a file can exhaust the stack), and reading
goes on after a fault, so that a file's faults are found together. After a syntax error it goes on at the next
``---``.
"""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path as FilePath

import yaml

from testbed.spec.builder import FORBIDDEN, Builder
from testbed.spec.codes import Code
from testbed.spec.document import Document, Position
from testbed.spec.faults import Fault, plain
from testbed.spec.syntax import DOCUMENT_MARKER

MOST_BYTES = 1_000_000
MOST_DOCUMENTS = 5000
MOST_SYNTAX_FAULTS = 20
"""Of one file; after a syntax error, reading starts again at the next document."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The documents of a file and the faults that belong to none of them."""

    file: str
    documents: tuple[Document, ...]
    faults: tuple[Fault, ...]


def read_file(path: FilePath) -> Reading:
    """Read one file; ``-`` is the standard input."""
    name = "<stdin>" if str(path) == "-" else plain(str(path))
    try:
        data = sys.stdin.buffer.read(MOST_BYTES + 1) if str(path) == "-" else _read_bytes(path)
    except OSError as error:
        reason = f"can't be read: {error.strerror or error}"
        return _one_fault(name, Code.FILE_UNREADABLE, reason, "name a readable YAML file", 0)
    return read_bytes(data, name)


def read_bytes(data: bytes, name: str) -> Reading:
    """Documents of a file's bytes. ``name`` is what faults call it."""
    if len(data) > MOST_BYTES:
        return _one_fault(name, Code.FILE_TOO_BIG, f"larger than {MOST_BYTES} bytes", "split the file", 0)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return _one_fault(name, Code.FILE_ENCODING, f"not valid UTF-8 at byte {error.start}", "save as UTF-8", line)
    return read_text(text.replace("\r\n", "\n"), name)


def read_text(text: str, name: str) -> Reading:
    if forbidden := FORBIDDEN.search(text):
        line, col = _line_col(text, forbidden.start())
        what = f"control character U+{ord(forbidden.group()):04X} not allowed"
        return Reading(name, (), (Fault(name, line, col, "", what, "remove it", Code.YAML_CONTROL),))
    documents, faults = _read_documents(text, name)
    if not documents and not faults:
        hint = "expected a mapping with apiVersion, kind"
        faults.append(Fault(name, 1, 1, "", "spec is empty", hint, Code.FILE_EMPTY))
    return Reading(name, tuple(documents), tuple(faults))


def _read_bytes(path: FilePath) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            raise OSError(0, "is a device")
        os.set_blocking(descriptor, True)
        return file.read(MOST_BYTES + 1)


def _one_fault(name: str, code: Code, what: str, hint: str, line: int) -> Reading:
    return Reading(name, (), (Fault(name, line, 1, "", what, hint, code),))


def _line_col(text: str, offset: int) -> Position:
    start = text.rfind("\n", 0, offset) + 1
    return text.count("\n", 0, offset) + 1, offset - start + 1


def _read_documents(text: str, name: str) -> tuple[list[Document], list[Fault]]:
    documents: list[Document] = []
    faults: list[Fault] = []
    offset, lines, stops = 0, 0, 0
    while True:
        builder = Builder(name, lines, documents, faults)
        try:
            for event in yaml.parse(text[offset:], Loader=yaml.CSafeLoader):
                builder.take(event)
                if builder.too_deep:
                    break
                if len(documents) > MOST_DOCUMENTS:
                    what = f"more than {MOST_DOCUMENTS} documents"
                    faults.append(Fault(name, 1, 1, "", what, "split the file", Code.YAML_DOCUMENTS))
                    return [], faults
            else:
                return documents, faults
            line = builder.give_up()
        except (yaml.MarkedYAMLError, yaml.reader.ReaderError) as error:
            line = builder.stopped(error, text[offset:])
        resume = _next_document(text, max(line - 1, lines + 1))
        stops += 1
        if resume is None or stops == MOST_SYNTAX_FAULTS:
            return documents, faults
        offset, lines = resume, text.count("\n", 0, resume)


def _next_document(text: str, after_line: int) -> int | None:
    """Offset of the first ``---`` below line ``after_line`` (from 1)."""
    position = 0
    for _ in range(after_line):
        position = text.find("\n", position) + 1
        if position == 0:
            return None
    marker = DOCUMENT_MARKER.search(text, position)
    return marker.start() if marker else None
