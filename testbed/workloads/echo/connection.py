"""One TCP connection of the echo server: HTTP or plain lines, told apart by the first line."""

from __future__ import annotations

import select
import socket
import time
from typing import TYPE_CHECKING

from testbed.workloads.echo import answers, http1

if TYPE_CHECKING:
    from testbed.workloads.echo.server import Server

READ, WRITE = select.EPOLLIN, select.EPOLLOUT
CHUNK = 64 * 1024
HIGH_WATER = 1 << 20
ZEROS = bytes(CHUNK)

NEW_SECONDS = 5.0
"""How long a connection is waited for whose first byte has not come: its client may have sent it already, and it may
have been lost. Go's ``http.Server`` has the same patience when it is shut down (``closeIdleConns``)."""


class Connection:
    """What was read and not understood yet, what was written and not sent yet, and what is being waited for."""

    __slots__ = ("body_left", "busy", "client", "closing", "counted", "ended", "events", "exit_code", "incoming",
                 "mode", "opened", "outgoing", "server", "server_address", "sock", "zeros")  # fmt: skip

    def __init__(self, server: Server, sock: socket.socket, client: str) -> None:
        self.server, self.sock, self.client = server, sock, client
        host, port = sock.getsockname()[:2]
        self.server_address = f"{host}:{port}"
        self.opened = time.monotonic()
        self.incoming, self.outgoing = bytearray(), bytearray()
        self.mode = ""  # "", "http" or "lines"
        self.body_left = self.zeros = self.counted = 0
        self.busy = False  # a delayed or streamed answer is under way: the next request waits
        self.closing = False  # close when everything is sent
        self.ended = False  # the client sent its last byte
        self.exit_code: int | None = None
        self.events = READ

    @property
    def idle(self) -> bool:
        """Nothing is in progress on it, half a request neither."""
        return not (self.busy or self.outgoing or self.zeros or self.body_left or self.incoming or self.expected)

    @property
    def expected(self) -> float:
        """Seconds for which its first byte is still waited for; 0 when that came, or will not be waited for."""
        return 0.0 if self.mode else max(self.opened + NEW_SECONDS - time.monotonic(), 0.0)

    def on_event(self, events: int) -> None:
        if events & ~WRITE:
            self._receive()
        if self.sock.fileno() >= 0:
            self.advance()

    def _receive(self) -> None:
        try:
            data = self.sock.recv(CHUNK)
        except BlockingIOError:
            return
        if not data:
            self.ended = True
        elif self.body_left:
            taken = min(self.body_left, len(data))
            self.body_left -= taken
            self.incoming += data[taken:]
        else:
            self.incoming += data

    def advance(self) -> None:
        """Answer what can be answered, send what can be sent, then wait for the right thing."""
        while not self.closing and not self.busy and len(self.outgoing) < HIGH_WATER and not self.zeros:
            if not self._step():
                break
        if self.ended and not self.busy and not self._unsent_requests():
            self.closing = True
        self._send()

    def _unsent_requests(self) -> bool:
        """Stopped by the high water mark with more to answer: goes on when the client has taken some."""
        return bool(self.incoming) and (len(self.outgoing) >= HIGH_WATER or self.zeros > 0)

    def _step(self) -> bool:
        """Answer one request or line; False when more input is needed."""
        if not self.mode and not self._choose_mode():
            return False
        return self._answer_request() if self.mode == "http" else self._answer_line()

    def _choose_mode(self) -> bool:
        newline = self.incoming.find(b"\n")
        if newline < 0 and len(self.incoming) < http1.MAX_HEAD and not (self.ended and self.incoming):
            return False
        line = bytes(self.incoming[: newline + 1])
        self.mode = "http" if http1.is_request_line(line) else "lines"
        return True

    def _answer_line(self) -> bool:
        newline = self.incoming.find(b"\n") + 1
        if not newline and (self.ended or len(self.incoming) >= http1.MAX_HEAD):
            newline = len(self.incoming)
        if not newline:
            return False
        line = bytes(self.incoming[:newline])
        del self.incoming[:newline]
        self.counted += 1
        if self.counted == 1:
            line = f"{self.server.greeting(self.client)}\n".encode()
        self.outgoing += line
        return True

    def _answer_request(self) -> bool:
        if self.body_left:
            taken = min(self.body_left, len(self.incoming))
            del self.incoming[:taken]
            self.body_left -= taken
            if self.body_left:
                return False
        try:
            request = http1.read_request(self.incoming)
        except http1.BadRequestError as error:
            self._refuse(error)
            return True
        if request is None:
            return False
        self._respond(request)
        return True

    def _refuse(self, error: http1.BadRequestError) -> None:
        text = f"{error}\n".encode()
        self.outgoing += http1.render_head(error.status, answers.TEXT, len(text), False) + text
        self.closing = True

    def _respond(self, request: http1.Request) -> None:
        self.counted += 1
        self.body_left = request.length
        if request.length and request.header("expect").lower() == "100-continue":
            self.outgoing += b"HTTP/1.1 100 Continue\r\n\r\n"
        answer = self.server.answer(request, self)
        keep_alive = request.keep_alive and not self.server.state.terminating
        if answer.lines:
            self._start_stream(answer, request.method == "HEAD", keep_alive)
        elif answer.delay:
            self.busy = True
            self.server.later(answer.delay, lambda: self._finish(answer, request.method, keep_alive))
        else:
            self._write(answer, request.method, keep_alive)

    def _finish(self, answer: answers.Answer, method: str, keep_alive: bool) -> None:
        if self.sock.fileno() >= 0:
            self.busy = False
            self._write(answer, method, keep_alive)
            self.advance()

    def _write(self, answer: answers.Answer, method: str, keep_alive: bool) -> None:
        length = len(answer.body) + answer.zeros
        self.outgoing += http1.render_head(answer.status, answer.kind, length, keep_alive)
        if method != "HEAD":
            self.outgoing += answer.body
            self.zeros = answer.zeros
        self.exit_code = answer.exit_code
        self.closing = not keep_alive or answer.exit_code is not None

    def _start_stream(self, answer: answers.Answer, head_only: bool, keep_alive: bool) -> None:
        self.outgoing += http1.render_head(200, answer.kind, None, keep_alive)
        self.closing = head_only and not keep_alive
        if not head_only:
            self.busy = True
            self._stream(answer, 1, keep_alive)

    def _stream(self, answer: answers.Answer, number: int, keep_alive: bool) -> None:
        if self.sock.fileno() < 0:
            return
        line = f"{number} {self.server.identity.name}\n".encode()
        self.outgoing += b"%x\r\n%b\r\n" % (len(line), line)
        if number >= answer.lines or self.server.state.terminating:
            self.outgoing += b"0\r\n\r\n"
            self.busy, self.closing = False, not keep_alive or self.server.state.terminating
        else:
            self.server.later(answer.delay, lambda: self._stream(answer, number + 1, keep_alive))
        if number > 1:
            self.advance()

    def _send(self) -> None:
        try:
            while self.outgoing:
                del self.outgoing[: self.sock.send(self.outgoing)]
            while self.zeros:
                self.zeros -= self.sock.send(ZEROS[: self.zeros] if self.zeros < CHUNK else ZEROS)
        except BlockingIOError:
            self._listen_for(WRITE)
            return
        if self.closing:
            self._close()
        elif self.ended:
            self._listen_for(0)  # a closed reading side is always readable: don't spin while an answer is due
        else:
            self._listen_for(0 if len(self.incoming) >= HIGH_WATER else READ)

    def _listen_for(self, events: int) -> None:
        if events != self.events:
            self.events = events
            self.server.poll.modify(self.sock, events)

    def _close(self) -> None:
        self.server.forget(self)
        if self.exit_code is not None:
            raise SystemExit(self.exit_code)
