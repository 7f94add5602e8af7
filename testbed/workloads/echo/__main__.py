"""The echo server as a program.

``python -S -E -m testbed.workloads.echo [--name N] [--address A] [PORT/PROTO ...]``
"""

from __future__ import annotations

import socket
import sys

from testbed.workloads.echo.answers import Identity
from testbed.workloads.echo.server import Server

USAGE = "usage: echo [--name NAME] [--address ADDRESS] [PORT[/tcp|/udp] ...]   (default: 8080 for both)"


def main(words: list[str]) -> int:
    options = {"--name": socket.gethostname(), "--address": "0.0.0.0"}
    ports: list[tuple[str, int]] = []
    while words:
        word = words.pop(0)
        number, _, protocol = word.partition("/")
        if word in options and words:
            options[word] = words.pop(0)
        elif number.isdigit() and int(number) < 65536 and protocol.upper() in ("", "TCP", "UDP"):
            ports.append((protocol.upper() or "TCP", int(number)))
        else:
            sys.stderr.write(f"{word!r} is not understood\n{USAGE}\n")
            return 2
    try:
        server = Server(Identity(options["--name"]), ports or [("TCP", 8080), ("UDP", 8080)], options["--address"])
    except OSError as error:
        sys.stderr.write(f"{error.strerror}\n")
        return 1
    server.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
