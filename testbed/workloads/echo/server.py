"""The echo server's event loop: listening sockets, connections, datagrams, timers, the end."""

from __future__ import annotations

import heapq
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterable

from testbed.workloads.echo.answers import Answer, Identity, State, plan_answer
from testbed.workloads.echo.connection import READ, Connection
from testbed.workloads.echo.http1 import Request

IP_PKTINFO = 8  # linux/in.h; Python 3.11 has no name for it
ACCEPTS_PER_EVENT = 64
DRAIN_SECONDS = 0.5


class Server:
    """Listens from its making on, and ends in order when it is told to. Raises ``OSError`` when a port can't be had.

    To be made in the process's first thread, which gets the signals.
    """

    def __init__(self, identity: Identity, ports: Iterable[tuple[str, int]], address: str = "0.0.0.0") -> None:
        self.identity, self.state = identity, State()
        self.poll = select.epoll()
        self._listeners: dict[int, socket.socket] = {}
        self._datagrams: dict[int, socket.socket] = {}
        self._connections: dict[int, Connection] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._timer_number = 0
        self._draining = False
        self._waker = self._obey_signals()  # before anybody can connect, and know that it may be told to end
        for protocol, port in sorted(set(ports)):
            if protocol == "TCP":
                self._listen(address, port)
            elif protocol == "UDP":
                self._bind(address, port)

    def _obey_signals(self) -> socket.socket:
        """SIGTERM and SIGINT end it; what this returns is readable then."""
        waker, self._wakeup = socket.socketpair()
        for end in (waker, self._wakeup):
            end.setblocking(False)
        signal.set_wakeup_fd(self._wakeup.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._terminate)
        self.poll.register(waker, READ)
        return waker

    def _listen(self, address: str, port: int) -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._open(sock, address, port, self._listeners)

    def _bind(self, address: str, port: int) -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        self._open(sock, address, port, self._datagrams)

    def _open(self, sock: socket.socket, address: str, port: int, table: dict[int, socket.socket]) -> None:
        sock.setblocking(False)
        try:
            sock.bind((address, port))
            if table is self._listeners:
                sock.listen(1024)
        except OSError as error:
            protocol = "UDP" if sock.type == socket.SOCK_DGRAM else "TCP"
            raise OSError(error.errno, f"port {port}/{protocol}: {error.strerror}") from None
        table[sock.fileno()] = sock
        self.poll.register(sock, READ)

    def answer(self, request: Request, connection: Connection) -> Answer:
        self.state.requests += 1
        return plan_answer(
            request, connection.client, connection.server_address, connection.counted, self.identity, self.state
        )

    def greeting(self, client: str) -> str:
        self.state.requests += 1
        return f"{self.identity.name} {client} {self.state.requests}"

    def later(self, delay: float, act: Callable[[], None]) -> None:
        self._timer_number += 1
        heapq.heappush(self._timers, (time.monotonic() + delay, self._timer_number, act))

    def forget(self, connection: Connection) -> None:
        self._connections.pop(connection.sock.fileno(), None)
        connection.sock.close()

    def serve(self) -> None:
        """Serve until SIGTERM or SIGINT and the end of what was in progress. Ends by returning or ``SystemExit``."""
        while not self._done():
            for fd, events in self.poll.poll(self._timeout()):
                if fd == self._waker.fileno():
                    self._waker.recv(64)
                else:
                    self._on_event(fd, events)
            self._run_timers()

    def _on_event(self, fd: int, events: int) -> None:
        connection = self._connections.get(fd)
        if connection:
            try:
                connection.on_event(events)
            except OSError:  # reset by the client, or gone
                self.forget(connection)
        elif fd in self._listeners:
            self._accept(self._listeners[fd])
        elif fd in self._datagrams:
            self._echo_datagrams(self._datagrams[fd])

    def _accept(self, listener: socket.socket) -> bool:
        """Take whom the kernel has connected, a limited number; False when there was nobody more."""
        for _ in range(ACCEPTS_PER_EVENT):
            try:
                sock, (host, port) = listener.accept()
            except OSError:  # nobody left, or gone before we came, or no descriptor left: try at the next event
                return False
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections[sock.fileno()] = Connection(self, sock, f"{host}:{port}")
            self.poll.register(sock, READ)
        return True

    def _echo_datagrams(self, sock: socket.socket) -> None:
        for _ in range(ACCEPTS_PER_EVENT):
            try:
                data, control, _, (host, port) = sock.recvmsg(65535, 64)
                text = self.greeting(f"{host}:{port}").encode() + b"\n"
                # The packet information names the address that was asked: the answer must come from it.
                reply = [(level, kind, b"\0\0\0\0" + value[4:8] + b"\0\0\0\0") for level, kind, value in control]
                sock.sendmsg([(text + data)[:65507]], reply, 0, (host, port))
            except OSError:
                return

    def _timeout(self) -> float:
        return max(self._timers[0][0] - time.monotonic(), 0) if self._timers else -1

    def _run_timers(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            try:
                heapq.heappop(self._timers)[2]()
            except OSError:  # its client is gone; the connection's own event forgets it
                continue

    def _terminate(self, *_: object) -> None:
        if not self.state.terminating:
            self.state.terminating = True
            try:
                seconds = float(os.environ.get("DRAIN_SECONDS", DRAIN_SECONDS))
            except ValueError:
                seconds = DRAIN_SECONDS
            self.later(seconds, self._drain)

    def _drain(self) -> None:
        """Take no more connections, but all that the kernel has made: with the listening socket it would reset them."""
        self._draining = True
        for listener in self._listeners.values():
            while self._accept(listener):
                pass
        for connection in self._connections.values():
            if connection.expected:
                self.later(connection.expected, lambda: None)  # look again whether it is idle
        for sock in (*self._listeners.values(), *self._datagrams.values()):
            sock.close()
        self._listeners.clear()
        self._datagrams.clear()

    def _done(self) -> bool:
        if not self._draining:
            return False
        for connection in tuple(self._connections.values()):
            if connection.idle:
                self.forget(connection)
        return not self._connections
