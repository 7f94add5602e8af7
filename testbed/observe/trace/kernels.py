"""What the kernel of a namespace answers: which way a packet goes, what its rules are, who listens.

Asked of the running kernel by netlink, ``nft`` and ``/proc``; nothing is taken from the plan.
"""

from __future__ import annotations

import errno
import fcntl
import json
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Address
from typing import Any, TypeVar

from testbed.emulation.errors import EmulationError, KernelRefusedError
from testbed.emulation.netlink import RouteSocket
from testbed.emulation.netns import inside
from testbed.emulation.processes import run_in
from testbed.emulation.rtnetlink import find_route
from testbed.emulation.rundir import RunDir

T = TypeVar("T")

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


@dataclass
class Kernel:
    """The network stack of one namespace of the lab, as of now: answers are kept, for a trace takes an instant."""

    rundir: RunDir
    namespace: str
    _routes: dict[tuple[str, str, str], RouteAnswer] = field(default_factory=dict)
    _macs: dict[str, str] = field(default_factory=dict)

    @cached_property
    def _netlink(self) -> RouteSocket:
        return self._inside(RouteSocket)

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
        devices = self._index(iif), self._index(oif)
        try:
            answer = self._netlink.ask(find_route(destination, source, *devices, 0))
        except KernelRefusedError as refused:
            _, code, text = refused.failures[0]
            return RouteAnswer(refusal=_WHY.get(code, text))
        return RouteAnswer(
            local=answer["type"] == _RTN_LOCAL,
            device=self._device(answer),
            gateway=_address(answer.get_attr("RTA_GATEWAY")),
            source=_address(answer.get_attr("RTA_PREFSRC")),
            route=self._entry(destination, source, devices),
        )

    def _entry(
        self, destination: IPv4Address, source: IPv4Address | None, devices: tuple[int | None, int | None]
    ) -> str:
        """The matching routing entry as ``ip route`` shows it; empty where the kernel gives none away."""
        try:
            found = self._netlink.ask(find_route(destination, source, *devices, _RTM_F_FIB_MATCH))
        except KernelRefusedError:
            return ""
        target = f"{found.get_attr('RTA_DST')}/{found['dst_len']}" if found["dst_len"] else "default"
        gateway = f" via {found.get_attr('RTA_GATEWAY')}" if found.get_attr("RTA_GATEWAY") else ""
        kind = "local " if found["type"] == _RTN_LOCAL else ""
        return f"{kind}{target.removesuffix('/32')}{gateway} dev {self._device(found)}"

    def _device(self, found: Any) -> str:
        index = found.get_attr("RTA_OIF")
        return self.devices.get(index, "?") if index else ""

    def _index(self, device: str) -> int | None:
        return next(index for index, name in self.devices.items() if name == device) if device else None

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


def _address(text: str | None) -> IPv4Address | None:
    return IPv4Address(text) if text else None


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
