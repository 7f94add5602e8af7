"""What a YAML parser's error means, in words that don't depend on how the parser was built."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from testbed.spec.codes import Code
from testbed.spec.faults import plain

DOCUMENT_MARKER = re.compile(r"^---(?=\s|$)", re.MULTILINE)


def explain_syntax(error: Any, text: str) -> tuple[int, int, str, str, Code]:
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
    above = next((line for line in range(last - 1, -1, -1) if DOCUMENT_MARKER.match(lines[line])), 0)
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
