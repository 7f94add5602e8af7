"""Netlink messages encoded by pyroute2, each shape once.

pyroute2 takes 0.2 to 0.8 ms for a message, and a thousand pods are eight thousand messages of a few shapes. So a shape
(which attributes, and how long its texts are) is encoded once, its places for values are found, and every further
message of the shape is a copy with its own values in those places.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Address
from typing import Any, NamedTuple

Value = str | bytes | int | IPv4Address | None
"""A text, a hardware address, a number of four bytes, an address, or nothing: an attribute that is left out."""


class Message(NamedTuple):
    """A message in pyroute2's words. ``fields`` are the fixed part, ``attributes`` follow it."""

    kind: str  # RTM_NEWLINK
    flags: int
    fields: dict[str, Any]
    attributes: list[Any]


Builder = Callable[..., Message]
"""Makes a message of (*fixed, *values), the values as pyroute2 takes them: texts, numbers and dotted addresses."""

_FIRST, _OTHER = 0x21, 0x61  # the marks of a value in the two encodings; each value has its own, all are ASCII


class _Template(NamedTuple):
    encoded: bytes
    places: tuple[tuple[int, int, int], ...]  # start, end, which value


def encode(build: Builder, fixed: tuple[Any, ...], values: tuple[Value, ...]) -> bytes:
    """The message with its header, whose sequence number is left 0. ``fixed`` belongs to the shape of the message."""
    raw = [_raw(value) for value in values]
    sizes = tuple(None if value is None else (type(value), len(data)) for value, data in zip(values, raw, strict=True))
    template = _template(build, fixed, sizes)
    message = bytearray(template.encoded)
    for start, end, which in template.places:
        message[start:end] = raw[which]
    return bytes(message)


def _raw(value: Value) -> bytes:
    match value:
        case str():
            return value.encode()
        case bytes():
            return value
        case int():
            return struct.pack("I", value)
        case IPv4Address():
            return value.packed
    return b""


@lru_cache(maxsize=4096)
def _template(build: Builder, fixed: tuple[Any, ...], sizes: tuple[tuple[type, int] | None, ...]) -> _Template:
    """Encode twice with different marks for values: where both have the marks of one value, that value belongs."""
    one, other = (
        _encode_by_pyroute2(build(*fixed, *(_sample(size, first + which) for which, size in enumerate(sizes))))
        for first in (_FIRST, _OTHER)
    )
    differing = [at for at, (mark, twin) in enumerate(zip(one, other, strict=True)) if mark != twin]
    places: list[tuple[int, int, int]] = []
    for at in differing:
        if places and places[-1][1] == at:
            places[-1] = (places[-1][0], at + 1, places[-1][2])
        else:
            places.append((at, at + 1, one[at] - _FIRST))
    return _Template(one, tuple(places))


def _sample(size: tuple[type, int] | None, mark: int) -> Any:
    """A value all of whose bytes are ``mark``, as pyroute2 takes it."""
    if size is None:
        return None
    kind, length = size
    if kind is str:
        return chr(mark) * length
    if kind is bytes:
        return ":".join([f"{mark:02x}"] * length)
    data = bytes([mark]) * length
    return struct.unpack("I", data)[0] if kind is int else str(IPv4Address(data))


def _encode_by_pyroute2(message: Message) -> bytes:
    # Imported here: it takes 0.2 s, and most commands wire nothing.
    from pyroute2.netlink import rtnl
    from pyroute2.netlink.rtnl.marshal import MarshalRtnl

    number = getattr(rtnl, message.kind)
    encoder = MarshalRtnl.msg_map[number]()
    for name, value in message.fields.items():
        encoder[name] = value
    encoder["attrs"] = message.attributes
    encoder["header"].update(type=number, flags=message.flags, sequence_number=0, pid=0)
    encoder.encode()
    return bytes(encoder.data)
