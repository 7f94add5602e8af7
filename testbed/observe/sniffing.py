"""Packet sockets in the lab's namespaces: every frame of a device, with the kernel's own time and its VLAN tag."""

from __future__ import annotations

import ctypes
import selectors
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from testbed.emulation.netns import inside
from testbed.operations.errors import BadRequestError

_ETH_P_ALL = 3
_RECEIVE_BUFFER = 1 << 22
_LARGEST = 1 << 17
_SO_ATTACH_FILTER, _SO_TIMESTAMPNS = 26, 35
_SOL_PACKET, _PACKET_AUXDATA = 263, 8
_VLAN_VALID = 1 << 4
_ROOM = socket.CMSG_SPACE(16) + socket.CMSG_SPACE(20)


@dataclass(frozen=True, slots=True)
class Place:
    """Where to look: ``interface`` inside ``namespace``; ``name`` is how results call it (``n1/eth0``)."""

    name: str
    namespace: Path
    interface: str


@dataclass(frozen=True, slots=True)
class Sniffed:
    """``at``: seconds since the epoch; ``leaving``: sent by the device, else received."""

    place: Place
    at: float
    data: bytes
    leaving: bool


def compile_filter(expression: str) -> bytes:
    """A filter in tcpdump's language as the kernel's own instructions, 8 bytes each.

    Raises ``BadRequestError`` with what tcpdump says of it.
    """
    done = subprocess.run(["tcpdump", "-ddd", "-y", "EN10MB", expression], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BadRequestError(f"--filter: {done.stderr.strip().splitlines()[-1].removeprefix('tcpdump: ')}")
    _, *lines = done.stdout.split("\n")
    return b"".join(struct.pack("HBBI", *map(int, line.split())) for line in lines if line)


def open_sniffer(place: Place, program: bytes = b"") -> socket.socket:
    """Nothing that passes after this is missed. Raises ``OSError`` when the namespace or the device is not there."""

    def open_here() -> socket.socket:
        sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        sniffer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        sniffer.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        sniffer.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
        if program:
            _attach(sniffer, program)
        sniffer.setblocking(False)
        sniffer.bind((place.interface, _ETH_P_ALL))
        return sniffer

    return inside(place.namespace, open_here)


def _attach(sniffer: socket.socket, program: bytes) -> None:
    code = ctypes.create_string_buffer(program, len(program))
    sniffer.setsockopt(
        socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", len(program) // 8, ctypes.addressof(code))
    )


def read_all(place: Place, sniffer: socket.socket) -> Iterator[Sniffed]:
    """What has come so far."""
    while True:
        try:
            data, extra, _, address = sniffer.recvmsg(_LARGEST, _ROOM)
        except BlockingIOError:
            return
        at = time.time()
        for level, kind, value in extra:
            if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
                seconds, nanoseconds = struct.unpack("qq", value)
                at = seconds + nanoseconds / 1e9
            elif (level, kind) == (_SOL_PACKET, _PACKET_AUXDATA):
                data = _with_tag(data, value)
        yield Sniffed(place, at, data, address[2] == socket.PACKET_OUTGOING)


def _with_tag(data: bytes, auxiliary: bytes) -> bytes:
    """The kernel keeps a VLAN tag beside the frame; on the wire it is in it."""
    status, _, _, _, _, tag, protocol = struct.unpack("IIIHHHH", auxiliary)
    if not status & _VLAN_VALID:
        return data
    return data[:12] + struct.pack("!HH", protocol or 0x8100, tag) + data[12:]


def sniff(
    places: Sequence[Place], program: bytes, finished: Callable[[int], bool], wanted: Callable[[Sniffed], bool]
) -> Iterator[Sniffed]:
    """Frames as they come, until ``finished`` says of their number that it is enough; it is asked at least every 0.1 s.

    Only ``wanted`` frames are given and counted. Raises ``OSError`` for a place that is not there.
    """
    count = 0
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        for place in places:
            selector.register(stack.enter_context(open_sniffer(place, program)), selectors.EVENT_READ, place)
        while not finished(count):
            batch: list[Sniffed] = []
            for key, _ in selector.select(0.1):
                assert isinstance(key.fileobj, socket.socket)
                batch += filter(wanted, read_all(key.data, key.fileobj))
            for frame in sorted(batch, key=lambda one: one.at):
                if finished(count):
                    return
                count += 1
                yield frame
