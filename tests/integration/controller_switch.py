"""An Open vSwitch of the test's own (its own network namespace, database and run directory) and ways to talk to it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from testbed.emulation.jsonrpc import accepts
from tests.limits import LIMIT

SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")


def until(condition: Callable[[], object], limit: float, what: str) -> None:
    """Wait for ``condition`` for at most ``limit`` seconds. Raises TimeoutError that says what was waited for."""
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {limit} s")
        time.sleep(0.01)


class OwnSwitch:
    """ovsdb-server and ovs-vswitchd with userspace bridges, away from the host's own."""

    def __init__(self) -> None:
        self.run = Path(tempfile.mkdtemp(prefix="cnlab-test-ovs-"))
        self.database = f"unix:{self.run}/db.sock"
        self._environment = {
            **os.environ,
            "OVS_RUNDIR": str(self.run),
            "OVS_LOGDIR": str(self.run),
            "OVS_DBDIR": str(self.run),
        }
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        self._run("ovsdb-tool", "create", str(self.run / "conf.db"), str(SCHEMA))
        server = self._spawn(
            "unshare", "--net", "ovsdb-server", f"--remote=punix:{self.run}/db.sock", str(self.run / "conf.db")
        )
        until(lambda: accepts(self.run / "db.sock"), LIMIT, "the database's socket")
        self.namespace = server.pid
        self.start_vswitchd()
        self.vsctl("--no-wait", "init")

    def start_vswitchd(self) -> None:
        self.vswitchd = self._spawn("nsenter", f"--net=/proc/{self.namespace}/ns/net", "ovs-vswitchd", self.database)

    def add_bridge(self, name: str, datapath_id: int, controller: str | None = None) -> None:
        """A bridge in secure mode; ``controller`` is a Unix socket's path inside the run directory."""
        command = ["add-br", name, "--", "set", "bridge", name, "datapath_type=netdev", "fail_mode=secure"]
        command += [f"other-config:datapath-id={datapath_id:016x}", "protocols=[OpenFlow10,OpenFlow13,OpenFlow14]"]
        self.vsctl(*command, *(("--", *_set_controller(name, controller)) if controller else ()))

    def set_controller(self, name: str, controller: str) -> None:
        """Close the bridge's connection and begin another, to another path. Flows stay."""
        self.vsctl(*_set_controller(name, controller))

    def vsctl(self, *arguments: str) -> str:
        return self._run("ovs-vsctl", f"--db={self.database}", "--timeout=10", *arguments)

    def ofctl(self, command: str, bridge: str, *arguments: str) -> str:
        socket_path = f"unix:{self.run}/{bridge}.mgmt"
        return self._run("ovs-ofctl", "-O", "OpenFlow14", command, socket_path, *arguments)

    def appctl(self, *arguments: str) -> str:
        (target,) = self.run.glob("ovs-vswitchd.*.ctl")
        return self._run("ovs-appctl", f"--target={target}", *arguments)

    def flows(self, bridge: str) -> list[str]:
        """Flows without their counters, sorted."""
        text = self.ofctl("dump-flows", bridge, "--no-stats")
        return sorted(re.sub(r"(idle|hard)_age=\d+, ?", "", line.strip()) for line in text.splitlines() if "=" in line)

    def stop(self) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait()
        shutil.rmtree(self.run, ignore_errors=True)

    def _spawn(self, *command: str) -> subprocess.Popen[bytes]:
        log = (self.run / "processes.log").open("ab")
        process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)
        self._processes.append(process)
        return process

    def _run(self, *command: str) -> str:
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=LIMIT)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout


def _set_controller(bridge: str, path: str) -> tuple[str, ...]:
    settings = ("--", "set", "controller", bridge, "max_backoff=1000", "inactivity_probe=5000")
    return ("set-controller", bridge, f"unix:{path}", *settings)


@contextlib.contextmanager
def own_switch() -> Iterator[OwnSwitch]:
    switch = OwnSwitch()
    try:
        switch.start()
        yield switch
    finally:
        switch.stop()


class Peer:
    """A bare OpenFlow 1.4 client of a bridge's management socket: bytes out, messages in."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(LIMIT)
        until(lambda: accepts(path), LIMIT, str(path))
        self.socket.connect(str(path))
        self._buffer = b""
        self.send(struct.pack("!BBHI", 5, 0, 8, 1))

    def send(self, message: bytes) -> None:
        self.socket.sendall(message)

    def receive(self) -> tuple[int, int, bytes]:
        """(type, xid, body) of the next message; echo requests are answered."""
        while True:
            _, kind, length, xid = struct.unpack("!BBHI", self._take(8))
            body = self._take(length - 8)
            if kind != 2:
                return kind, xid, body
            self.send(struct.pack("!BBHI", 5, 3, length, xid) + body)

    def close(self) -> None:
        self.socket.close()

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            got = self.socket.recv(1 << 16)
            if not got:
                raise ConnectionError("the switch closed the connection")
            self._buffer += got
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken
