"""Many probes at once: thousands of pairs in the time that one silence takes.

Sockets are born in their clients' namespaces by one thread that visits each once, and are all waited for together.
A probe here is a handshake, a datagram or an echo; ``probes`` has those that read what a server says.
"""

from __future__ import annotations

import errno
import os
import resource
import selectors
import socket
import struct
import time
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from pathlib import Path

from testbed.emulation.netns import Enter, visiting
from testbed.observe.probes import ANY_QUESTION, Seen
from testbed.observe.verdicts import Verdict

TIMEOUT = 2.0
"""Seconds of silence that are a drop; less than the 3 s after which the kernel gives up on ARP."""

AGAIN = 0.7
"""Seconds after which an echo or datagram without an answer is sent once more, as TCP's kernel does by itself."""

BURST, PAUSE = 100, 0.005
"""So many probes begin at a time, then seconds until the next: a switch that learns flows must keep up."""

MOST_SOCKETS = 8000
_SPARE_FILES = 256
_ECHO_REQUEST, _ECHO_REPLY, _UNREACHABLE = 8, 0, 3
_NOT_SENT = {errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EINVAL, errno.EACCES, errno.EPERM}


@dataclass(frozen=True, slots=True)
class Shot:
    """One probe: ``protocol`` is ``tcp``, ``udp`` or ``icmp``."""

    namespace: Path
    protocol: str
    address: IPv4Address
    port: int = 0


@dataclass(slots=True)
class _Flight:
    """A probe under way. ``number`` is its position, and for an echo also its sequence number."""

    number: int
    shot: Shot
    socket: socket.socket
    begun: float = 0.0
    again: int = 0


@dataclass(slots=True)
class _Volley:
    seen: list[Seen | None]
    timeout: float
    selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    flying: dict[int, _Flight] = field(default_factory=dict)


def fire(shots: Sequence[Shot], timeout: float = TIMEOUT) -> list[Seen]:
    """What became of each probe, in their order."""
    found: list[Seen] = []
    for start in range(0, len(shots), MOST_SOCKETS):
        part = shots[start : start + MOST_SOCKETS]
        with _files(len(part)):
            found += _fire(part, timeout)
    return found


def _fire(shots: Sequence[Shot], timeout: float) -> list[Seen]:
    volley = _Volley([None] * len(shots), timeout)
    flights, errors = _open(shots)
    for number, error in errors.items():
        volley.seen[number] = Seen(Verdict.ERROR, detail=str(error))
    waiting = deque(flight for flight in flights)
    sockets = {flight.socket for flight in flights}
    try:
        for one in sockets:
            events = selectors.EVENT_WRITE if one.type == socket.SOCK_STREAM else selectors.EVENT_READ
            volley.selector.register(one, events, [flight for flight in flights if flight.socket is one][:1])
        _run(volley, waiting)
    finally:
        volley.selector.close()
        for one in sockets:
            one.close()
    return [seen or Seen(Verdict.DROPPED, detail="no answer") for seen in volley.seen]


def _open(shots: Sequence[Shot]) -> tuple[list[_Flight], dict[int, OSError]]:
    """Sockets in their namespaces: one for each probe, but one for all echoes of a namespace."""
    by_namespace: dict[Path, list[int]] = defaultdict(list)
    for number, shot in enumerate(shots):
        by_namespace[shot.namespace].append(number)
    errors: dict[int, OSError] = {}

    def visit(enter: Enter) -> list[_Flight]:
        flights = []
        for namespace, numbers in by_namespace.items():
            try:
                enter(namespace)
                shared = _socket("icmp") if any(shots[number].protocol == "icmp" for number in numbers) else None
            except OSError as error:
                errors.update(dict.fromkeys(numbers, error))
                continue
            for number in numbers:
                shot = shots[number]
                own = shared if shot.protocol == "icmp" else _socket(shot.protocol)
                assert own is not None
                flights.append(_Flight(number, shot, own))
        return flights

    flights = visiting(visit)
    flights.sort(key=lambda flight: flight.number)
    return flights, errors


def _socket(protocol: str) -> socket.socket:
    kinds = {
        "tcp": (socket.SOCK_STREAM, 0),
        "udp": (socket.SOCK_DGRAM, 0),
        "icmp": (socket.SOCK_RAW, socket.IPPROTO_ICMP),
    }
    made = socket.socket(socket.AF_INET, *kinds[protocol])
    made.setblocking(False)
    if protocol == "icmp":
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    return made


