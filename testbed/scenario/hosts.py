"""A host of a running lab, to probe from and to look at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from testbed.model.desired import ServicePort
from testbed.observe import probes
from testbed.observe.connections import Connection, connected
from testbed.observe.load import Load, loading
from testbed.observe.probes import DEFAULT_TIMEOUT, Seen


@dataclass(frozen=True, slots=True)
class Host:
    """A pod, node, server, master, load balancer or internet host of a running lab."""

    name: str
    owner: str
    address: IPv4Address
    namespace: Path
    host: str
    node: str = ""

    def http(
        self,
        address: IPv4Address | str,
        port: int,
        path: str = "/",
        host: str = "",
        timeout: float = DEFAULT_TIMEOUT,
    ) -> Seen:
        """One HTTP request from here; ``host`` is the Host header when it is not the address."""
        return probes.http(self.namespace, IPv4Address(address), port, path, host, timeout)

    def tcp(self, address: IPv4Address | str, port: int, timeout: float = DEFAULT_TIMEOUT) -> Seen:
        return probes.tcp(self.namespace, IPv4Address(address), port, timeout)

    def udp(
        self, address: IPv4Address | str, port: int, timeout: float = DEFAULT_TIMEOUT, source_port: int = 0
    ) -> Seen:
        return probes.udp(self.namespace, IPv4Address(address), port, timeout, source_port)

    def ping(self, address: IPv4Address | str, timeout: float = DEFAULT_TIMEOUT, size: int = 56) -> Seen:
        return probes.ping(self.namespace, IPv4Address(address), timeout, size)

    def post(self, path: str, port: int = 8080) -> Seen:
        """Tell the echo server of this host something (``/fail``: no longer ready), from beside it."""
        return probes.http(self.namespace, IPv4Address("127.0.0.1"), port, path, method="POST")

    @contextmanager
    def connection(self, address: IPv4Address | str, port: int) -> Iterator[Connection]:
        """A connection from here that stays open. Raises ``OSError`` when it can't be made."""
        with connected(self.namespace, IPv4Address(address), port) as connection:
            yield connection

    @contextmanager
    def load(self, address: IPv4Address | str, port: int, host: str = "") -> Iterator[Load]:
        """HTTP requests from here without a pause while the block runs."""
        with loading(self.namespace, IPv4Address(address), port, host) as load:
            yield load

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class ServiceView:
    """A Service as the switches have it."""

    name: str
    cluster_ip: str
    ports: tuple[ServicePort, ...]
