"""Documents as JSON text in which each port of a Service has a line of its own.

Of a thousand Services one changes: its line is rendered and read anew, the others are known by their text. Any other
reader of JSON can read it too.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from typing import Any

from testbed.model.codec import to_plain

_START, _END = "\n ", "\n"
_SEPARATORS = (",", ":")
_PLACE = "\0services-"


def render_document(value: Any) -> str:
    """``value``: a state for a controller or the kubelet."""
    clusters = getattr(value, "clusters", ())
    if not clusters:
        return json.dumps(to_plain(value), separators=_SEPARATORS)
    bare = replace(value, clusters=tuple(replace(cluster, services=()) for cluster in clusters))
    plain = to_plain(bare)
    for number, cluster in enumerate(clusters):
        if cluster.services:
            plain["clusters"][number]["services"] = [f"{_PLACE}{number}"]
    text = json.dumps(plain, separators=_SEPARATORS)
    for number, cluster in enumerate(clusters):
        lines = f",{_START}".join(map(_line, cluster.services))
        text = text.replace(json.dumps(f"{_PLACE}{number}"), f"{_START}{lines}{_END}", 1)
    return text


def read_document(text: str) -> Any:
    """Plain values for ``from_plain``, where each port of a Service is still its line's text."""
    if _START not in text:
        return json.loads(text)
    lines, rest = list[str](), list[str]()
    for line in text.split("\n"):
        if line.startswith(" "):
            rest.append(f"{len(lines)}{',' if line.endswith(',') else ''}")
            lines.append(line[1:].removesuffix(","))
        else:
            rest.append(line)
    plain = json.loads("".join(rest))
    for cluster in plain["clusters"]:
        cluster["services"] = [lines[number] for number in cluster.get("services", ())]
    return plain


@lru_cache(1 << 14)
def _line(port: Any) -> str:
    return json.dumps(to_plain(port), separators=_SEPARATORS)
