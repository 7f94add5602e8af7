"""One YAML document with positions, and a cursor that walks it without ever failing on wrong types."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from testbed.model.source import Source
from testbed.spec.codes import Code
from testbed.spec.faults import Fault, Severity, plain

Step = str | int
Path = tuple[Step, ...]
Position = tuple[int, int]
"""Line and column, from 1."""


@dataclass(slots=True)
class Document:
    """A document as read: plain values, where each was written, and the faults found in it so far.

    ``texts`` holds the source text of unquoted booleans and numbers (``no`` was ``False``). Below a path in
    ``damaged`` nothing is reported any more: the reader has already said what is wrong there.
    """

    file: str
    value: dict[str, Any]
    start: Position
    keys: dict[Path, Position] = field(default_factory=dict)
    values: dict[Path, Position] = field(default_factory=dict)
    texts: dict[Path, str] = field(default_factory=dict)
    damaged: set[Path] = field(default_factory=set)
    faults: list[Fault] = field(default_factory=list)
    told: set[Fault] = field(default_factory=set)

    @property
    def root(self) -> Cursor:
        return Cursor(self, self.value, ())

    @property
    def source(self) -> Source:
        return Source(self.file, self.position(("metadata", "name"))[0])

    @property
    def failed(self) -> bool:
        return any(fault.severity is Severity.ERROR for fault in self.faults)

    def position(self, path: Path, on_key: bool = False) -> Position:
        """Where ``path`` is written; for an absent field, the key of the nearest parent that is there."""
        if not on_key and path in self.values:
            return self.values[path]
        while path:
            if path in self.keys:
                return self.keys[path]
            if path in self.values:
                return self.values[path]
            path = path[:-1]
        return self.start

    def report(
        self,
        path: Path,
        code: Code,
        what: str,
        hint: str = "",
        *,
        severity: Severity = Severity.ERROR,
        on_key: bool = False,
    ) -> None:
        if self.damaged and any(path[:length] in self.damaged for length in range(len(path) + 1)):
            return
        line, col = self.position(path, on_key)
        fault = Fault(self.file, line, col, render_path(path), plain(what), plain(hint), code, severity)
        if fault not in self.told:
            self.told.add(fault)
            self.faults.append(fault)


def render_path(path: Path) -> str:
    """``("spec", "ports", 0, "nodePort")`` -> ``spec.ports[0].nodePort``; odd keys in quotes."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif step and all(char.isalnum() or char in "-_$" for char in step) and step.isascii():
            text += f".{step}" if text else step
        else:
            text += f"[{plain(step)}]"
    return text


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a document. Absent places, nulls and values of another type read as empty."""

    document: Document
    value: Any
    path: Path

    def __getitem__(self, key: str) -> Cursor:
        value = self.value.get(key) if isinstance(self.value, dict) else None
        return Cursor(self.document, value, (*self.path, key))

    def at(self, *steps: Step) -> Cursor:
        """The place below this one, whether or not there is anything."""
        cursor = self
        for step in steps:
            if isinstance(step, str):
                cursor = cursor[step]
            else:
                items = cursor.value if isinstance(cursor.value, list) else []
                value = items[step] if step < len(items) else None
                cursor = Cursor(cursor.document, value, (*cursor.path, step))
        return cursor

    @property
    def present(self) -> bool:
        return self.value is not None

    def items(self) -> list[Cursor]:
        """The items of a list."""
        if not isinstance(self.value, list):
            return []
        return [Cursor(self.document, item, (*self.path, index)) for index, item in enumerate(self.value)]

    def entries(self) -> Iterator[tuple[str, Cursor]]:
        """The entries of a mapping, in file order."""
        if isinstance(self.value, dict):
            for key, value in self.value.items():
                yield key, Cursor(self.document, value, (*self.path, key))

    @property
    def text(self) -> str | None:
        return self.value if isinstance(self.value, str) else None

    @property
    def number(self) -> int | None:
        return self.value if isinstance(self.value, int) and not isinstance(self.value, bool) else None

    @property
    def flag(self) -> bool:
        return self.value is True

    def text_or(self, default: str) -> str:
        return self.value if isinstance(self.value, str) else default

    def number_or(self, default: int) -> int:
        number = self.number
        return default if number is None else number

    def texts(self) -> tuple[str, ...]:
        """The strings of a list."""
        return tuple(item.value for item in self.items() if isinstance(item.value, str))

    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The string entries of a mapping, sorted."""
        return tuple(sorted((key, item.value) for key, item in self.entries() if isinstance(item.value, str)))

    def fault(self, code: Code, what: str, hint: str = "", *, on_key: bool = False) -> None:
        self.document.report(self.path, code, what, hint, on_key=on_key)

    def warn(self, code: Code, what: str, hint: str = "", *, on_key: bool = False) -> None:
        self.document.report(self.path, code, what, hint, severity=Severity.WARNING, on_key=on_key)

    def require(self) -> bool:
        """Say ``Required value`` where nothing (or an empty text, list, mapping) is; True where something is."""
        if self.value is None or self.value == "" or self.value == [] or self.value == {}:
            self.fault(Code.FIELD_REQUIRED, "Required value")
            return False
        return True
