"""Actions to bytes: OpenFlow's and Open vSwitch's own (``lib/ofp-actions.c``), encoded once and kept."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from struct import Struct

from controllers.openflow import fields as f
from controllers.openflow import flows as a
from controllers.openflow.cookies import cookie_of
from controllers.openflow.pipeline import Pipeline

NICIRA = 0x00002320

CACHE = 1 << 12
"""Encodings kept: what many flows share comes again soon; what is one flow's own isn't worth its memory."""

_TYPE_LENGTH = Struct("!HH")
_EXTENSION = Struct("!HHIH")


@lru_cache(CACHE)
def encode_oxm(field: f.Field, value: int, mask: int) -> bytes:
    """One match field, with a mask only when it isn't full. ``vlan_vid`` takes two bytes for its 13 bits."""
    size = field.size
    if mask == field.full:
        return (field.header | size).to_bytes(4, "big") + value.to_bytes(size, "big")
    header = field.header | 0x100 | size * 2
    return header.to_bytes(4, "big") + value.to_bytes(size, "big") + mask.to_bytes(size, "big")


def _pad(body: bytes) -> bytes:
    return body + bytes(-len(body) % 8)


def _extension(subtype: int, body: bytes) -> bytes:
    """A Nicira action; ``body`` follows the 10 bytes of header."""
    body = body + bytes(-(10 + len(body)) % 8)
    return _EXTENSION.pack(0xFFFF, 10 + len(body), NICIRA, subtype) + body


def _oxm_header(target: f.Target) -> int:
    field = f.target_field(target)
    return field.header | field.size


def _copy_header(target: f.Target) -> int:
    field = f.target_field(target)
    return _oxm_header(target) if field.old_header is None else field.old_header | field.size


def _place(target: f.Target) -> int:
    """Nicira's "ofs_nbits": first bit << 6 | bits - 1."""
    low, width = f.target_range(target)
    return low << 6 | width - 1


_LOAD = Struct("!HIQ")
_MOVE = Struct("!HHHII")
_CT = Struct("!HIHB3xH")
_OUTPUT_FROM = Struct("!HIH6x")
_MAX_LENGTH = 0xFFE5


def _output(port: int) -> bytes:
    return Struct("!HHIH6x").pack(0, 16, port, _MAX_LENGTH)


def _set_field(action: a.SetField) -> bytes:
    """OFPAT_SET_FIELD for a whole field; NXAST_REG_LOAD for some bits of one, at most 64."""
    target = action.target
    if isinstance(target, f.Bits) and not target.whole:
        return _load(target, action.value)
    oxm = encode_oxm(f.target_field(target), action.value, f.target_field(target).full)
    body = _TYPE_LENGTH.pack(25, 4 + len(oxm) + (-(4 + len(oxm)) % 8)) + oxm
    return _pad(body)


def _load(target: f.Bits, value: int) -> bytes:
    if target.width > 64:
        raise f.FieldError(f"{target.name}: at most 64 bits can be set at once, not {target.width}")
    return _extension(7, _LOAD.pack(_place(target), _oxm_header(target), value))


def _copy(action: a.Copy) -> bytes:
    low, width = f.target_range(action.source)
    to_low, _ = f.target_range(action.target)
    headers = _copy_header(action.source), _copy_header(action.target)
    return _extension(6, _MOVE.pack(width, low, to_low, *headers))


def _nat(nat: a.Snat | a.Dnat | a.Nat | None) -> bytes:
    if nat is None:
        return b""
    if isinstance(nat, a.Nat):
        return _extension(36, bytes(6))
    present, body = _nat_range(nat)
    kind = 1 if isinstance(nat, a.Snat) else 2
    return _extension(36, bytes(2) + _TYPE_LENGTH.pack(kind, present) + body)


