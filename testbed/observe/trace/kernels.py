"""What the kernel of a namespace answers: which way a packet goes, what its rules are, who listens.

Asked of the running kernel by netlink, ``nft`` and ``/proc``; nothing is taken from the plan.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Address
from typing import Any, NamedTuple, TypeVar

from testbed.emulation.errors import EmulationError
from testbed.emulation.netns import inside
from testbed.emulation.processes import run_in
from testbed.emulation.rtnetlink import NLM_F_REQUEST, attribute, header
from testbed.emulation.rundir import RunDir

T = TypeVar("T")

_RTM_GETROUTE, _NLMSG_ERROR = 26, 2
_RTA_DST, _RTA_SRC, _RTA_IIF, _RTA_OIF, _RTA_GATEWAY, _RTA_PREFSRC = 1, 2, 3, 4, 5, 7
_RTN_LOCAL = 2
_RTM_F_FIB_MATCH = 0x2000
_SIOCGIFHWADDR = 0x8927
_LISTEN = "0A"


@dataclass(frozen=True, slots=True)
class RouteAnswer:
    """``ip route get``: ``local`` delivery, or out by ``device``. ``refusal`` is the kernel's reason for neither.

    ``route`` is the matching entry as ``ip route`` shows it (``default via 192.168.0.1 dev br-ex``).
    """

    local: bool = False
    device: str = ""
    gateway: IPv4Address | None = None
    source: IPv4Address | None = None
    route: str = ""
    refusal: str = ""


class _Route(NamedTuple):
    """A message of the kernel's: type, length of the prefix, attributes."""

    kind: int
    prefix: int
    values: dict[int, bytes]


@dataclass
class Kernel:
    """The network stack of one namespace of the lab, as of now: answers are kept, for a trace takes an instant."""

    rundir: RunDir
    namespace: str
    _routes: dict[tuple[str, str, str], RouteAnswer] = field(default_factory=dict)
    _macs: dict[str, str] = field(default_factory=dict)

    @cached_property
    def _netlink(self) -> socket.socket:
        return self._inside(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE))

    @cached_property
    def _plain(self) -> socket.socket:
        return self._inside(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))

    @cached_property
    def devices(self) -> dict[int, str]:
        return dict(self._inside(socket.if_nameindex))

    @cached_property
    def ruleset(self) -> list[dict[str, Any]]:
        """``nft -j list ruleset``; empty where there is no rule. Raises ``EmulationError``."""
        done = run_in(self.rundir, self.namespace, ("nft", "-j", "list", "ruleset"), limit=10.0)
        if done.returncode:
            raise EmulationError(f"nft of {self.namespace} says: {done.stderr.strip()}")
        return list(json.loads(done.stdout or '{"nftables": []}')["nftables"])

    @cached_property
    def _listeners(self) -> dict[str, frozenset[tuple[str, int]]]:
        def read() -> dict[str, frozenset[tuple[str, int]]]:
            return {kind: _read_listeners(kind) for kind in ("tcp", "udp")}

        return self._inside(read)

    def listens(self, protocol: str, address: IPv4Address, port: int) -> bool:
        """Whether a program waits for connections or datagrams at that address and port."""
        found = self._listeners[protocol]
        return ("0.0.0.0", port) in found or (str(address), port) in found

    def mac(self, device: str) -> str:
        if device not in self._macs:
            request = struct.pack("256s", device.encode())
            answer = fcntl.ioctl(self._plain, _SIOCGIFHWADDR, request)
            self._macs[device] = answer[18:24].hex(":")
        return self._macs[device]

    def route(
        self, destination: IPv4Address, source: IPv4Address | None = None, iif: str = "", oif: str = ""
    ) -> RouteAnswer:
        """Where a packet goes that was made here, or that came in by ``iif``."""
        key = (str(destination), str(source or ""), f"{iif}>{oif}")
        if key not in self._routes:
            self._routes[key] = self._ask(destination, source, iif, oif)
        return self._routes[key]

    def _ask(self, destination: IPv4Address, source: IPv4Address | None, iif: str, oif: str) -> RouteAnswer:
        answer = self._route_message(destination, source, iif, oif, 0)
        if isinstance(answer, str):
            return RouteAnswer(refusal=answer)
        entry = self._route_message(destination, source, iif, oif, _RTM_F_FIB_MATCH)
        return RouteAnswer(
            local=answer.kind == _RTN_LOCAL,
            device=self._device(answer),
            gateway=_address(answer.values.get(_RTA_GATEWAY)),
            source=_address(answer.values.get(_RTA_PREFSRC)),
            route="" if isinstance(entry, str) else self._entry(entry),
        )

    def _entry(self, found: _Route) -> str:
        """A routing entry as ``ip route`` shows it."""
        target = f"{_address(found.values.get(_RTA_DST))}/{found.prefix}" if found.prefix else "default"
        gateway = f" via {_address(found.values[_RTA_GATEWAY])}" if _RTA_GATEWAY in found.values else ""
        kind = "local " if found.kind == _RTN_LOCAL else ""
        return f"{kind}{target.removesuffix('/32')}{gateway} dev {self._device(found)}"

    def _device(self, found: _Route) -> str:
        return self.devices.get(struct.unpack("I", found.values[_RTA_OIF])[0], "?") if _RTA_OIF in found.values else ""

    def _route_message(
        self, destination: IPv4Address, source: IPv4Address | None, iif: str, oif: str, flags: int
    ) -> _Route | str:
        """The answer, or the kernel's reason why there is none."""
        body = struct.pack("BBBBBBBBI", socket.AF_INET, 32, 32 if source else 0, 0, 0, 0, 0, 0, flags)
        body += attribute(_RTA_DST, destination.packed)
        if source:
            body += attribute(_RTA_SRC, source.packed)
        if iif:
            body += attribute(_RTA_IIF, struct.pack("I", self._index(iif)))
        if oif:
            body += attribute(_RTA_OIF, struct.pack("I", self._index(oif)))
        self._netlink.send(header(_RTM_GETROUTE, NLM_F_REQUEST, 1, body))
        answer = self._netlink.recv(8192)
        (kind,) = struct.unpack_from("H", answer, 4)
        if kind == _NLMSG_ERROR:
            (code,) = struct.unpack_from("i", answer, 16)
            return _WHY.get(-code, os.strerror(-code))
        return _Route(answer[23], answer[17], dict(_attributes(answer[28:])))

    def _index(self, device: str) -> int:
        return next(index for index, name in self.devices.items() if name == device)

    def _inside(self, work: Callable[[], T]) -> T:
        return inside(self.rundir.namespace(self.namespace), work)

    def close(self) -> None:
        for name in ("_netlink", "_plain"):
            if name in self.__dict__:
                self.__dict__.pop(name).close()


