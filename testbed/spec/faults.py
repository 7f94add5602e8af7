"""What is wrong with a spec, where, and what would be right; rendered as one line a fault."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from testbed.spec.codes import Code

SHOWN_LENGTH = 80
"""Longer values are cut when shown."""


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. ``line`` and ``col`` count from 1; line 0 is the file as a whole. ``hint`` may be empty."""

    file: str
    line: int
    col: int
    path: str
    what: str
    hint: str
    code: Code
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.col}" if self.line else self.file
        severity = "warning: " if self.severity is Severity.WARNING else ""
        path = f"{self.path}: " if self.path else ""
        hint = f"; {self.hint}" if self.hint else ""
        return f"{place}: {severity}{path}{self.what}{hint} [{self.code}]"


class SpecError(Exception):
    """The spec can't be used. ``faults`` holds every error, ``warnings`` the rest, in the order of files and lines."""

    def __init__(self, faults: Iterable[Fault], warnings: Iterable[Fault] = ()) -> None:
        self.faults = tuple(faults)
        self.warnings = tuple(warnings)
        super().__init__("\n".join(str(fault) for fault in self.faults))


def show(value: Any) -> str:
    """``value`` as an error message quotes it: ASCII only, so control and bidi characters are visible."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _quote(value)
    if isinstance(value, int):
        return str(value) if abs(value) < 10**40 else f"an integer of {value.bit_length() * 3 // 10} digits"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{show(key)}: {show(item)}" for key, item in list(value.items())[:5]) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(show(item) for item in value[:5]) + "]"
    return str(value)


def _quote(text: str) -> str:
    cut = text if len(text) <= SHOWN_LENGTH else text[: SHOWN_LENGTH - 3]
    tail = "" if len(text) <= SHOWN_LENGTH else f"...({len(text)} characters)"
    return '"' + "".join(_visible(char) for char in cut) + tail + '"'


def _visible(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    if " " <= char <= "~":
        return char
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"


def plain(text: str) -> str:
    """``text`` (a file name, a key in a path) without quotes, but with the same characters made visible."""
    return "".join(_visible(char) if not " " <= char <= "~" else char for char in text)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``did you mean "replicas"?``, or nothing where no known word is near."""
    by_folded = {candidate.casefold(): candidate for candidate in sorted(known)}
    near = difflib.get_close_matches(word.casefold()[:SHOWN_LENGTH], list(by_folded), n=1, cutoff=0.6)
    return f"did you mean {show(by_folded[near[0]])}?" if near else ""


def listed(words: Iterable[str], limit: int = 8) -> str:
    """``"a", "b", "c"``, cut after ``limit`` words."""
    sorted_words = sorted(words)
    tail = ", ..." if len(sorted_words) > limit else ""
    return ", ".join(show(word) for word in sorted_words[:limit]) + tail


def counted(count: int, noun: str) -> str:
    """``1 node``, ``2 nodes``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def type_name(value: Any) -> str:
    """The YAML name of a value's type, as messages say it."""
    if value is None:
        return "null"
    names = {bool: "boolean", str: "string", int: "integer", float: "number", dict: "mapping", list: "list"}
    return names.get(type(value), type(value).__name__)


def found(value: Any) -> str:
    """``integer 80``, ``a list``: what was found where another type was wanted."""
    if value is None or isinstance(value, (dict, list)):
        return type_name(value)
    return f"{type_name(value)} {show(value)}"
