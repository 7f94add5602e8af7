"""One packet or connection at a time between the lab's namespaces, and what became of it.

A probe's socket is born in the client's namespace and used from here: no process is started in it. What comes back
is typed: silence is ``dropped``, an answer that says no is ``refused``, and a probe that could not be made is
``error`` and says nothing about the network.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from testbed.emulation.netns import inside
from testbed.observe.verdicts import Verdict

DEFAULT_TIMEOUT = 2.0
"""Seconds. Less than the 3 s after which the kernel gives up on ARP, so silence stays silence."""

ANY_QUESTION = bytes.fromhex("6c61 0100 0001 0000 0000 0000 00 0002 0001")
"""A datagram that is answered by the echo server, as every one is, and by a DNS server: who serves the root?"""

_ECHO_REQUEST, _ECHO_REPLY = 8, 0
_NOT_SENT = {errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EINVAL, errno.EACCES, errno.EPERM, errno.EADDRINUSE}


@dataclass(frozen=True, slots=True)
class Seen:
    """``server`` is the name that answered, ``client`` the client's address as the server saw it ("" if it can't say).

    ``detail`` is the reason in words, ``milliseconds`` the time until the verdict.
    """

    verdict: Verdict
    server: str = ""
    client: str = ""
    detail: str = ""
    milliseconds: float = 0.0
    body: str = ""

    def __str__(self) -> str:
        source = f", source {self.client}" if self.client else ""
        detail = f" ({self.detail})" if self.detail and self.verdict is not Verdict.ALLOWED else ""
        return f"{self.verdict}{source}{detail}"


def http(
    namespace: Path,
    address: IPv4Address,
    port: int,
    path: str = "/",
    host: str = "",
    timeout: float = DEFAULT_TIMEOUT,
    source_port: int = 0,
    method: str = "GET",
) -> Seen:
    """One HTTP/1.1 request on a connection of its own; the echo server's answer tells who saw whom."""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: {host or address}\r\nConnection: close\r\nAccept: application/json\r\n\r\n"
    )

    def exchange(client: socket.socket) -> Seen:
        client.sendall(head.encode())
        answer = _read_all(client)
        if not answer:
            return Seen(Verdict.DROPPED, detail="connected, but the server closed without an answer")
        return _from_http(answer)

    return _tcp(namespace, address, port, timeout, source_port, exchange)


def tcp(
    namespace: Path, address: IPv4Address, port: int, timeout: float = DEFAULT_TIMEOUT, source_port: int = 0
) -> Seen:
    """A TCP handshake and nothing else: whether something accepts, not who."""
    return _tcp(namespace, address, port, timeout, source_port, lambda _: Seen(Verdict.ALLOWED))


def udp(
    namespace: Path,
    address: IPv4Address,
    port: int,
    timeout: float = DEFAULT_TIMEOUT,
    source_port: int = 0,
    payload: bytes = b"who\n",
) -> Seen:
    """One datagram and its answer."""

    def exchange(client: socket.socket) -> Seen:
        client.connect((str(address), port))
        client.send(payload)
        return _from_greeting(client.recv(65535).decode(errors="replace"))

    return _probe(namespace, socket.SOCK_DGRAM, 0, timeout, source_port, exchange)


def ping(
    namespace: Path, address: IPv4Address, timeout: float = DEFAULT_TIMEOUT, size: int = 56, fragment: bool = True
) -> Seen:
    """One ICMP echo of ``size`` data bytes; ``fragment=False`` sets the don't-fragment bit."""
    number = os.getpid() & 0xFFFF
    request = _echo_request(number, size)

    def exchange(client: socket.socket) -> Seen:
        if not fragment:
            client.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER, IP_PMTUDISC_DO
        client.connect((str(address), 0))
        client.send(request)
        end = time.monotonic() + timeout
        while (left := end - time.monotonic()) > 0:
            client.settimeout(left)
            packet = client.recv(65535)
            payload = packet[(packet[0] & 0xF) * 4 :]
            if payload[0] == _ECHO_REPLY and payload[4:] == request[4:]:
                return Seen(Verdict.ALLOWED, detail=f"ttl {packet[8]}")
        raise TimeoutError

    return _probe(namespace, socket.SOCK_RAW, socket.IPPROTO_ICMP, timeout, 0, exchange)


def _tcp(
    namespace: Path,
    address: IPv4Address,
    port: int,
    timeout: float,
    source_port: int,
    exchange: Callable[[socket.socket], Seen],
) -> Seen:
    def connect_first(client: socket.socket) -> Seen:
        client.connect((str(address), port))
        return exchange(client)

    return _probe(namespace, socket.SOCK_STREAM, 0, timeout, source_port, connect_first)


def _probe(
    namespace: Path,
    kind: int,
    protocol: int,
    timeout: float,
    source_port: int,
    exchange: Callable[[socket.socket], Seen],
) -> Seen:
    started = time.monotonic()
    try:
        with inside(namespace, lambda: socket.socket(socket.AF_INET, kind, protocol)) as client:
            client.settimeout(timeout)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if source_port:
                client.bind(("0.0.0.0", source_port))
            seen = exchange(client)
    except OSError as error:
        seen = _from_error(error)
    return Seen(seen.verdict, seen.server, seen.client, seen.detail, (time.monotonic() - started) * 1000, seen.body)


def _from_error(error: OSError) -> Seen:
    if isinstance(error, TimeoutError):
        return Seen(Verdict.DROPPED, detail="no answer")
    if error.errno == errno.EMSGSIZE:
        return Seen(Verdict.REFUSED, detail="message too long")
    if error.errno in _NOT_SENT or isinstance(error, FileNotFoundError):
        return Seen(Verdict.ERROR, detail=str(error))
    return Seen(Verdict.REFUSED, detail=os.strerror(error.errno).lower() if error.errno else str(error))


def _read_all(client: socket.socket) -> bytes:
    parts = []
    while part := client.recv(65535):
        parts.append(part)
    return b"".join(parts)


def _from_http(answer: bytes) -> Seen:
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head.split(b"\r\n", 1)[0].decode(errors="replace")
    seen = _from_json(body.decode(errors="replace"))
    return Seen(seen.verdict, seen.server, seen.client, status, body=seen.body)


def _from_json(text: str) -> Seen:
    """The echo server says its name and the client's address as JSON; other servers just answered."""
    try:
        told = json.loads(text)
    except ValueError:
        return Seen(Verdict.ALLOWED, body=text)
    if not isinstance(told, dict):
        return Seen(Verdict.ALLOWED, body=text)
    client = str(told.get("client", "")).rpartition(":")[0] or str(told.get("client", ""))
    return Seen(Verdict.ALLOWED, str(told.get("name", "")), client, body=text)


def _from_greeting(text: str) -> Seen:
    """The echo server's answer to a datagram: its name, the client's address and port, a counter; then the datagram."""
    words = text.partition("\n")[0].split()
    if len(words) != 3:
        return Seen(Verdict.ALLOWED, body=text)
    return Seen(Verdict.ALLOWED, words[0], words[1].rpartition(":")[0], body=text)


def _echo_request(number: int, size: int) -> bytes:
    token = os.urandom(8)[:size]
    data = token + bytes(index & 0xFF for index in range(size - len(token)))
    head = struct.pack("!BBHHH", _ECHO_REQUEST, 0, 0, number, 1)
    return struct.pack("!BBHHH", _ECHO_REQUEST, 0, _checksum(head + data), number, 1) + data


def _checksum(data: bytes) -> int:
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    total = (total >> 16) + (total & 0xFFFF)
    return int(~(total + (total >> 16)) & 0xFFFF)