def _nat_range(nat: a.Snat | a.Dnat) -> tuple[int, bytes]:
    """(which parts are present, the parts). A range of one is written as its first alone, as the switch
    does."""
    present, body = 1, nat.first.packed
    if nat.last is not None and nat.last != nat.first:
        present, body = present | 2, body + nat.last.packed
    if nat.ports is not None:
        first, last = nat.ports
        present, body = present | 16, body + first.to_bytes(2, "big")
        if last != first:
            present, body = present | 32, body + last.to_bytes(2, "big")
    return present, body


def _ct(pipeline: Pipeline, ct: a.Ct) -> bytes:
    flags = (1 if ct.commit else 0) | (2 if ct.force else 0)
    zone = (0, ct.zone.number) if isinstance(ct.zone, f.Zone) else (_oxm_header(ct.zone), _place(ct.zone))
    table = 0xFF if ct.table is None else pipeline.ids[ct.table]
    inner = b"".join(_action(pipeline, each) for each in ct.sets) + _nat(ct.nat)
    return _extension(35, _CT.pack(flags, *zone, table, 0) + inner)


def _conjunction(action: a.Conjunction) -> bytes:
    return _extension(34, Struct("!BBI").pack(action.clause - 1, action.clauses, action.id))


_PLAIN: dict[type, bytes] = {
    a.InPort: _output(f.IN_PORT_NUMBER),
    a.Local: _output(f.LOCAL),
    a.PushVlan: Struct("!HHH2x").pack(17, 8, 0x8100),
    a.PopVlan: Struct("!HH4x").pack(18, 8),
    a.DecTtl: Struct("!HH4x").pack(24, 8),
    a.CtClear: _extension(43, bytes(6)),
}


_LEARN = Struct("!HHHQHBxHH")


def _learn(pipeline: Pipeline, learn: a.Learn) -> bytes:
    head = _LEARN.pack(
        *(learn.idle_timeout, learn.hard_timeout, learn.priority, cookie_of(learn.owner, learn.note)),
        *(0, pipeline.ids[learn.table], 0, 0),
    )
    matches = b"".join(_learn_spec(target, source, 0) for target, source in learn.matches)
    return _extension(16, head + matches + b"".join(_learn_spec(target, source, 1) for target, source in learn.sets))


def _learn_spec(target: f.Target, source: f.Target | int, kind: int) -> bytes:
    """``kind`` 0 is a match of the new flow, 1 a load by it."""
    low, width = f.target_range(target)
    place = Struct("!IH").pack(_copy_header(target), low)
    if isinstance(source, int):
        return (
            (1 << 13 | kind << 11 | width).to_bytes(2, "big") + source.to_bytes((width + 15) // 16 * 2, "big") + place
        )
    source_place = Struct("!IH").pack(_copy_header(source), f.target_range(source)[0])
    return (kind << 11 | width).to_bytes(2, "big") + source_place + place


@lru_cache(CACHE)
def _action(pipeline: Pipeline, action: a.Action) -> bytes:
    if (plain := _PLAIN.get(type(action))) is not None:
        return plain
    match action:
        case a.SetField():
            return _set_field(action)
        case a.Output(port=port):
            return _output(port)
        case a.ToGroup(group=group):
            return Struct("!HHI").pack(22, 8, group)
        case a.Copy():
            return _copy(action)
        case a.Ct():
            return _ct(pipeline, action)
        case _:
            return _rare_action(pipeline, action)


def _rare_action(pipeline: Pipeline, action: a.Action) -> bytes:
    match action:
        case a.Resubmit(table=table):
            return _extension(14, Struct("!HB3x").pack(0xFFF8, pipeline.ids[table]))
        case a.OutputFrom(source=source):
            return _extension(15, _OUTPUT_FROM.pack(_place(source), _oxm_header(source), _MAX_LENGTH))
        case a.Conjunction():
            return _conjunction(action)
        case a.Learn():
            return _learn(pipeline, action)
        case a.Clone(actions=actions):
            return _extension(42, bytes(6) + encode_actions(pipeline, actions))
        case _:
            raise TypeError(f"no encoding for {action!r}")


def encode_actions(pipeline: Pipeline, actions: Sequence[a.Action]) -> bytes:
    return b"".join([_action(pipeline, each) for each in actions])
