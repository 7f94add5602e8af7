"""What ``lab get`` lists: columns, and one item for each object, for people and for programs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from testbed.model.kubernetes import Container
from testbed.model.source import Source
from testbed.observe.status import View
from testbed.operations.kinds import CLOUD, Kind, find_kind

NONE = "<none>"
"""What Kubernetes' own tool shows for nothing."""


@dataclass(frozen=True, slots=True)
class Column:
    """``wide``: shown with ``-o wide`` only. ``flexible``: wraps where the terminal is narrow."""

    title: str
    wide: bool = False
    flexible: bool = False
    right: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """One object. ``cells`` fit the resource's columns after the name; ``document`` is for JSON and YAML.

    ``owner`` is what the wiring and the flows call it (``Pod/default/web-0``); ``source`` None: no document says it.
    """

    name: str
    cells: tuple[str, ...]
    document: dict[str, Any] = field(repr=False)
    owner: str
    namespace: str = ""
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind with its columns (the name's is not among them) and its objects in a lab."""

    kind: Kind
    columns: tuple[Column, ...]
    items: Callable[[View], Iterator[Item]]


def columns(*titles: str, wide: tuple[str, ...] = (), flexible: tuple[str, ...] = ()) -> tuple[Column, ...]:
    """Columns by title; those in ``wide`` come last."""
    return (
        *(Column(title, flexible=title in flexible) for title in titles),
        *(Column(title, wide=True, flexible=title in flexible) for title in wide),
    )


def resource(word: str, shown: tuple[Column, ...], items: Callable[[View], Iterator[Item]]) -> Resource:
    return Resource(find_kind(word), shown, items)


def document(
    kind: str,
    name: str,
    source: Source | None,
    namespace: str = "",
    labels: tuple[tuple[str, str], ...] = (),
    annotations: tuple[tuple[str, str], ...] = (),
    **parts: Any,
) -> dict[str, Any]:
    """An object in Kubernetes' shape; ``parts`` (``spec``, ``status``) come after the metadata."""
    metadata: dict[str, Any] = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    if labels:
        metadata["labels"] = dict(labels)
    noted = dict(annotations)
    if source is not None:
        noted["cnlab.dev/source"] = str(source)
    if noted:
        metadata["annotations"] = noted
    return {"apiVersion": _api_version(kind), "kind": kind, "metadata": metadata, **parts}


def _api_version(kind: str) -> str:
    """Objects that no document is about are the lab's own."""
    known = find_kind(kind)
    if known.group or known.name in ("Node", "Pod", "Service", "Namespace"):
        return f"{known.group}/v1".lstrip("/")
    return f"{CLOUD}/v1"


def container_document(container: Container) -> dict[str, Any]:
    """As a manifest writes it."""
    document: dict[str, Any] = {"name": container.name, "image": container.image}
    if container.command:
        document["command"] = list(container.command)
    if container.args:
        document["args"] = list(container.args)
    if container.ports:
        document["ports"] = [
            {"containerPort": port.port, "protocol": port.protocol, **({"name": port.name} if port.name else {})}
            for port in container.ports
        ]
    return document


def listed(values: Any) -> str:
    """Comma separated, or ``<none>``."""
    return ",".join(map(str, values)) or NONE


def age(since: float, now: float | None = None) -> str:
    """``47s``, ``12m``, ``3h``, ``2d``, as Kubernetes shows it."""
    if not since:
        return "<unknown>"
    seconds = max(0, int((time.time() if now is None else now) - since))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
