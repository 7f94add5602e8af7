"""Requests without a pause while the lab changes: how many were answered, and what became of the others."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

from testbed.emulation.netns import inside

TIMEOUT = 20.0
"""Seconds that a request may take: more than a proxy needs to try its other servers."""

ON_ONE_CONNECTION = 20
"""Requests of a keep-alive client before it makes another connection."""


@dataclass(slots=True)
class Load:
    """``failed``: why, one text for each request that was not answered with 200."""

    namespace: Path
    address: IPv4Address
    port: int
    host: str
    answered: int = 0
    failed: list[str] = field(default_factory=list)
    servers: set[str] = field(default_factory=set)
    _ended: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __str__(self) -> str:
        reasons = f": {', '.join(sorted(set(self.failed))[:3])}" if self.failed else ""
        return f"{self.answered} answered, {len(self.failed)} failed{reasons}"

    def _run(self, requests: int) -> None:
        while not self._ended.is_set():
            try:
                self._ask(requests)
            except (OSError, http.client.HTTPException) as error:
                with self._lock:
                    self.failed.append(str(error) or type(error).__name__)

    def _ask(self, requests: int) -> None:
        """On one connection. One that the server closes while a further request is on its way is no failure: clients
        ask again on another (RFC 9112, 9.3.1), here with the next call."""
        connection = http.client.HTTPConnection(str(self.address), self.port)
        with inside(self.namespace, lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as client:
            client.settimeout(TIMEOUT)
            client.connect((str(self.address), self.port))
            connection.sock = client
            for number in range(requests):
                last = number == requests - 1 or self._ended.is_set()
                headers = {"Host": self.host, "Connection": "close" if last else "keep-alive"}
                try:
                    connection.request("GET", "/", headers=headers)
                    answer = connection.getresponse()
                except ConnectionError:
                    if number == 0:
                        raise
                    return
                body = answer.read()
                self._note(answer.status, body.decode(errors="replace"))
                if last or answer.will_close:
                    return

    def _note(self, status: int, body: str) -> None:
        with self._lock:
            if status == 200:
                self.answered += 1
                self.servers.update(part for part in body.split('"')[3:4])
            else:
                self.failed.append(f"status {status}")


@contextmanager
def loading(namespace: Path, address: IPv4Address, port: int, host: str = "", clients: int = 4) -> Iterator[Load]:
    """Ask from ``namespace`` while the block runs; half the clients keep their connections, half make new ones."""
    load = Load(namespace, address, port, host or str(address))
    threads = [
        threading.Thread(target=load._run, args=(ON_ONE_CONNECTION if number % 2 else 1,), daemon=True)
        for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load._ended.set()
        for thread in threads:
            with suppress(RuntimeError):
                thread.join(TIMEOUT)
