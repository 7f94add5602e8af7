"""An rtnetlink socket that sends many messages at once and reads what the kernel said to each.

Only refused messages are answered (no ``NLM_F_ACK``), except the last of a batch, whose answer tells that the batch
is through: a thousand changes cost a few system calls, and no error is lost. The socket is a plain one because a lab
opens one in each of its thousand namespaces, for which pyroute2's own take 0.8 ms each; answers are pyroute2's to read.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from testbed.emulation import interrupts
from testbed.emulation.errors import KernelRefusedError
from testbed.emulation.rtnetlink import NLM_F_ACK, NLM_F_REQUEST, Request

_SOL_NETLINK, _NETLINK_EXT_ACK = 270, 11
_SO_RCVBUFFORCE = 33
_NLMSG_ERROR = 2
_BATCH_BYTES = 60_000  # below the default send buffer of 212,992 bytes, which bounds one message of the socket
_READ_BYTES = 1 << 20
_FLAGS_AND_NUMBER = struct.Struct("=HI")  # of a message's header, after its length and type
_FLAGS_AT = 6


class RouteSocket:
    """A netlink socket of the namespace that the calling thread is in; usable from any thread afterwards."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 4 << 20)
        self._socket.settimeout(30)
        self._sequence = 0

    def __enter__(self) -> RouteSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
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

    def ask(self, request: Request) -> Any:
        """The kernel's answer, as pyroute2 reads it. Raises ``KernelRefusedError``."""
        first = self._send([request], 0)
        for answer in self._answers(first, first):
            self._raise_if_refused(request, answer)
            return answer
        raise AssertionError("answers end only with the socket")

    @staticmethod
    def _raise_if_refused(request: Request, answer: Any) -> None:
        if code := _error_code(answer):
            raise KernelRefusedError(((request.about, code, _error_text(answer)),))

    def _apply_batch(self, batch: Sequence[Request]) -> list[tuple[str, int, str]]:
        first = self._send(batch, NLM_F_ACK)
        last = self._sequence
        failures = []
        for answer in self._answers(first, last):
            number = answer["header"]["sequence_number"]
            if code := _error_code(answer):
                failures.append((batch[number - first].about, code, _error_text(answer)))
            if number == last:
                break
        return failures

    def _send(self, batch: Sequence[Request], last_flags: int) -> int:
        """Send all in one piece; the number of the first, the others follow on it."""
        first = self._sequence + 1
        last = self._sequence = self._sequence + len(batch)
        stream = bytearray()
        for number, request in enumerate(batch, first):
            start = len(stream) + _FLAGS_AT
            stream += request.data
            (flags, _) = _FLAGS_AND_NUMBER.unpack_from(stream, start)
            flags |= NLM_F_REQUEST | (last_flags if number == last else 0)
            _FLAGS_AND_NUMBER.pack_into(stream, start, flags, number)
        self._socket.send(stream)
        return first

    def _answers(self, first: int, last: int) -> Iterator[Any]:
        from pyroute2.netlink.rtnl.marshal import MarshalRtnl  # takes 0.2 s, and most commands wire nothing

        marshal = MarshalRtnl()
        while True:
            for answer in marshal.parse(self._socket.recv(_READ_BYTES)):
                if first <= answer["header"]["sequence_number"] <= last:
                    yield answer


def _error_code(answer: Any) -> int:
    return -answer["error"] if answer["header"]["type"] == _NLMSG_ERROR else 0


def _error_text(answer: Any) -> str:
    """The kernel's own words where it has some."""
    text = os.strerror(_error_code(answer))
    detail = answer.get_attr("NLMSGERR_ATTR_MSG")
    return f"{text} ({detail})" if detail else text


def _batches(requests: Sequence[Request]) -> list[Sequence[Request]]:
    batches, start, size = [], 0, 0
    for position, request in enumerate(requests):
        length = len(request.data)
        if size + length > _BATCH_BYTES:
            batches.append(requests[start:position])
            start, size = position, 0
        size += length
    if start < len(requests):
        batches.append(requests[start:])
    return batches
