"""Wiring from JSON, for ``state.json`` and the journal; ``testbed.model.codec`` writes it.

Derived from the dataclasses' own annotations, so that a field added to ``testbed.model.wiring`` is carried without
a line here. Fields at their default are left out: a thousand pods are half a megabyte.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from testbed.model.wiring import Wiring

Json = Any


def decode_wiring(data: Json) -> Wiring:
    """The reverse of ``codec.to_plain``. Raises KeyError, TypeError or ValueError on anything else than its output."""
    wiring = _decoder(Wiring)(data)
    assert isinstance(wiring, Wiring)
    return wiring


def decode(kind: type, data: Json) -> Any:
    return _decoder(kind)(data)


@cache
def _decoder(kind: Any) -> Callable[[Json], Any]:
    if is_dataclass(kind):
        return _dataclass_decoder(kind)  # type: ignore[arg-type]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        inner = _decoder(next(item for item in arguments if item is not NoneType))
        return lambda data: None if data is None else inner(data)
    if origin is tuple:
        return _tuple_decoder(arguments)
    if kind in (str, int, bool, float):
        return _same
    return _from_text(kind)


def _from_text(kind: Any) -> Callable[[Json], Any]:
    def convert(data: Json) -> Any:
        return kind(data)  # StrEnum, IPv4Address and their kin are made from text

    return convert


def _same(data: Json) -> Any:
    return data


def _tuple_decoder(arguments: tuple[Any, ...]) -> Callable[[Json], Any]:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        each = _decoder(arguments[0])
        return lambda data: tuple(map(each, data))
    decoders = tuple(map(_decoder, arguments))
    return lambda data: tuple(one(item) for one, item in zip(decoders, data, strict=True))


def _dataclass_decoder(kind: type) -> Callable[[Json], Any]:
    hints = get_type_hints(kind)
    decoders = {item.name: _decoder(hints[item.name]) for item in fields(kind)}
    required = {item.name for item in fields(kind) if item.default is MISSING}

    def build(data: Json) -> Any:
        if missing := required - data.keys():
            raise KeyError(f"{kind.__name__} without {', '.join(sorted(missing))}")
        return kind(**{name: decoders[name](item) for name, item in data.items()})

    return build
