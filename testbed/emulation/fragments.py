"""Set arithmetic on wirings: the union, difference and restriction of what exists and what was intended."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import fields, replace
from typing import Any

from testbed.model.wiring import Wiring

KINDS: tuple[str, ...] = tuple(field.name for field in fields(Wiring))


def identity(item: Any) -> Hashable:
    """What makes two objects of one kind the same object, whatever else about them changed."""
    key: Hashable = item.key
    return key


def objects(wiring: Wiring) -> Iterator[tuple[str, Any]]:
    """Every object with its kind (``veths``), in the order in which they can be made."""
    for kind in KINDS:
        for item in getattr(wiring, kind):
            yield kind, item


def union(first: Wiring, second: Wiring) -> Wiring:
    """All objects of both; where a key is in both, the second's version in the first's place."""
    merged = {}
    for kind in KINDS:
        if added := getattr(second, kind):
            table = {identity(item): item for item in getattr(first, kind)}
            table.update((identity(item), item) for item in added)
            merged[kind] = tuple(table.values())
    return replace(first, **merged)


def difference(first: Wiring, second: Wiring) -> Wiring:
    """The objects of ``first`` whose key is not in ``second``."""
    remaining = {}
    for kind in KINDS:
        if removed := getattr(second, kind):
            gone = {identity(item) for item in removed}
            remaining[kind] = tuple(item for item in getattr(first, kind) if identity(item) not in gone)
    return replace(first, **remaining)


def only(wiring: Wiring, keep: Callable[[str, Any], bool]) -> Wiring:
    """The objects for which ``keep(kind, object)`` holds."""
    return Wiring(**{kind: tuple(x for x in getattr(wiring, kind) if keep(kind, x)) for kind in KINDS})


def only_kinds(wiring: Wiring, *kinds: str) -> Wiring:
    return Wiring(**{kind: getattr(wiring, kind) for kind in kinds})


def is_empty(wiring: Wiring) -> bool:
    return not any(getattr(wiring, kind) for kind in KINDS)


def namespaces_of(kind: str, item: Any) -> tuple[str, ...]:
    """The namespaces in which an object lives: both ends' for a veth, else one."""
    if kind == "namespaces":
        return (item.name,)
    if kind == "veths":
        return (item.a.namespace, item.b.namespace)
    return (item.namespace,)
