"""Frozen dataclasses to plain JSON values and back, by their type hints.

One codec serves the desired-state documents, the state file and the ledger. Networks and addresses travel as
text, enums as their values, tuples as lists; a field at its default is left out, so documents stay small.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import types
import typing
from collections.abc import Callable
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any, TypeVar

T = TypeVar("T")

_TEXT_TYPES = (IPv4Address, IPv4Interface, IPv4Network)
_SCALARS = (str, int, float, bool)


def to_plain(value: Any) -> Any:
    """A JSON-ready value for a dataclass, tuple, mapping, address or scalar."""
    return _writer(value.__class__)(value)


def from_plain(kind: type[T], plain: Any) -> T:
    """The ``kind`` value that ``plain`` (from :func:`to_plain`) stands for.

    A dataclass may also be the JSON text of its value; the same text then comes to the same object again.
    Raises ``KeyError``, ``TypeError`` or ``ValueError`` for a document that does not have the kind's shape.
    """
    return typing.cast(T, _reader(typing.cast(Any, kind))(plain))


@functools.cache
def _writer(kind: Any) -> Callable[[Any], Any]:
    """Chosen once for each class: a thousand pods are a hundred thousand values."""
    if issubclass(kind, Enum):
        return lambda value: value.value
    if issubclass(kind, (types.NoneType, *_SCALARS)):
        return lambda value: value
    if issubclass(kind, _TEXT_TYPES):
        return str
    if issubclass(kind, (tuple, list)):
        return lambda value: [_writer(item.__class__)(item) for item in value]
    if issubclass(kind, dict):
        return lambda value: {str(key): _writer(item.__class__)(item) for key, item in value.items()}
    defaults = tuple((field.name, _default(field)) for field in dataclasses.fields(kind))
    return lambda value: {
        name: _writer(item.__class__)(item) for name, default in defaults if (item := getattr(value, name)) != default
    }


_MISSING = object()


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return _MISSING


@functools.cache
def _reader(kind: Any) -> Callable[[Any], Any]:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any or kind in _SCALARS:
        return lambda plain: plain
    if origin is tuple:
        return _tuple_reader(arguments)
    if origin in (typing.Union, types.UnionType):
        return _optional_reader(arguments)
    if origin is dict:
        item = _reader(arguments[1])
        return lambda plain: {key: item(value) for key, value in plain.items()}
    if dataclasses.is_dataclass(kind):
        return _dataclass_reader(typing.cast(type[Any], kind))
    return typing.cast(Callable[[Any], Any], kind)  # enums and addresses read themselves from text


def _tuple_reader(arguments: tuple[Any, ...]) -> Callable[[Any], Any]:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        item = _reader(arguments[0])
        return lambda plain: tuple(item(value) for value in plain)
    readers = [_reader(argument) for argument in arguments]
    return lambda plain: tuple(read(value) for read, value in zip(readers, plain, strict=True))


def _optional_reader(arguments: tuple[Any, ...]) -> Callable[[Any], Any]:
    kinds = [argument for argument in arguments if argument is not type(None)]
    if all(kind in _SCALARS for kind in kinds):
        return lambda plain: plain
    if len(kinds) != 1:
        raise TypeError(f"only unions of scalars and 'X | None' can be read back, not {arguments}")
    item = _reader(kinds[0])
    return lambda plain: None if plain is None else item(plain)


def _dataclass_reader(kind: type[Any]) -> Callable[[Any], Any]:
    hints = typing.get_type_hints(kind)
    readers = {field.name: _reader(hints[field.name]) for field in dataclasses.fields(kind) if field.init}

    def read(plain: Any) -> Any:
        if isinstance(plain, str):
            return read_text(plain)
        return kind(**{name: readers[name](value) for name, value in plain.items()})

    @functools.lru_cache(1 << 14)
    def read_text(text: str) -> Any:
        return read(json.loads(text))

    return read