_WHY = {
    errno.ENETUNREACH: "no route",
    errno.EHOSTUNREACH: "no route, or it does not forward",
    errno.EXDEV: "its source would be reached by another way (reverse path filter)",
    errno.EINVAL: "a source address that can't come from there",
    errno.EACCES: "its route is prohibited",
}


def _attributes(data: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("HH", data, at)
        if length < 4:
            break
        found.append((kind & 0x3FFF, data[at + 4 : at + length]))
        at += (length + 3) & ~3
    return found


def _address(data: bytes | None) -> IPv4Address | None:
    return IPv4Address(data) if data else None


def _read_listeners(kind: str) -> frozenset[tuple[str, int]]:
    """Local (address, port) of listening TCP or of unconnected UDP sockets of the calling thread's namespace.

    A socket for IPv6's any address takes IPv4 as well, unless it says otherwise.
    """
    found = set()
    for name in (kind, f"{kind}6"):
        try:
            lines = _lines(f"/proc/thread-self/net/{name}")
        except OSError:
            continue
        for line in lines[1:]:
            words = line.split()
            address, _, port = words[1].partition(":")
            if kind == "tcp" and words[3] != _LISTEN:
                continue
            if kind == "udp" and not words[2].endswith(":0000"):
                continue
            found.add((_hex_address(address), int(port, 16)))
    return frozenset(found)


def _lines(path: str) -> list[str]:
    with open(path, encoding="ascii") as table:
        return table.read().splitlines()


def _hex_address(text: str) -> str:
    if len(text) == 32:
        text = text[24:] if text[:24] in ("0" * 16 + "FFFF0000", "0" * 24) else ""
    return str(IPv4Address(bytes.fromhex(text)[::-1])) if text else "::"
