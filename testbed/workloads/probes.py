"""Readiness and liveness probes, asked from inside the pod's own network namespace, without a thread or a fork.

A socket belongs for life to the namespace it was made in, so the kubelet only steps inside to make it. ``exec``
probes are containers of their own for the runtime: see ``pods.py``.
"""

from __future__ import annotations

import os
import selectors
import socket
from collections.abc import Callable
from pathlib import Path

from testbed.emulation import syscalls
from testbed.model.kubernetes import Container, Probe
from testbed.workloads.loop import Loop

Verdict = Callable[[bool, str], None]
"""Called once: whether it passed, and if not, why."""


def plan_port(probe: Probe, container: Container) -> int:
    """The port number of a probe; a name is looked up in the container's ports. Raises ``ValueError``."""
    if probe.port.isdigit():
        return int(probe.port)
    for port in container.ports:
        if port.name == probe.port:
            return port.port
    raise ValueError(f"container {container.name} has no port named {probe.port!r}")


def render_request(probe: Probe, address: str, port: int) -> bytes:
    headers = {"Host": f"{address}:{port}", "User-Agent": "kube-probe/lab", "Accept": "*/*", "Connection": "close"}
    headers |= dict(probe.headers)
    path = probe.path if probe.path.startswith("/") else f"/{probe.path}"
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode()


def read_verdict(answer: bytes) -> tuple[bool, str]:
    """A status from 200 to 399 passes."""
    words = answer.split(b"\r\n", 1)[0].split()
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        return False, "malformed HTTP response"
    status = int(words[1])
    return 200 <= status < 400, f"HTTP probe failed with statuscode: {status}"


def socket_inside(netns: Path) -> socket.socket:
    """A non-blocking TCP socket of the namespace at ``netns``."""
    inside = os.open(netns, os.O_RDONLY | os.O_CLOEXEC)
    outside = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.setns(inside, syscalls.CLONE_NEWNET)
        try:
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        finally:
            syscalls.setns(outside, syscalls.CLONE_NEWNET)
    finally:
        os.close(inside)
        os.close(outside)
    return sock


class Check:
    """One question of an httpGet or tcpSocket probe."""

    def __init__(self, loop: Loop, sock: socket.socket, request: bytes, timeout: float, verdict: Verdict) -> None:
        self._loop, self._sock, self._request, self._verdict = loop, sock, request, verdict
        self._answer = b""
        self._timer = loop.later(timeout, lambda: self._end(False, "context deadline exceeded"))

    def ask(self, address: str, port: int) -> None:
        result = self._sock.connect_ex((address, port))
        if result not in (0, 115):  # EINPROGRESS
            self._end(False, os.strerror(result))
            return
        self._loop.watch(self._sock, selectors.EVENT_WRITE, self._on_connected)

    def cancel(self) -> None:
        self._timer.cancel()
        self._loop.forget(self._sock)
        self._sock.close()

    def _on_connected(self, _: int) -> None:
        error = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error or not self._request:
            self._end(not error, os.strerror(error))
            return
        try:
            self._sock.send(self._request)
        except OSError as failed:
            self._end(False, str(failed.strerror))
            return
        self._loop.watch(self._sock, selectors.EVENT_READ, self._on_answer)

    def _on_answer(self, _: int) -> None:
        try:
            data = self._sock.recv(4096)
        except OSError as error:
            self._end(False, str(error.strerror))
            return
        self._answer += data
        if not data or b"\r\n" in self._answer or len(self._answer) > 4096:
            self._end(*read_verdict(self._answer))

    def _end(self, passed: bool, why: str) -> None:
        self.cancel()
        self._verdict(passed, why)


def start_check(
    loop: Loop, netns: Path, address: str, probe: Probe, container: Container, verdict: Verdict
) -> Check | None:
    """Ask an httpGet or tcpSocket probe once. ``verdict`` may be called before this returns (then None)."""
    try:
        port = plan_port(probe, container)
        sock = socket_inside(netns)
    except (OSError, ValueError) as error:
        verdict(False, str(error))
        return None
    request = render_request(probe, address, port) if probe.kind == "httpGet" else b""
    check = Check(loop, sock, request, probe.timeout, verdict)
    check.ask(address, port)
    return check
