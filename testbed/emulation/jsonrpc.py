"""JSON-RPC 1.0 over a Unix socket, as Open vSwitch speaks it.

The database (RFC 7047) and the control socket of each daemon use the same protocol.
"""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

from testbed.emulation.errors import EmulationError

_SUN_PATH = 107


class JsonRpcError(EmulationError):
    """The other side answered with an error, or not at all."""


def connect_unix(path: Path, limit: float) -> socket.socket:
    """Connect to a Unix socket whatever the length of its path (the address holds 107 bytes only)."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(limit)
    directory = -1
    try:
        if len(os.fsencode(path)) <= _SUN_PATH:
            connection.connect(str(path))
        else:
            directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            connection.connect(f"/proc/self/fd/{directory}/{path.name}")
    except BaseException:
        connection.close()
        raise
    finally:
        if directory >= 0:
            os.close(directory)
    return connection


def accepts(path: Path) -> bool:
    """Whether somebody accepts connections at a Unix socket: its file is there a moment earlier."""
    try:
        connect_unix(path, 1.0).close()
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    return True


class JsonRpc:
    """One connection; ``limit`` bounds every call in seconds."""

    def __init__(self, path: Path, limit: float = 15.0) -> None:
        self._path = path
        self._buffer = ""
        self._decoder = json.JSONDecoder()
        self._number = 0
        try:
            self._socket = connect_unix(path, limit)
        except OSError as error:
            raise JsonRpcError(f"nobody answers at {path}: {error.strerror or error}") from error

    def __enter__(self) -> JsonRpc:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def call(self, method: str, *parameters: Any) -> Any:
        """The result. Raises ``JsonRpcError`` on an error answer, a closed connection or after the limit."""
        self.ask(method, *parameters)
        return self.answer(method)

    def ask(self, method: str, *parameters: Any) -> None:
        """The first half of a call, for whoever asks several before waiting for the ``answer`` of each."""
        self._number += 1
        self._send({"method": method, "params": list(parameters), "id": self._number})

    def answer(self, method: str) -> Any:
        """The second half."""
        while True:
            answer = self._receive(method)
            if answer.get("method") == "echo":
                self._send({"result": answer.get("params", []), "error": None, "id": answer.get("id")})
            elif answer.get("id") == self._number and "method" not in answer:
                if answer.get("error") is not None:
                    raise JsonRpcError(f"{self._path.name} refused {method}: {answer['error']}")
                return answer.get("result")

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._socket.sendall(json.dumps(message).encode())
        except OSError as error:
            raise JsonRpcError(f"{self._path} hung up: {error.strerror or error}") from error

    def _receive(self, method: str) -> dict[str, Any]:
        while True:
            text = self._buffer.lstrip()
            if text:
                try:
                    message, end = self._decoder.raw_decode(text)
                    self._buffer = text[end:]
                    return dict(message)
                except ValueError:
                    pass  # not all of it has arrived
            try:
                data = self._socket.recv(1 << 20)
            except TimeoutError:
                raise JsonRpcError(f"{self._path} did not answer {method} in time") from None
            except OSError as error:
                raise JsonRpcError(f"{self._path} hung up during {method}: {error.strerror}") from error
            if not data:
                raise JsonRpcError(f"{self._path} hung up during {method}")
            self._buffer += data.decode()
