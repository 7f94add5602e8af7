"""``lab get`` and ``lab describe`` as tables and text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from testbed.observe.status_items import Column, Item, Resource
from testbed.report.text import STYLES, render_table


def render_items(
    resource: Resource, items: Sequence[Item], *, wide: bool, namespaces: bool = False, prefix: bool = False
) -> Table:
    """A table as ``kubectl get`` makes it. ``prefix``: names as ``pod/web-0``, for a list of several kinds."""
    namespaced = namespaces and resource.kind.namespaced
    head = (Column("NAMESPACE"),) if namespaced else ()
    title = Column("DESTINATION" if resource.kind.name == "Route" else "NAME")
    start = f"{resource.kind.name.lower()}/" if prefix else ""
    rows = [(*((item.namespace,) if namespaced else ()), f"{start}{item.name}", *item.cells) for item in items]
    return render_table((*head, title, *resource.columns), rows, wide=wide)


def items_document(items: Sequence[Item]) -> dict[str, Any]:
    """A Kubernetes ``List``."""
    return {"apiVersion": "v1", "kind": "List", "items": [item.document for item in items]}


def render_description(item: Item, wiring: Iterable[str]) -> Text:
    """Everything known of an object, indented; last what exists on the machine for it."""
    text = Text()
    head = [("Name", item.name), ("Namespace", item.namespace), ("Declared at", str(item.source or "made by the lab"))]
    labels = item.document["metadata"].get("labels")
    for key, value in [*head, *((("Labels", labels),) if labels else ())]:
        if value:
            _append(text, key, value, 0)
    for part in ("spec", "status"):
        for key, value in item.document.get(part, {}).items():
            if value not in (None, "", [], {}):
                _append(text, _title(key), value, 0)
    exists = sorted(wiring)
    if exists:
        _append(text, "On the machine", exists, 0)
    text.rstrip()
    return text


def _append(text: Text, key: str, value: Any, depth: int) -> None:
    pad = "  " * depth
    if isinstance(value, dict):
        text.append(f"{pad}{key}:\n", style="bold" if depth == 0 else "")
        for name, inner in value.items():
            if inner not in (None, "", [], {}):
                _append(text, str(name), inner, depth + 1)
    elif isinstance(value, list):
        text.append(f"{pad}{key}:\n", style="bold" if depth == 0 else "")
        for line in _list_lines(value):
            text.append(f"{pad}  {line}\n")
    else:
        width = 16 - 2 * depth
        text.append(f"{pad}{(key + ':').ljust(width)} ", style="bold" if depth == 0 else "")
        shown = _short(value)
        text.append(f"{shown}\n", style=STYLES.get(shown, ""))


def _list_lines(values: list[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, dict):
            yield ", ".join(f"{key} {_short(inner)}" for key, inner in value.items() if inner not in (None, "", [], {}))
        else:
            yield str(value)


def _short(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_short, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} {_short(inner)}" for key, inner in value.items()) + "}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _title(key: str) -> str:
    """``internalIP`` -> ``Internal IP``."""
    words = ""
    for position, char in enumerate(key):
        if position and char.isupper() and key[position - 1].islower():
            words += " "
        words += char
    first, *rest = words.split(" ")
    if first in ("mac", "vpc", "eip"):
        first = first.upper()
    return " ".join([first[:1].upper() + first[1:], *(w if w.isupper() else w.lower() for w in rest)])
