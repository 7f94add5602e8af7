"""What the echo server answers. Decides; sends nothing."""

from __future__ import annotations

import json

from testbed.workloads.echo.http1 import Request

TEXT, JSON, BYTES = "text/plain; charset=utf-8", "application/json", "application/octet-stream"
MAX_BYTES = 1 << 34


class Identity:
    """Who answers: fixed for the life of the process."""

    __slots__ = ("name", "namespace", "node")

    def __init__(self, name: str, namespace: str = "", node: str = "") -> None:
        self.name, self.namespace, self.node = name, namespace, node


class State:
    """What changes: the counter and what the health paths say."""

    __slots__ = ("live", "ready", "requests", "terminating")

    def __init__(self) -> None:
        self.requests = 0
        self.live = self.ready = True
        self.terminating = False


class Answer:
    """``body`` after ``delay`` seconds, then ``zeros`` zero bytes; or ``lines`` chunked lines, one each ``delay``."""

    __slots__ = ("body", "delay", "exit_code", "kind", "lines", "status", "zeros")

    def __init__(self, status: int = 200, body: bytes = b"", kind: str = TEXT) -> None:
        self.status, self.body, self.kind = status, body, kind
        self.delay = 0.0
        self.zeros = 0
        self.lines = 0
        self.exit_code: int | None = None


def plan_answer(request: Request, client: str, server: str, counted: int, identity: Identity, state: State) -> Answer:
    """The answer to ``request``; ``POST /fail`` and ``/recover`` change ``state``."""
    route = _ROUTES.get(request.path)
    answer = route(request, client, identity, state) if route else None
    return answer or _who(request, client, server, counted, identity, state)


def _who(request: Request, client: str, server: str, counted: int, identity: Identity, state: State) -> Answer:
    facts = {
        "name": identity.name, "namespace": identity.namespace, "node": identity.node,
        "client": client, "server": server, "method": request.method, "path": request.target,
        "headers": request.headers, "requests": state.requests, "connection_requests": counted,
    }  # fmt: skip
    if "text/plain" in request.header("accept"):
        return Answer(body="".join(f"{name}: {value}\n" for name, value in facts.items()).encode())
    return Answer(body=json.dumps(facts).encode() + b"\n", kind=JSON)


def _health(request: Request, client: str, identity: Identity, state: State) -> Answer:
    return Answer(200, b"ok\n") if state.live else Answer(503, b"failing\n")


def _ready(request: Request, client: str, identity: Identity, state: State) -> Answer:
    if state.terminating:
        return Answer(503, b"terminating\n")
    return Answer(200, b"ok\n") if state.ready and state.live else Answer(503, b"failing\n")


def _fail(request: Request, client: str, identity: Identity, state: State) -> Answer:
    if request.method != "POST":
        return Answer(405, b"POST\n")
    if request.query.get("what") == "live":
        state.live = False
    else:
        state.ready = False
    return Answer(200, b"failing\n")


def _recover(request: Request, client: str, identity: Identity, state: State) -> Answer:
    if request.method != "POST":
        return Answer(405, b"POST\n")
    state.live = state.ready = True
    return Answer(200, b"ok\n")


def _hostname(request: Request, client: str, identity: Identity, state: State) -> Answer:
    return Answer(body=identity.name.encode())


def _clientip(request: Request, client: str, identity: Identity, state: State) -> Answer:
    return Answer(body=client.encode())


def _echo(request: Request, client: str, identity: Identity, state: State) -> Answer:
    return Answer(body=request.query.get("msg", "").encode())


def _status(request: Request, client: str, identity: Identity, state: State) -> Answer:
    code = request.number("code", 200)
    return Answer(code, f"{code}\n".encode()) if 200 <= code <= 599 else Answer(400, b"code: 200 to 599\n")


def _delay(request: Request, client: str, identity: Identity, state: State) -> Answer | None:
    answer = Answer(body=identity.name.encode() + b"\n")
    answer.delay = request.number("ms", 0) / 1000
    return answer


def _bytes(request: Request, client: str, identity: Identity, state: State) -> Answer:
    answer = Answer(kind=BYTES)
    answer.zeros = min(request.number("n", 0), MAX_BYTES)
    return answer


def _stream(request: Request, client: str, identity: Identity, state: State) -> Answer:
    answer = Answer()
    answer.delay = max(request.number("ms", 1000), 1) / 1000
    answer.lines = request.number("n", 1 << 62)
    return answer


def _exit(request: Request, client: str, identity: Identity, state: State) -> Answer:
    if request.method != "POST":
        return Answer(405, b"POST\n")
    answer = Answer(body=b"bye\n")
    answer.exit_code = request.number("code", 0) & 0xFF
    return answer


_ROUTES = {
    "/healthz": _health, "/livez": _health, "/readyz": _ready, "/fail": _fail, "/recover": _recover,
    "/hostname": _hostname, "/clientip": _clientip, "/echo": _echo, "/status": _status, "/delay": _delay,
    "/bytes": _bytes, "/stream": _stream, "/exit": _exit,
}  # fmt: skip
