"""What a switch says it has, from raw multipart bodies (OpenFlow 1.4) to the same form as encoded wanted
flows.

A reply is walked with ``struct`` and sliced; nothing of it is made into objects per field, so that 10,000
flows take some tens of milliseconds. Fields that we don't know are kept as they are: a stray flow must
still be deleted exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from struct import Struct
from struct import error as StructError  # noqa: N812

from controllers.openflow.encode import WireFlow, WireKey
from controllers.openflow.encode_actions import encode_oxm
from controllers.openflow.fields import FIELDS, TCP_FLAGS, Field

_FLOW = Struct("!HBxIIHHHHH2xQQQHH")
_GROUP = Struct("!HBxI")


class DecodeError(ValueError):
    """Bytes that aren't what the switch says they are."""


@dataclass(slots=True)
class Found:
    """Everything that a switch has, in the form of the wire. Grows while the parts of a reply arrive."""

    flows: dict[WireKey, WireFlow] = field(default_factory=dict)
    groups: dict[int, bytes] = field(default_factory=dict)
    """number -> type, padding, number, buckets (:func:`encode.encode_group_body`)"""


def read_flows(body: bytes, found: Found) -> None:
    """Add the flows of one OFPMP_FLOW reply body to ``found``. Raises DecodeError."""
    offset = 0
    try:
        while offset < len(body):
            offset = _read_flow(body, offset, found)
    except (StructError, IndexError) as error:
        raise DecodeError(f"flow statistics end in the middle ({error})") from error


def _read_flow(body: bytes, offset: int, found: Found) -> int:
    """Read the flow at ``offset``; the offset after it."""
    entry = _FLOW.unpack_from(body, offset)
    length: int = entry[0]
    _, table, _, _, priority, idle, _, _, _, cookie, _, _, _, match_length = entry
    if length < _FLOW.size or offset + length > len(body) or match_length < 4:
        raise DecodeError(f"flow statistics with a length of {length}")
    oxms = offset + _FLOW.size
    oxms_end = oxms + match_length - 4
    instructions = oxms - 4 + (match_length + 7) // 8 * 8
    key = (table, priority, canonical_fields(bytes(body[oxms:oxms_end])))
    found.flows[key] = WireFlow(cookie, idle, bytes(body[instructions : offset + length]))
    return offset + length


def read_groups(body: bytes, found: Found) -> None:
    """Add the groups of one OFPMP_GROUP_DESC reply body to ``found``. Raises DecodeError."""
    offset = 0
    while offset < len(body):
        if offset + _GROUP.size > len(body):
            raise DecodeError("group descriptions end in the middle")
        length, _, number = _GROUP.unpack_from(body, offset)
        if length < _GROUP.size or offset + length > len(body):
            raise DecodeError(f"a group description with a length of {length}")
        found.groups[number] = bytes(body[offset + 2 : offset + length])
        offset += length


_BY_HEADER: dict[int, Field] = {each.header: each for each in FIELDS.values()}
_ONF_TCP_FLAGS = (0xFFFF5400, b"\x4f\x4e\x46\x00")
"""OpenFlow before 1.5 has ``tcp_flags`` as the ONF's extension; its number follows the header."""
_UNKNOWN_ORDER = len(FIELDS)


def canonical_fields(oxms: bytes) -> bytes:
    """Match fields in the order, with the headers and with the masks that ``encode.encode_fields`` uses."""
    parts = []
    offset = 0
    while offset < len(oxms):
        end = offset + 4 + oxms[offset + 3]
        parts.append(_canonical_field(oxms[offset:end]))
        offset = end
    parts.sort()
    return b"".join([encoded for _, encoded in parts])


@lru_cache(1 << 12)
def _canonical_field(oxm: bytes) -> tuple[int, bytes]:
    """(order, canonical bytes) of one field."""
    header = int.from_bytes(oxm[:4], "big")
    known, payload = _BY_HEADER.get(header & 0xFFFFFE00), oxm[4:]
    if (header & 0xFFFFFE00, payload[:4]) == _ONF_TCP_FLAGS:
        known, payload = TCP_FLAGS, payload[4:]
    if known is None:
        return _UNKNOWN_ORDER, oxm
    size = known.size
    value = int.from_bytes(payload[:size], "big")
    mask = int.from_bytes(payload[size:], "big") if header & 0x100 else known.full
    if known.name == "vlan_vid" and mask & known.full == known.full:
        mask = known.full
    return known.order, encode_oxm(known, value & mask, mask & known.full)
