"""A TCP connection that stays open while the lab changes: does it survive, or is it cut?"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path

from testbed.emulation.netns import inside

_QUESTION = b"GET / HTTP/1.1\r\nHost: lab\r\nConnection: keep-alive\r\n\r\n"


class Connection:
    """An HTTP connection kept open; ``state`` says what the last question came to."""

    def __init__(self, client: socket.socket, timeout: float) -> None:
        self._client, self._timeout = client, timeout
        self.state = "open"
        self.answers = 0

    def alive(self) -> bool:
        """Ask once more on the same connection: whether an answer came within the time limit."""
        try:
            self._client.settimeout(self._timeout)
            self._client.sendall(_QUESTION)
            self._read_answer()
        except TimeoutError:
            self.state = f"silent for {self._timeout:g} s after {self.answers} answers"
            return False
        except OSError as error:
            self.state = f"{error} after {self.answers} answers"
            return False
        self.answers += 1
        self.state = f"alive, {self.answers} answers"
        return True

    def _read_answer(self) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more()
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
        )
        while len(body) < length:
            body += self._more()

    def _more(self) -> bytes:
        part = self._client.recv(65535)
        if not part:
            raise ConnectionResetError("closed by the server")
        return part


@contextmanager
def connected(namespace: Path, address: IPv4Address, port: int, timeout: float = 2.0) -> Iterator[Connection]:
    """A connection from ``namespace``. Raises ``OSError`` when it can't be made."""
    with inside(namespace, lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as client:
        client.settimeout(timeout)
        client.connect((str(address), port))
        yield Connection(client, timeout)
