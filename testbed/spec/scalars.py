"""What an unquoted YAML scalar means, and which spellings are refused because YAML 1.1 surprises people.

Integers are read from their source text: only ``0`` and ``[1-9][0-9]*`` (with a minus) are numbers. What
YAML 1.1 would also read as a number (``22:22`` -> 1342, ``012`` -> 10, ``1_000``, ``0x1f``) is a fault.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from testbed.spec.codes import Code
from testbed.spec.faults import show

LONGEST_INTEGER = 400
"""Digits; Python refuses to convert more than 4300, and no field takes more than 19."""

_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_TRUE = frozenset(("yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"))
_FALSE = frozenset(("no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"))
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)", re.ASCII)
_DECIMAL = re.compile(r"-?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_BASE_60 = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?", re.ASCII)
_OCTAL = re.compile(r"[-+]?0[0-7_]+", re.ASCII)
_HEXADECIMAL = re.compile(r"[-+]?0x[0-9a-fA-F_]+", re.ASCII)
_BINARY = re.compile(r"[-+]?0b[01_]+", re.ASCII)
_UNDERSCORES = re.compile(r"[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][-+][0-9]+)?", re.ASCII)
_NUMBER_START = frozenset("-+.0123456789")


@dataclass(frozen=True, slots=True)
class Trap:
    """A scalar that must not be guessed at."""

    code: Code
    what: str
    hint: str


def read_plain(text: str) -> Any:
    """The value of an unquoted scalar: None, bool, int, float or str; or a :class:`Trap`."""
    if text in _NULLS:
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    if text[0] not in _NUMBER_START:
        return text
    return _read_number(text)


def read_octal(text: str) -> int | None:
    """A file mode (``0644``), the one place where ordinary manifests write octal numbers."""
    return int(text, 8) if re.fullmatch(r"0[0-7]{1,4}", text, re.ASCII) else None


def _read_number(text: str) -> Any:
    if _INTEGER.fullmatch(text):
        if len(text) > LONGEST_INTEGER:
            return Trap(Code.FIELD_RANGE, f"integer of {len(text)} digits", "no field takes such a number")
        return int(text)
    if _DECIMAL.fullmatch(text):
        value = float(text)
        return value if math.isfinite(value) else Trap(Code.FIELD_RANGE, "must be a finite number", "")
    if _NOT_FINITE.fullmatch(text):
        return Trap(Code.FIELD_RANGE, f"must be a finite number, found {show(text)}", "")
    return _read_surprise(text)


def _read_surprise(text: str) -> Any:
    digits = text.replace("_", "").lstrip("+-")
    if len(digits) > LONGEST_INTEGER:
        return text
    if _BASE_60.fullmatch(text):
        parts = [float(part) for part in digits.split(":")]
        return _surprise(text, f"{math.fsum(p * 60.0**i for i, p in enumerate(reversed(parts))):.10g}", "base 60")
    if _OCTAL.fullmatch(text):
        return _surprise(text, str(int(digits or "0", 8)), "octal")
    if _HEXADECIMAL.fullmatch(text):
        return _surprise(text, str(int(digits, 16)) if len(digits) > 2 else "0", "hexadecimal")
    if _BINARY.fullmatch(text):
        return _surprise(text, str(int(digits, 2)) if len(digits) > 2 else "0", "binary")
    if _UNDERSCORES.fullmatch(text):
        return _surprise(text, digits, "sign or underscores")
    return text


def _surprise(text: str, value: str, how: str) -> Trap:
    hint = f"quote it, or write {value}" if ":" not in text else "quote it"
    return Trap(Code.YAML_NUMBER, f"{show(text)} was read as the number {value} (YAML 1.1 {how})", hint)