def _run(volley: _Volley, waiting: deque[_Flight]) -> None:
    next_burst = 0.0
    while waiting or volley.flying:
        now = time.monotonic()
        if waiting and now >= next_burst:
            for _ in range(min(BURST, len(waiting))):
                _begin(volley, waiting.popleft(), now)
            next_burst = now + PAUSE
        for key, _ in volley.selector.select(PAUSE if waiting else 0.05):
            _hear(volley, key)
        _look_at_clock(volley, time.monotonic())


def _begin(volley: _Volley, flight: _Flight, now: float) -> None:
    flight.begun = now
    volley.flying[flight.number] = flight
    try:
        _send(flight)
    except BlockingIOError:
        pass  # TCP: under way; others: the queue is full, it is sent again
    except OSError as error:
        _land(volley, flight, _from_error(error))


def _send(flight: _Flight) -> None:
    address = str(flight.shot.address)
    if flight.shot.protocol == "icmp":
        flight.socket.sendto(_echo(flight.number), (address, 0))
        return
    if flight.again == 0:
        flight.socket.connect((address, flight.shot.port))
    if flight.shot.protocol == "udp":
        flight.socket.send(ANY_QUESTION)


def _hear(volley: _Volley, key: selectors.SelectorKey) -> None:
    one = key.fileobj
    assert isinstance(one, socket.socket)
    if one.type == socket.SOCK_RAW:
        _hear_echoes(volley, one)
        return
    flight: _Flight = key.data[0]
    if flight.number not in volley.flying:
        return  # TCP not connected yet counts as writable
    if one.type == socket.SOCK_STREAM:
        code = one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        seen = _from_error(OSError(code, os.strerror(code))) if code else Seen(Verdict.ALLOWED)
    else:
        try:
            one.recv(65535)
            seen = Seen(Verdict.ALLOWED)
        except OSError as error:
            seen = _from_error(error)
    volley.selector.unregister(one)
    _land(volley, flight, seen)


def _hear_echoes(volley: _Volley, one: socket.socket) -> None:
    with suppress(BlockingIOError):
        while True:
            packet, (sender, _) = one.recvfrom(65535)
            message = packet[(packet[0] & 0xF) * 4 :]
            verdict, number = Verdict.ALLOWED, _number(message, _ECHO_REPLY)
            if number is None and message[:1] == bytes([_UNREACHABLE]):
                inner = message[8:]
                verdict, number = Verdict.REFUSED, _number(inner[(inner[0] & 0xF) * 4 :], _ECHO_REQUEST)
            flight = volley.flying.get(number) if number is not None else None
            if flight is None or flight.socket is not one:
                continue
            if verdict is Verdict.ALLOWED and sender != str(flight.shot.address):
                continue  # ping counts an answer from elsewhere as none
            detail = "" if verdict is Verdict.ALLOWED else f"{sender} says unreachable"
            _land(volley, flight, Seen(verdict, detail=detail))


def _land(volley: _Volley, flight: _Flight, seen: Seen) -> None:
    volley.flying.pop(flight.number, None)
    volley.seen[flight.number] = replace(seen, milliseconds=(time.monotonic() - flight.begun) * 1000)


def _look_at_clock(volley: _Volley, now: float) -> None:
    for flight in list(volley.flying.values()):
        age = now - flight.begun
        if age > volley.timeout:
            _land(volley, flight, Seen(Verdict.DROPPED, detail="no answer"))
        elif flight.shot.protocol != "tcp" and age > AGAIN * (flight.again + 1):
            flight.again += 1
            with suppress(OSError):
                _send(flight)


def _from_error(error: OSError) -> Seen:
    if error.errno in _NOT_SENT:
        return Seen(Verdict.ERROR, detail=str(error))
    return Seen(Verdict.REFUSED, detail=os.strerror(error.errno or 0).lower())


_MARK = struct.pack("!I", 0x6C616220)


def _echo(number: int) -> bytes:
    """An echo request: the number is in identifier and sequence, 24 bits of it and more."""
    data = _MARK + bytes(52)
    head = struct.pack("!BBHHH", _ECHO_REQUEST, 0, 0, _identifier(), number)
    total = sum(struct.unpack(f"!{(len(head) + len(data)) // 2}H", head + data))
    total = (total >> 16) + (total & 0xFFFF)
    checksum = ~(total + (total >> 16)) & 0xFFFF
    return struct.pack("!BBHHH", _ECHO_REQUEST, 0, checksum, _identifier(), number) + data


def _number(message: bytes, kind: int) -> int | None:
    if len(message) < 8 or message[0] != kind:
        return None
    identifier, number = struct.unpack_from("!HH", message, 4)
    return int(number) if identifier == _identifier() else None


def _identifier() -> int:
    return os.getpid() & 0xFFFF


@contextmanager
def _files(needed: int) -> Iterator[None]:
    """Room for so many open files in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = needed + _SPARE_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        yield
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
