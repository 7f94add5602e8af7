"""Builds documents from a YAML parser's events, one by one: no recursion, and every trap is a fault."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from testbed.spec.codes import Code
from testbed.spec.document import Document, Path, Position, render_path
from testbed.spec.faults import Fault, found, show
from testbed.spec.scalars import Trap, read_octal, read_plain
from testbed.spec.syntax import explain_syntax

MOST_DEPTH = 50

FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
"""Control characters and lone surrogates."""

_STR_TAGS = frozenset(("!", "tag:yaml.org,2002:str"))
_MODE_KEYS = frozenset(("mode", "defaultMode"))


@dataclass(slots=True)
class _Frame:
    """An open mapping or list. ``key`` is the mapping key whose value comes next; ``refused`` that it is bad."""

    value: dict[str, Any] | list[Any]
    path: Path
    key: str | None = None
    refused: bool = False
    discard: bool = False


@dataclass(slots=True)
class Builder:
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
        line, col, what, hint, code = explain_syntax(error, text)
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
        if isinstance(value, str) and (bad := FORBIDDEN.search(value)):
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
