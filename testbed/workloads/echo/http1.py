"""Enough of HTTP/1.1: request heads in, response heads out. Pure."""

from __future__ import annotations

MAX_HEAD = 32 * 1024
METHODS = (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"TRACE", b"CONNECT")
REASONS = {
    100: "Continue", 200: "OK", 204: "No Content", 301: "Moved Permanently", 302: "Found", 400: "Bad Request",
    404: "Not Found", 405: "Method Not Allowed", 411: "Length Required", 431: "Request Header Fields Too Large",
    500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout",
}  # fmt: skip


class BadRequestError(Exception):
    """A request that can't be answered as asked: ``status`` says why; the connection ends after the answer."""

    def __init__(self, status: int) -> None:
        super().__init__(REASONS[status])
        self.status = status


class Request:
    """One request head. ``query`` is decoded; ``headers`` keep their spelling, repeated ones joined."""

    __slots__ = ("headers", "keep_alive", "length", "method", "path", "query", "target")

    def __init__(self, method: str, target: str, version: str, headers: dict[str, str]) -> None:
        self.method, self.target, self.headers = method, target, headers
        self.path, _, query = target.partition("?")
        self.query = parse_query(query)
        lowered = {name.lower(): value for name, value in headers.items()}
        if "transfer-encoding" in lowered:
            raise BadRequestError(411)
        length = lowered.get("content-length", "0")
        if not (length.isascii() and length.isdigit()):
            raise BadRequestError(400)
        self.length = int(length)
        connection = lowered.get("connection", "").lower()
        self.keep_alive = "close" not in connection and (version == "HTTP/1.1" or "keep-alive" in connection)

    def header(self, name: str) -> str:
        for key, value in self.headers.items():
            if key.lower() == name:
                return value
        return ""

    def number(self, name: str, default: int) -> int:
        text = self.query.get(name, "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else default


def is_request_line(line: bytes) -> bool:
    words = line.split()
    return len(words) == 3 and words[0] in METHODS and words[2].startswith(b"HTTP/1.")


def read_request(buffer: bytearray) -> Request | None:
    """Take one request head out of ``buffer``; None when it is not complete. Raises ``BadRequestError``."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        if len(buffer) > MAX_HEAD:
            raise BadRequestError(431)
        return None
    if end > MAX_HEAD:
        raise BadRequestError(431)
    lines = bytes(buffer[:end]).decode("latin-1").split("\r\n")
    del buffer[: end + 4]
    if not is_request_line(lines[0].encode("latin-1")):
        raise BadRequestError(400)
    method, target, version = lines[0].split()
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise BadRequestError(400)
        headers[name] = f"{headers[name]}, {value.strip()}" if name in headers else value.strip()
    return Request(method, target, version, headers)


def parse_query(text: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in text.split("&") if part)
    return {unquote(name): unquote(value) for name, _, value in pairs}


def unquote(text: str) -> str:
    first, *rest = text.replace("+", " ").encode("latin-1").split(b"%")
    decoded = [first]
    for part in rest:
        if len(part) < 2:
            decoded.append(b"%" + part)
            continue
        try:
            decoded.append(bytes.fromhex(part[:2].decode("ascii")) + part[2:])
        except ValueError:
            decoded.append(b"%" + part)
    return b"".join(decoded).decode("utf-8", "replace")


def render_head(status: int, kind: str, length: int | None, keep_alive: bool) -> bytes:
    """A response head; ``length`` None announces chunks."""
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    connection = "keep-alive" if keep_alive else "close"
    return (
        f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}\r\nContent-Type: {kind}\r\n{size}\r\n"
        f"Connection: {connection}\r\n\r\n"
    ).encode("latin-1")
