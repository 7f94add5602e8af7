"""Packets of tests: connections, pings and crafted frames from inside a namespace (the path of its file)."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from testbed.emulation.netns import inside
from tests.limits import LIMIT, SILENCE


@dataclass(frozen=True)
class Seen:
    """What a TCP attempt came to: ``connected`` with the client's address as the server saw it and the server's name,
    ``refused``, ``dropped`` (no answer) or ``error <errno>``."""

    verdict: str
    client: IPv4Address | None = None
    server: str = ""


DROPPED, REFUSED = Seen("dropped"), Seen("refused")


def patience(expected: Seen) -> float:
    """Seconds to wait for it."""
    return SILENCE if expected == DROPPED else LIMIT


def serve(namespace: Path, port: int, kind: int = socket.SOCK_STREAM) -> socket.socket:
    """A listening TCP socket, or a UDP socket (``SOCK_DGRAM``); close it after."""

    def listen() -> socket.socket:
        made = socket.socket(socket.AF_INET, kind)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(("0.0.0.0", port))
        if kind == socket.SOCK_STREAM:
            made.listen(64)
        made.settimeout(LIMIT)
        return made

    return inside(namespace, listen)


def connect(
    namespace: Path,
    address: IPv4Address,
    port: int,
    servers: dict[str, socket.socket],
    limit: float = LIMIT,
    source_port: int = 0,
) -> Seen:
    """Open a connection and exchange data; ``servers`` are the listening sockets that may get it, by name.

    ``source_port`` 0: any.
    """

    def dial() -> socket.socket:
        made = socket.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if source_port:
            made.bind(("0.0.0.0", source_port))
        made.settimeout(limit)
        try:
            made.connect((str(address), port))
        except OSError:
            made.close()  # else the kernel goes on trying, and some later test's server is asked
            raise
        return made

    try:
        client = inside(namespace, dial)
    except ConnectionRefusedError:
        return REFUSED
    except TimeoutError:
        return DROPPED
    except OSError as error:
        return Seen(f"error {error.errno}")
    with client:
        ready, _, _ = select.select(list(servers.values()), [], [], LIMIT)
        assert ready, f"{namespace.name} connected to {address}:{port}, but none of the servers was asked"
        accepted, peer = ready[0].accept()
        with accepted:
            accepted.settimeout(LIMIT)
            client.sendall(b"question")
            assert accepted.recv(100) == b"question"
            accepted.sendall(b"answer")
            assert client.recv(100) == b"answer"
    name = next(name for name, each in servers.items() if each is ready[0])
    return Seen("connected", IPv4Address(peer[0]), name)


def ping(namespace: Path, address: IPv4Address, limit: float = LIMIT) -> bool:
    """One echo request, answered or not."""

    def echo() -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as made:
            made.settimeout(limit)
            made.connect((str(address), 0))
            body = struct.pack("!BBHHH", 8, 0, 0, os.getpid() & 0xFFFF, 1) + b"x" * 32
            made.send(body[:2] + checksum(body) + body[4:])
            with contextlib.suppress(TimeoutError):
                while made.recv(2048)[20] != 0:
                    pass
                return True
            return False

    return inside(namespace, echo)


def send_frame(namespace: Path, interface: str, frame: bytes) -> None:
    def send() -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as made:
            made.bind((interface, 0))
            made.send(frame)

    inside(namespace, send)


def udp_frame(
    eth_src: str,
    eth_dst: str,
    source: IPv4Address,
    destination: IPv4Address,
    ports: tuple[int, int] = (9, 9),
    body: bytes = b"x",
) -> bytes:
    """Ethernet, IPv4, UDP from the first port to the second without a UDP checksum."""
    datagram = struct.pack("!HHHH", *ports, 8 + len(body), 0) + body
    ends = (source.packed, destination.packed)
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(datagram), 1, 0, 64, 17, 0, *ends)
    header = header[:10] + checksum(header) + header[12:]
    return bytes.fromhex((eth_dst + eth_src).replace(":", "")) + b"\x08\x00" + header + datagram


def checksum(data: bytes) -> bytes:
    """The internet checksum of an even number of bytes."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF)
