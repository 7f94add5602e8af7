"""Messages between kubelet and runtime: JSON objects and file descriptors over a Unix seqpacket socket."""

from __future__ import annotations

import collections
import json
import os
import socket
from pathlib import Path
from typing import Any

Message = dict[str, Any]
SOCKET_NAME = "workloads.sock"
MAX_MESSAGE = 128 * 1024
_MAX_FDS = 4


class ClosedError(Exception):
    """The other side is gone."""


class Channel:
    """One end. Never blocks: what can't be sent at once waits in a queue for ``flush``."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self._queue: collections.deque[tuple[bytes, tuple[int, ...]]] = collections.deque()

    def fileno(self) -> int:
        return self.sock.fileno()

    @property
    def unsent(self) -> bool:
        return bool(self._queue)

    def send(self, message: Message, fds: tuple[int, ...] = ()) -> None:
        """Send, or queue with duplicates of ``fds``. Raises ``ClosedError``, ``ValueError`` for one too long."""
        data = json.dumps(message, separators=(",", ":")).encode()
        if len(data) > MAX_MESSAGE:
            raise ValueError(f"{len(data)} bytes of command and environment; {MAX_MESSAGE} is the most")
        self._queue.append((data, tuple(os.dup(fd) for fd in fds)))
        self.flush()

    def flush(self) -> None:
        while self._queue:
            data, fds = self._queue[0]
            try:
                socket.send_fds(self.sock, [data], list(fds))
            except BlockingIOError:
                return
            except OSError as error:
                raise ClosedError(str(error)) from None
            self._queue.popleft()
            for fd in fds:
                os.close(fd)

    def receive(self) -> tuple[Message, list[int]] | None:
        """The next message and the descriptors that came with it; None when there is none yet."""
        try:
            data, fds, _, _ = socket.recv_fds(self.sock, MAX_MESSAGE, _MAX_FDS)
        except BlockingIOError:
            return None
        except OSError as error:
            raise ClosedError(str(error)) from None
        if not data:
            raise ClosedError("closed")
        return json.loads(data), fds

    def close(self) -> None:
        for _, fds in self._queue:
            for fd in fds:
                os.close(fd)
        self._queue.clear()
        self.sock.close()


def listen(rundir: Path) -> socket.socket:
    """The listening socket in the run directory; only its owner may connect. Replaces one that nobody answers."""
    with _short(rundir) as address:
        if _answers(address):
            raise OSError(f"a runtime answers at {rundir / SOCKET_NAME} already")
        (rundir / SOCKET_NAME).unlink(missing_ok=True)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.bind(address)
        os.chmod(rundir / SOCKET_NAME, 0o600)
    sock.listen(8)
    sock.setblocking(False)
    return sock


def connect(rundir: Path) -> Channel | None:
    """A channel to the runtime, or None when none answers."""
    with _short(rundir) as address:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            sock.connect(address)
        except OSError:
            sock.close()
            return None
    return Channel(sock)


def _answers(address: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        try:
            sock.connect(address)
        except OSError:
            return False
    return True


class _short:  # noqa: N801  (used as a function)
    """The socket's address by way of an open directory: a Unix address holds 107 bytes, a path may be longer."""

    def __init__(self, rundir: Path) -> None:
        self._rundir = rundir

    def __enter__(self) -> str:
        self._fd = os.open(self._rundir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._fd}/{SOCKET_NAME}"

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
