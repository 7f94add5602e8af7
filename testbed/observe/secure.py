"""One HTTPS request with ``curl``: whose certificate was shown, and who answered."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.emulation.processes import run_in
from testbed.emulation.rundir import RunDir

LIMIT = 10


@dataclass(frozen=True, slots=True)
class SecureAnswer:
    """``certificate`` is its subject's common name, ``server`` the echo server's name; ``status`` 0: no answer."""

    certificate: str
    status: int
    server: str = ""


def ask(rundir: RunDir, namespace: str, address: IPv4Address, name: str, host: str, port: int = 443) -> SecureAnswer:
    """Ask ``address`` from ``namespace``: ``name`` is what TLS says (SNI), ``host`` what HTTP says."""
    command = ("curl", "-sk", "-v", "-m", str(LIMIT), "--connect-to", f"::{address}:{port}", "-H", f"Host: {host}",
               "-w", "\n%{http_code}", f"https://{name}/")  # fmt: skip
    seen = run_in(rundir, namespace, command, LIMIT * 2)
    subject = re.search(r"subject: .*?CN ?= ?([^;,\n]+)", seen.stderr)
    body, _, status = seen.stdout.rpartition("\n")
    return SecureAnswer(subject[1].strip() if subject else "", int(status or 0), _name(body))


def _name(body: str) -> str:
    try:
        return str(json.loads(body)["name"])
    except (ValueError, KeyError, TypeError):
        return ""
