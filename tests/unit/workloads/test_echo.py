"""The echo server over real sockets of the loopback, and its protocol alone."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.emulation.waiting import until
from testbed.workloads.echo.http1 import BadRequestError, is_request_line, parse_query, read_request
from tests.limits import LIMIT

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def server() -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--name", "web-0", "--address", "127.0.0.1", f"{port}/tcp", f"{port}/udp"]
    command = [sys.executable, "-S", "-E", "-m", "testbed.workloads.echo", *options]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "DRAIN_SECONDS": "2"})
    try:
        until(lambda: listens(port), LIMIT, "the server to listen")
        yield port, process
    finally:
        process.kill()
        process.wait()


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


Running = tuple[int, "subprocess.Popen[bytes]"]


def connect(server: Running) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server[0]), 5)


def test_http_keep_alive_counts_requests(server: Running) -> None:
    client = http.client.HTTPConnection("127.0.0.1", server[0], timeout=5)
    answers = []
    for method, path in (("GET", "/a"), ("POST", "/b?c=d")):
        client.request(method, path, body=b"x" * 100_000 if method == "POST" else None, headers={"X-Test": "yes"})
        answers.append(json.loads(client.getresponse().read()))
    assert [(a["method"], a["path"], a["connection_requests"]) for a in answers] == [
        ("GET", "/a", 1),
        ("POST", "/b?c=d", 2),
    ]
    assert answers[0]["client"] == answers[1]["client"] == f"127.0.0.1:{client.sock.getsockname()[1]}"
    assert answers[0]["headers"]["X-Test"] == "yes"


def test_health_is_what_it_was_told_to_be(server: Running) -> None:
    client = http.client.HTTPConnection("127.0.0.1", server[0], timeout=5)

    def ask(method: str, path: str) -> int:
        client.request(method, path)
        response = client.getresponse()
        response.read()
        return response.status

    assert (ask("GET", "/healthz"), ask("GET", "/readyz"), ask("GET", "/fail")) == (200, 200, 405)
    ask("POST", "/fail")
    assert (ask("GET", "/healthz"), ask("GET", "/readyz")) == (200, 503)
    ask("POST", "/fail?what=live")
    assert ask("GET", "/healthz") == 503
    ask("POST", "/recover")
    assert (ask("GET", "/healthz"), ask("GET", "/readyz")) == (200, 200)


def test_bytes_delay_status_and_head(server: Running) -> None:
    client = http.client.HTTPConnection("127.0.0.1", server[0], timeout=5)
    client.request("GET", "/bytes?n=1000001")
    assert len(client.getresponse().read()) == 1_000_001
    client.request("HEAD", "/bytes?n=10")
    head = client.getresponse()
    assert (head.getheader("Content-Length"), head.read()) == ("10", b"")
    client.request("GET", "/status?code=418")
    response = client.getresponse()
    assert (response.status, response.read()) == (418, b"418\n")
    start = time.monotonic()
    client.request("GET", "/delay?ms=150")
    client.getresponse().read()
    assert time.monotonic() - start >= 0.15
    client.request("GET", "/stream?ms=1&n=3")
    assert client.getresponse().read() == b"1 web-0\n2 web-0\n3 web-0\n"


def test_pipelined_requests_are_answered_in_order(server: Running) -> None:
    with connect(server) as sock:
        sock.sendall(b"GET /delay?ms=50 HTTP/1.1\r\n\r\nGET /echo?msg=a%20b HTTP/1.1\r\nConnection: close\r\n\r\n")
        data = b"".join(iter(lambda: sock.recv(65536), b""))
    assert data.index(b"web-0\n") < data.index(b"a b")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"411"),
        (b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n no colon\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000 + b"\r\n\r\n", b"431"),
    ],
)
def test_bad_requests_are_refused_and_the_connection_ends(server: Running, request_: bytes, status: bytes) -> None:
    with connect(server) as sock:
        sock.sendall(request_)
        assert sock.recv(65536).split()[1] == status


def test_plain_lines_on_the_same_port(server: Running) -> None:
    with connect(server) as sock:
        lines = sock.makefile("rwb", 0)
        lines.write(b"hello\n")
        assert lines.readline() == f"web-0 127.0.0.1:{sock.getsockname()[1]} 1\n".encode()
        for number in range(20):  # a long-lived connection: one line after the other
            lines.write(b"%d\n" % number)
            assert lines.readline() == b"%d\n" % number


def test_a_last_line_without_end_is_answered(server: Running) -> None:
    with connect(server) as sock:
        sock.sendall(b"no newline")
        sock.shutdown(socket.SHUT_WR)
        assert b"".join(iter(lambda: sock.recv(100), b"")).startswith(b"web-0 127.0.0.1:")


def test_udp(server: Running) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.connect(("127.0.0.1", server[0]))
        for number in (1, 2):
            sock.send(b"ping")
            assert sock.recv(1000) == f"web-0 127.0.0.1:{sock.getsockname()[1]} {number}\nping".encode()


def test_term_finishes_what_is_in_progress_and_takes_new_connections_meanwhile(server: Running) -> None:
    idle, slow = connect(server), connect(server)
    idle.sendall(b"hello\n")
    assert idle.recv(1000)
    slow.sendall(b"GET /delay?ms=2500 HTTP/1.1\r\n\r\n")  # longer than new connections are taken
    os.kill(server[1].pid, signal.SIGTERM)
    late = http.client.HTTPConnection("127.0.0.1", server[0], timeout=5)
    late.request("GET", "/hostname")
    assert late.getresponse().read() == b"web-0"
    assert idle.recv(10) == b""
    slow.settimeout(5)
    assert slow.recv(4096).endswith(b"web-0\n")
    assert server[1].wait(5) == 0


def test_term_waits_for_the_first_byte_of_who_is_connected(server: Running) -> None:
    """A client's first segment may be lost once or twice after its connection was made."""
    begun, late, half, silent = (connect(server) for _ in range(4))
    begun.sendall(b"GET /hostname HTTP/1.1\r\n\r\n")
    assert begun.recv(4096).endswith(b"web-0")
    half.sendall(b"GET /host")
    os.kill(server[1].pid, signal.SIGTERM)
    until(lambda: not listens(server[0]), LIMIT, "the server to take no more connections")
    assert begun.recv(10) == b""
    late.sendall(b"GET /hostname HTTP/1.1\r\n\r\n")
    half.sendall(b"name HTTP/1.1\r\n\r\n")
    assert late.recv(4096).endswith(b"web-0")
    assert half.recv(4096).endswith(b"web-0")
    silent.settimeout(10)
    assert silent.recv(10) == b""
    assert server[1].wait(5) == 0


