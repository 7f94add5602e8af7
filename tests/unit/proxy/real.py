"""HAProxy itself as the judge of a rendered configuration. It listens on Unix sockets: no network is touched."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from testbed.model.planning.haproxy import NO_RULE, render_proxy
from testbed.model.planning.proxy import Frontend, Proxy, ProxyBackend

NOBODY = "404"


@dataclass(frozen=True)
class RealProxy:
    folder: Path

    def decide(self, path: str, host: str = "", port: int = 80) -> str:
        """The name of the backend that a request comes to; ``NOBODY`` when no rule wants it."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(10)
            client.connect(str(self.folder / str(port)))
            head = f"GET {path} HTTP/1.0\r\n" + (f"Host: {host}\r\n" if host else "")
            client.sendall(f"{head}\r\n".encode())
            answer = b""
            while part := client.recv(65536):
                answer += part
        status, _, body = answer.partition(b"\r\n\r\n")
        return NOBODY if b" 404 " in status.split(b"\r\n")[0] else body.decode()


@contextmanager
def real_proxy(folder: Path, *frontends: Frontend) -> Iterator[RealProxy]:
    """The proxy of ``frontends``; each of their backends answers with its own name."""
    names = {rule.backend for frontend in frontends for rule in frontend.rules}
    names |= {frontend.default for frontend in frontends if frontend.default}
    files = render_proxy(Proxy(frontends, tuple(ProxyBackend(name, ()) for name in sorted(names))))
    for name, text in files.items():
        (folder / name).write_text(_tamed(text, folder, frontends))
    program = subprocess.Popen(["haproxy", "-db", "-f", str(folder / "haproxy.cfg")], stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 10
        while not (folder / "alive").exists() or not all((folder / str(f.port)).exists() for f in frontends):
            assert program.poll() is None, "HAProxy refuses the configuration"
            assert time.monotonic() < end
            time.sleep(0.005)
        yield RealProxy(folder)
    finally:
        program.kill()
        program.wait()


def _tamed(text: str, folder: Path, frontends: tuple[Frontend, ...]) -> str:
    """Unix sockets for ports, this user for nobody, and names for answers."""
    lines = []
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["bind"]:
            port = "alive" if words[1].startswith("127.") else words[1].lstrip(":")
            lines.append(" ".join(["    bind", f"unix@{folder / port}", *words[2:]]).replace("/srv/", f"{folder}/"))
        elif words[:1] not in (["user"], ["group"]):
            lines.append(line.replace("/srv/", f"{folder}/"))
        if words[:1] == ["backend"] and words[1] != NO_RULE:
            lines.append(f"    http-request return status 200 content-type text/plain string {words[1]}")
    return "\n".join(lines) + "\n"
