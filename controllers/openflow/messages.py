"""The messages of a conversation with a switch besides flow-mods: bundles, reading back, settings (OpenFlow
1.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import Struct

from controllers.openflow import encode as e
from controllers.openflow.diff import Changes
from controllers.openflow.encode_actions import NICIRA
from controllers.openflow.flows import Answers
from controllers.openflow.pipeline import Pipeline

_HEADER = Struct("!BBHI")
_CONTROL = Struct("!BBHIIHH")
_ADD = Struct("!BBHII2xH")
_PROPERTY = Struct("!HH")
_NUMBER = Struct("!HHH2x")

EXPERIMENTER = 4
CT_FLUSH = 32
MULTIPART_REQUEST = 18
BARRIER_REQUEST = 20
SET_ASYNC = 28
BUNDLE_CONTROL = 33
BUNDLE_ADD = 34

OPEN, OPENED, CLOSE, CLOSED, COMMIT, COMMITTED, DISCARD, DISCARDED = range(8)
"""OFPBCT_*: what a bundle control message asks or answers."""

ATOMIC_ORDERED = 3
"""All or nothing, and in the order sent."""

MULTIPART_FLOW = 1
MULTIPART_TABLE = 3
MULTIPART_GROUP_DESC = 7

Describe = Callable[[int, str], None]
"""Told (xid, what the message was for), so that an error of the switch can be given back to its owner."""


def barrier(xid: int) -> bytes:
    return _HEADER.pack(e.VERSION, BARRIER_REQUEST, 8, xid)


def flows_request(xid: int) -> bytes:
    """Ask for every flow of every table."""
    body = Struct("!BxxxII4xQQHH4x").pack(0xFF, e.ANY_NUMBER, e.ANY_NUMBER, 0, 0, 1, 4)
    return _multipart(MULTIPART_FLOW, body, xid)


def groups_request(xid: int) -> bytes:
    """Ask for every group and its buckets."""
    return _multipart(MULTIPART_GROUP_DESC, b"", xid)


def tables_request(xid: int) -> bytes:
    """Ask for the number of flows of each table."""
    return _multipart(MULTIPART_TABLE, b"", xid)


def _multipart(kind: int, body: bytes, xid: int) -> bytes:
    return Struct("!BBHIHH4x").pack(e.VERSION, MULTIPART_REQUEST, 16 + len(body), xid, kind, 0) + body


def quiet(xid: int) -> bytes:
    """Ask for no packet-ins, port status, flow-removed or role messages: all flows are proactive."""
    properties = b"".join(Struct("!HHI").pack(kind, 8, 0) for kind in range(12))
    return _HEADER.pack(e.VERSION, SET_ASYNC, 8 + len(properties), xid) + properties


def bundle_control(bundle: int, kind: int, xid: int) -> bytes:
    return _CONTROL.pack(e.VERSION, BUNDLE_CONTROL, 16, xid, bundle, kind, ATOMIC_ORDERED)


def bundle_add(bundle: int, message: bytes, xid: int) -> bytes:
    """``message`` must carry the same ``xid``."""
    return _ADD.pack(e.VERSION, BUNDLE_ADD, 16 + len(message), xid, bundle, ATOMIC_ORDERED) + message


def encode_changes(
    pipeline: Pipeline, changes: Changes, next_xid: Callable[[], int], describe: Describe
) -> Iterator[tuple[int, bytes]]:
    """(xid, message) of each change, in the order to send them."""
    for command, groups in ((e.ADD, changes.add_groups), (e.MODIFY, changes.modify_groups)):
        for group in groups:
            describe(xid := next_xid(), f"group {group.id} of {group.owner}")
            yield xid, e.encode_group(pipeline, group, command, xid)
    for key in changes.delete_flows:
        describe(xid := next_xid(), f"removal of a flow of table {_table_name(pipeline, key[0])}")
        yield xid, e.encode_delete(key, xid)
    for flow in changes.put_flows:
        describe(xid := next_xid(), f"flow of {flow.owner} in {flow.table} ({flow.note})")
        yield xid, e.encode_put(pipeline, flow, xid)
    for table, cookie in changes.forget:
        describe(xid := next_xid(), f"removal of what {_table_name(pipeline, table)} has learned")
        yield xid, e.encode_forget(table, cookie, xid)
    for number in changes.delete_groups:
        describe(xid := next_xid(), f"removal of group {number}")
        yield xid, e.encode_group_delete(number, xid)


def _table_name(pipeline: Pipeline, number: int) -> str:
    return pipeline.names[number] if number < len(pipeline.names) else str(number)


def encode_bundle(
    pipeline: Pipeline, changes: Changes, bundle: int, next_xid: Callable[[], int], describe: Describe
) -> bytes:
    """Open, every change, commit: one string for one write. The switch answers the commit, or says what is
    wrong."""
    parts = [bundle_control(bundle, OPEN, next_xid())]
    parts += [
        bundle_add(bundle, message, xid) for xid, message in encode_changes(pipeline, changes, next_xid, describe)
    ]
    parts.append(bundle_control(bundle, COMMIT, next_xid()))
    for ended in changes.ended:
        describe(xid := next_xid(), f"end of connections to {ended.address}:{ended.port}")
        parts.append(forget_connections(ended, xid))
    return b"".join(parts)


def forget_connections(ended: Answers, xid: int) -> bytes:
    """NXT_CT_FLUSH, since Open vSwitch 3.1; not possible in a bundle. Layout: ``include/openflow/nicira-ext.h``."""
    source = _PROPERTY.pack(0, 20) + bytes(10) + b"\xff\xff" + ended.address.packed + bytes(4)
    answers = _PROPERTY.pack(1, 40) + bytes(4) + source + _NUMBER.pack(2, 8, ended.port)
    zone = _NUMBER.pack(2, 8, ended.zone.number)
    length = 24 + len(answers) + len(zone)
    head = Struct("!BBHIIIB7x").pack(e.VERSION, EXPERIMENTER, length, xid, NICIRA, CT_FLUSH, ended.protocol)
    return head + answers + zone