def test_term_before_it_serves_is_no_sudden_end() -> None:
    """Who connects to a server that listens already may tell it to end before it has come to its loop."""
    script = (
        "import os, signal\nfrom testbed.workloads.echo.server import Identity, Server\n"
        "server = Server(Identity('web-0'), ())\nos.kill(os.getpid(), signal.SIGTERM)\nserver.serve()"
    )
    environment = {**os.environ, "DRAIN_SECONDS": "0"}
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, timeout=20).returncode == 0


def test_exit_with_a_code(server: Running) -> None:
    with connect(server) as sock:
        sock.sendall(b"POST /exit?code=9 HTTP/1.1\r\n\r\n")
        assert sock.recv(4096).endswith(b"bye\n")
    assert server[1].wait(5) == 9


def test_small_and_quick(server: Running) -> None:
    status = Path(f"/proc/{server[1].pid}/status").read_text()
    resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    assert resident < 14_000  # kB; 11,400 when this was written


NOT_HTTP = [b"hello\n", b"GET\r\n", b"GET / FTP/1.0\r\n", b"get / HTTP/1.1\r\n", b"SSH-2.0-x\r\n"]


@pytest.mark.parametrize("line", NOT_HTTP)
def test_what_is_no_http(line: bytes) -> None:
    assert not is_request_line(line)


def test_a_head_is_taken_only_when_it_is_complete() -> None:
    buffer = bytearray(b"GET /a?b=%C3%A9&c HTTP/1.0\r\nA: 1\r\na: 2\r\n")
    assert read_request(buffer) is None
    buffer += b"\r\nrest"
    request = read_request(buffer)
    assert request is not None
    assert (request.path, request.query, request.keep_alive) == ("/a", {"b": "é", "c": ""}, False)
    assert buffer == b"rest"


@given(st.binary(max_size=200))
def test_never_more_than_a_bad_request(data: bytes) -> None:
    with contextlib.suppress(BadRequestError):
        read_request(bytearray(b"GET / HTTP/1.1\r\n" + data + b"\r\n\r\n"))


def test_query_text_that_is_no_encoding_stays() -> None:
    assert parse_query("a=%zz%4&b=100%&=x") == {"a": "%zz%4", "b": "100%", "": "x"}
