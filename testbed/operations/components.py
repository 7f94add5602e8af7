"""Whether the lab's own components, DNS servers and layer-7 proxies, answer by the configuration that is wanted."""

from __future__ import annotations

import json
import socket
import struct
from contextlib import suppress
from ipaddress import IPv4Address
from pathlib import Path

from testbed.emulation.netns import inside
from testbed.emulation.rundir import RunDir
from testbed.emulation.waiting import WaitedInVainError, until
from testbed.model.components import DNS_IMAGE, PROXY_ALIVE_PORT, PROXY_IMAGE, VERSION
from testbed.model.workloads import Workload, WorkloadsState

LIMIT = 5.0
"""Seconds for a component to read its configuration again. One that does not run keeps nobody waiting longer."""

_ASK_SECONDS = 0.5
_SOA_OF_ROOT = struct.pack(">6H", 1, 0, 1, 0, 0, 0) + b"\0" + struct.pack(">2H", 6, 1)


def wait_reloaded(rundir: RunDir, before: str, wanted: WorkloadsState) -> None:
    """Return when every component that runs already answers by its new configuration, or after ``LIMIT`` seconds.

    ``before`` is the text of the kubelet's document that was in force.
    """
    old = {item["uid"]: item["files"] for item in json.loads(before)["workloads"] if "files" in item}
    waiting = [item for item in wanted.workloads if item.files and _differs(item, old.get(item.uid))]

    def reloaded() -> bool:
        waiting[:] = [item for item in waiting if not answers_by(rundir, item, dict(item.files).get(VERSION, ""))]
        return not waiting

    with suppress(WaitedInVainError):
        until(reloaded, LIMIT, "components to read their configuration")


def answers_by(rundir: RunDir, workload: Workload, version: str) -> bool:
    """Whether the running component answers by the configuration of ``version``."""
    namespace = rundir.namespace(workload.host)
    images = {container.image for container in workload.containers}
    with suppress(OSError, struct.error):
        if DNS_IMAGE in images:
            return _ask_dns(namespace, workload.address) == version
        if PROXY_IMAGE in images:
            return _ask_proxy(namespace, version)
    return False


def _differs(workload: Workload, old: list[list[str]] | None) -> bool:
    """Whether it ran before, with other files. One that is new has nothing to read again."""
    return old is not None and [tuple(pair) for pair in old] != list(workload.files)


def _ask_dns(namespace: Path, address: IPv4Address) -> str:
    """The serial number in the zone's SOA record, which is all of a minimal answer."""
    with inside(namespace, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as client:
        client.settimeout(_ASK_SECONDS)
        client.connect((str(address), 53))
        client.send(_SOA_OF_ROOT)
        answer = client.recv(512)
    return str(struct.unpack(">5I", answer[-20:])[0])


def _ask_proxy(namespace: Path, version: str) -> bool:
    with inside(namespace, lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as client:
        client.settimeout(_ASK_SECONDS)
        client.connect(("127.0.0.1", PROXY_ALIVE_PORT))
        client.send(f"GET /{version} HTTP/1.0\r\n\r\n".encode())
        return client.recv(4096).split(b" ")[1:2] == [b"200"]
