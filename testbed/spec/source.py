"""Files to documents: YAML text becomes plain values with a map of positions, and every trap is a fault.

The parser's events are read one by one (no recursion, so nothing in a file can exhaust the stack), and reading
goes on after a fault, so that a file's faults are found together. After a syntax error it goes on at the next
``---``.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import yaml

from testbed.spec.codes import Code
from testbed.spec.document import Document, Path, Position, render_path
from testbed.spec.faults import Fault, found, plain, show
from testbed.spec.scalars import Trap, read_octal, read_plain

MOST_BYTES = 1_000_000
MOST_DEPTH = 50
MOST_DOCUMENTS = 5000
MOST_SYNTAX_FAULTS = 20
"""Of one file; after a syntax error, reading starts again at the next document."""

_STR_TAGS = frozenset(("!", "tag:yaml.org,2002:str"))
_MODE_KEYS = frozenset(("mode", "defaultMode"))
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
_DOCUMENT_MARKER = re.compile(r"^---(?=\s|$)", re.MULTILINE)


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
    if forbidden := _FORBIDDEN.search(text):
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
        builder = _Builder(name, lines, documents, faults)
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
    marker = _DOCUMENT_MARKER.search(text, position)
    return marker.start() if marker else None


@dataclass(slots=True)
class _Frame:
    """An open mapping or list. ``key`` is the mapping key whose value comes next; ``refused`` that it is bad."""

    value: dict[str, Any] | list[Any]
    path: Path
    key: str | None = None
    refused: bool = False
    discard: bool = False


@dataclass(slots=True)
class _Builder:
    """Builds documents from parser events. ``lines`` is how many lines of the file come before the text."""

    name: str
    lines: int
    documents: list[Document]
    file_faults: list[Fault]
    document: Document | None = None
    stack: list[_Frame] = field(default_factory=list)
    skipping: int = 0
    anchored: bool = False
    seen: bool = False
    too_deep: int = 0

    def take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.DocumentStartEvent):
            self._start_document(event)
        elif isinstance(event, yaml.DocumentEndEvent):
            self._end_document()
        elif self.skipping:
            self._skip(event)
        elif isinstance(event, yaml.AliasEvent):
            self._anchor(event)
            self._place(None, event, damaged=True)
        elif isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            self._open(event)
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            self.stack.pop()

    def stopped(self, error: yaml.MarkedYAMLError | yaml.reader.ReaderError, text: str) -> int:
        """Note the syntax error that ended parsing; return the line (in the file) where it was."""
        line, col, what, hint, code = _explain(error, text)
        line += self.lines
        self.file_faults.append(Fault(self.name, line, col, "", what, hint, code))
        self.give_up()
        return line

    def give_up(self) -> int:
        """Leave the document that is being read, keeping its faults; the line where it became too deep, if it did."""
        if self.document is not None:
            self.file_faults.extend(self.document.faults)
            self.document = None
        return self.too_deep

    def _mark(self, event: yaml.Event) -> Position:
        mark = event.start_mark
        assert mark is not None  # the parser marks every event
        return mark.line + 1 + self.lines, mark.column + 1

    def _start_document(self, event: yaml.DocumentStartEvent) -> None:
        self.document = Document(self.name, {}, self._mark(event))
        self.stack, self.skipping, self.anchored, self.seen = [], 0, False, False
        if event.version is not None and tuple(event.version) not in ((1, 1), (1, 2)):
            version = ".".join(map(str, event.version))
            self.document.report((), Code.YAML_VERSION, f"unsupported YAML version {version}", "remove the directive")

    def _end_document(self) -> None:
        document, self.document = self.document, None
        if document is None:
            return
        if self.seen or document.faults:
            self.documents.append(document)

    def _open(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent) -> None:
        self._check_properties(event, "map" if isinstance(event, yaml.MappingStartEvent) else "seq")
        if len(self.stack) >= MOST_DEPTH:
            self._refuse_depth(event)
            return
        value: dict[str, Any] | list[Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
        if self._awaits_key():
            self._bad_key(event, "a key must be a string")
            self.skipping = 1
            return
        path = self._place(value, event)
        if path is None:
            self.skipping = 1
            return
        self.stack.append(_Frame(value, path))

    def _refuse_depth(self, event: yaml.Event) -> None:
        self._report(event, Code.YAML_DEPTH, f"nesting deeper than {MOST_DEPTH}", "flatten it")
        self.too_deep = self._mark(event)[0]

    def _skip(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.CollectionStartEvent):
            self.skipping += 1
            if len(self.stack) + self.skipping > MOST_DEPTH:
                self._refuse_depth(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self.skipping -= 1

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        assert self.document is not None
        self._check_properties(event, "str")
        unquoted = event.implicit[0] and event.tag is None
        if self._awaits_key():
            self._key(event, unquoted)
            return
        value = read_plain(event.value) if unquoted else event.value
        frame = self.stack[-1] if self.stack else None
        if isinstance(value, Trap) and frame is not None and frame.key in _MODE_KEYS:
            octal = read_octal(event.value)
            value = value if octal is None else octal
        if isinstance(value, Trap):
            path = self._place(None, event, damaged=True)
            self._report(event, value.code, value.what, value.hint, path)
            return
        if isinstance(value, str) and (bad := _FORBIDDEN.search(value)):
            self._report(event, Code.YAML_CONTROL, f"control character U+{ord(bad.group()):04X} not allowed", "")
            self._place(None, event, damaged=True)
            return
        path = self._place(value, event)
        if path is not None and unquoted and not isinstance(value, str) and value is not None:
            self.document.texts[path] = event.value

    def _awaits_key(self) -> bool:
        frame = self.stack[-1] if self.stack else None
        return frame is not None and isinstance(frame.value, dict) and frame.key is None and not frame.refused

    def _key(self, event: yaml.ScalarEvent, unquoted: bool) -> None:
        assert self.document is not None
        frame = self.stack[-1]
        key = event.value
        read = read_plain(key) if unquoted else key
        if unquoted and key == "<<":
            self._bad_key(event, "merge keys are not allowed", "write the fields out", Code.YAML_MERGE)
        elif not isinstance(read, str):
            self._bad_key(event, f"a key must be a string, found {show(key)}", f"write {show(key)} in quotes")
        elif key in frame.value:
            first = self.document.keys[(*frame.path, key)][0]
            self._bad_key(event, f"duplicate key {show(key)}", f"first at line {first}", Code.YAML_DUPLICATE)
        else:
            frame.key = key
            self.document.keys[(*frame.path, key)] = self._mark(event)

    def _bad_key(self, event: yaml.Event, what: str, hint: str = "", code: Code = Code.YAML_KEY) -> None:
        self._report(event, code, what, hint, self.stack[-1].path)
        self.stack[-1].refused = True

    def _place(self, value: Any, event: yaml.Event, damaged: bool = False) -> Path | None:
        """Put a value where it belongs; its path, or None where its key was refused."""
        document = self.document
        assert document is not None
        if not self.stack:
            self._place_root(value, event, damaged)
            return ()
        frame = self.stack[-1]
        if isinstance(frame.value, list):
            path: Path = (*frame.path, len(frame.value))
            frame.value.append(value)
        elif frame.key is None:
            if damaged and not frame.refused:
                self._bad_key(event, "a key must be a string")
            else:
                frame.refused = False
            return None
        else:
            path = (*frame.path, frame.key)
            frame.value[frame.key] = value
            frame.key = None
        document.values[path] = self._mark(event)
        if damaged:
            document.damaged.add(path)
        return path

    def _place_root(self, value: Any, event: yaml.Event, damaged: bool) -> None:
        assert self.document is not None
        if isinstance(value, dict):
            self.document.value = value
            self.document.start = self._mark(event)
            self.seen = True
        elif value is not None and not damaged:
            hint = "expected a mapping with apiVersion, kind"
            self._report(event, Code.YAML_TOP_LEVEL, f"top level must be a mapping, found {found(value)}", hint)
            self.document.damaged.add(())
        if damaged:
            self.document.damaged.add(())

    def _check_properties(self, event: Any, kind: str) -> None:
        if event.anchor is not None:
            self._anchor(event)
        if event.tag is None or event.tag == f"tag:yaml.org,2002:{kind}" or event.tag in _STR_TAGS:
            return
        tag = event.tag.replace("tag:yaml.org,2002:", "!!")
        self._report(event, Code.YAML_TAG, f"tag {show(tag)} is not allowed", "remove the tag")

    def _anchor(self, event: yaml.Event) -> None:
        if not self.anchored:
            what = "anchors and aliases are not allowed"
            self._report(event, Code.YAML_ANCHOR, what, "write the value out where it is used")
        self.anchored = True

    def _report(self, event: yaml.Event, code: Code, what: str, hint: str, path: Path | None = None) -> None:
        """A fault at the event itself, not at a path of the document (which may not have it)."""
        assert self.document is not None
        line, col = self._mark(event)
        where = render_path(path if path is not None else self._path_here())
        self.document.faults.append(Fault(self.name, line, col, where, what, hint, code))

    def _path_here(self) -> Path:
        if not self.stack:
            return ()
        frame = self.stack[-1]
        if isinstance(frame.value, list):
            return (*frame.path, len(frame.value))
        return frame.path if frame.key is None else (*frame.path, frame.key)


def _explain(error: Any, text: str) -> tuple[int, int, str, str, Code]:
    """Line, column (from 1), text, hint and code of a parser's error, the same with every build of the parser."""
    reference, above = _reference_error(error, text)
    mark = getattr(reference, "problem_mark", None) or getattr(reference, "context_mark", None)
    line, col = (mark.line + 1 + above, mark.column + 1) if mark else (1, 1)
    problem = str(getattr(reference, "problem", None) or getattr(reference, "reason", None) or "not YAML")
    lines = text.split("\n")
    written = lines[line - 1] if line <= len(lines) else ""
    if version := re.match(r"%YAML\s+(\S+)", written):
        return line, col, f"unsupported YAML version {plain(version.group(1))}", "use 1.1 or 1.2", Code.YAML_VERSION
    if "\t" in written[: len(written) - len(written.lstrip())] or "'\\t'" in problem:
        return line, col, f"tab character used for indentation (line {line})", "use spaces", Code.YAML_TAB
    if "undefined alias" in problem:
        hint = "write the value out where it is used"
        return line, col, "anchors and aliases are not allowed", hint, Code.YAML_ANCHOR
    if "tag handle" in problem:
        return line, col, "unsupported tag", "remove the tag", Code.YAML_TAG
    return line, col, f"YAML syntax error: {plain(problem)}", "", Code.YAML_SYNTAX


def _reference_error(error: Any, text: str) -> tuple[Any, int]:
    """What the parser written in Python says of the same document, and the number of lines above it.

    Its wording doesn't depend on the C library. It is slow, so it reads from the document's ``---`` only.
    """
    mark = getattr(error, "problem_mark", None)
    lines = text.splitlines(keepends=True)
    last = min(mark.line, len(lines)) if mark else 0
    above = next((line for line in range(last - 1, -1, -1) if _DOCUMENT_MARKER.match(lines[line])), 0)
    try:
        for _ in _bounded(yaml.parse("".join(lines[above:]), Loader=yaml.SafeLoader)):
            pass
    except yaml.YAMLError as reference:
        return reference, above
    return error, 0


def _bounded(events: Iterator[yaml.Event], limit: int = 200_000) -> Iterator[yaml.Event]:
    for count, event in enumerate(events):
        if count >= limit:
            return
        yield event
