"""An rtnetlink socket that sends many messages at once and reads what the kernel said to each.

Only refused messages are answered (no ``NLM_F_ACK``), except the last of a batch, whose answer tells that the batch
is through: a thousand changes cost a few system calls, and no error is lost.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Collection, Sequence

from testbed.emulation import interrupts, rtnetlink
from testbed.emulation.errors import EmulationError, KernelRefusedError
from testbed.emulation.rtnetlink import Request

_SOL_NETLINK, _NETLINK_CAP_ACK, _NETLINK_EXT_ACK = 270, 10, 11
_SO_RCVBUFFORCE = 33
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_NLM_F_CAPPED, _NLM_F_ACK_TLVS = 0x100, 0x200
_NLMSGERR_ATTR_MSG = 1
_BATCH_BYTES = 60_000  # below the default send buffer of 212,992 bytes, which bounds one message of the socket
_READ_BYTES = 1 << 20


class RouteSocket:
    """A netlink socket of the namespace that the calling thread is in; usable from any thread afterwards."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 4 << 20)
        self._socket.settimeout(30)
        self._sequence = 0

    def __enter__(self) -> RouteSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def apply(self, requests: Sequence[Request], tolerate: Collection[int] = ()) -> None:
        """Carry out ``requests`` in order; one refused does not stop the rest.

        Raises ``KernelRefusedError`` with all that were refused, but for the errno values in ``tolerate``.
        """
        failures: list[tuple[str, int, str]] = []
        for batch in _batches(requests):
            interrupts.check()
            failures += self._apply_batch(batch)
        failures = [failure for failure in failures if failure[1] not in tolerate]
        if failures:
            raise KernelRefusedError(tuple(failures))

    def _apply_batch(self, batch: Sequence[Request]) -> list[tuple[str, int, str]]:
        first = self._sequence + 1
        last = self._sequence = self._sequence + len(batch)
        flags = rtnetlink.NLM_F_REQUEST
        parts = []
        for number, request in enumerate(batch, first):
            acknowledge = rtnetlink.NLM_F_ACK if number == last else 0
            parts.append(rtnetlink.header(request.kind, request.flags | flags | acknowledge, number, request.body))
        self._socket.send(b"".join(parts))
        failures = []
        while True:
            for kind, kind_flags, number, body in _messages(self._socket.recv(_READ_BYTES)):
                if kind != _NLMSG_ERROR or not first <= number <= last:
                    continue
                code, text = _read_error(kind_flags, body)
                if code:
                    failures.append((batch[number - first].about, code, text))
                if number == last:
                    return failures

    def read_links(self) -> dict[str, int]:
        """Index of every device by name."""
        self._sequence += 1
        request = rtnetlink.dump_links()
        flags = request.flags | rtnetlink.NLM_F_REQUEST
        self._socket.send(rtnetlink.header(request.kind, flags, self._sequence, request.body))
        links: dict[str, int] = {}
        while True:
            for kind, kind_flags, number, body in _messages(self._socket.recv(_READ_BYTES)):
                if number != self._sequence:
                    continue
                if kind == _NLMSG_DONE:
                    return links
                if kind == _NLMSG_ERROR:
                    raise EmulationError(f"the kernel refused a list of links: {_read_error(kind_flags, body)[1]}")
                (index,) = struct.unpack_from("i", body, 4)
                for attribute, payload in _attributes(body[16:]):
                    if attribute == rtnetlink.IFLA_IFNAME:
                        links[payload.rstrip(b"\0").decode()] = index
                        break


def _batches(requests: Sequence[Request]) -> list[Sequence[Request]]:
    batches, start, size = [], 0, 0
    for position, request in enumerate(requests):
        length = 16 + len(request.body)
        if size + length > _BATCH_BYTES:
            batches.append(requests[start:position])
            start, size = position, 0
        size += length
    if start < len(requests):
        batches.append(requests[start:])
    return batches


def _messages(data: bytes) -> list[tuple[int, int, int, bytes]]:
    """(type, flags, sequence, body) of each message in one datagram."""
    found, offset = [], 0
    while offset + 16 <= len(data):
        length, kind, flags, number, _ = struct.unpack_from("IHHII", data, offset)
        found.append((kind, flags, number, data[offset + 16 : offset + length]))
        offset += (length + 3) & ~3
    return found


def _attributes(data: bytes) -> list[tuple[int, bytes]]:
    found, offset = [], 0
    while offset + 4 <= len(data):
        length, kind = struct.unpack_from("HH", data, offset)
        if length < 4:
            break
        found.append((kind & 0x3FFF, data[offset + 4 : offset + length]))
        offset += (length + 3) & ~3
    return found


def _read_error(flags: int, body: bytes) -> tuple[int, str]:
    """(errno, text) of an NLMSG_ERROR; errno 0 is an acknowledgement. The kernel's own words where it has some."""
    (code,) = struct.unpack_from("i", body)
    if code == 0:
        return 0, ""
    text = os.strerror(-code)
    if flags & _NLM_F_ACK_TLVS:
        (length,) = struct.unpack_from("I", body, 4)
        start = 4 + (16 if flags & _NLM_F_CAPPED else (length + 3) & ~3)
        for kind, payload in _attributes(body[start:]):
            if kind == _NLMSGERR_ATTR_MSG:
                text = f"{text} ({payload.rstrip(bytes(1)).decode(errors='replace')})"
    return -code, text
