"""A rule of ``nft -j list ruleset`` nearly as ``nft list`` writes it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

MOST_SHOWN = 6
"""Elements of a set or map; a node's map of balancers can have hundreds."""


def describe(expressions: Iterable[dict[str, Any]]) -> str:
    return " ".join(filter(None, (_describe(expression) for expression in expressions)))


def _describe(expression: dict[str, Any]) -> str:
    ((name, value),) = expression.items()
    match name:
        case "match":
            operator = "" if value["op"] in ("==", "in") else f"{value['op']} "
            return f"{_side(value['left'])} {operator}{_side(value['right'])}"
        case "counter":
            return ""
        case "snat" | "dnat":
            return f"{name} to {_side(value['addr'])}" + (f":{_side(value['port'])}" if value.get("port") else "")
        case "mangle":
            return f"{_side(value['key'])} set {_side(value['value'])}"
        case "reject" if value:
            return f"reject with {value.get('type', '')}"
        case _:
            return name


def _side(value: Any) -> str:
    if isinstance(value, list):
        return _set(value)
    if not isinstance(value, dict):
        return str(value)
    ((kind, inner),) = value.items()
    match kind:
        case "set":
            return _set(inner)
        case "map":
            return f"{_side(inner['key'])} map {_map(inner['data'])}"
        case "concat":
            return " . ".join(map(_side, inner))
        case "prefix":
            return f"{inner['addr']}/{inner['len']}"
        case "range":
            return f"{inner[0]}-{inner[1]}"
        case _:
            return _selector(kind, inner)


def _selector(kind: str, inner: Any) -> str:
    match kind:
        case "meta":
            return str(inner["key"])
        case "ct":
            return f"ct {inner['key']}"
        case "payload" if "protocol" in inner:
            return f"{inner['protocol']} {inner['field']}"
        case _:
            return str(inner)


def _set(items: Sequence[Any]) -> str:
    return _braces([_side(item) for item in items])


def _map(data: Any) -> str:
    if not isinstance(data, dict) or "set" not in data:
        return str(data)
    return _braces([f"{_side(key)} : {_side(value)}" for key, value in data["set"]])


def _braces(texts: Sequence[str]) -> str:
    more = f", and {len(texts) - MOST_SHOWN} more" if len(texts) > MOST_SHOWN else ""
    return f"{{ {', '.join(texts[:MOST_SHOWN])}{more} }}"
