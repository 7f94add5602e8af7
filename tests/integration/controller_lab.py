"""A controller process and a switch of the test's own, joined by a Unix socket."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.integration.controller_switch import OwnSwitch, Peer, own_switch, until
from tests.limits import LIMIT

STAND_IN = Path(__file__).with_name("controller_stand_in.py")


class ControllerLab:
    """``name`` of the controller is ``stand-in``; its run directory is inside the switch's."""

    def __init__(self, switch: OwnSwitch) -> None:
        self.switch = switch
        self.control = switch.run / "control"
        self.control.mkdir()
        self.socket = self.control / "stand-in.sock"
        self.link = switch.run / "stand-in.sock"  # Open vSwitch takes only paths of its own run directory
        self.link.symlink_to(self.socket)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Start the controller; seconds until it listens."""
        started = time.monotonic()
        with (self.switch.run / "controller.log").open("ab") as log:
            command = [sys.executable, str(STAND_IN), str(self.switch.run)]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        until(self.answers, LIMIT, "the controller's socket")
        return time.monotonic() - started

    def answers(self) -> bool:
        try:
            with contextlib.closing(Peer(self.socket)):
                return True
        except OSError:
            return False

    def kill(self, how: signal.Signals = signal.SIGKILL) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(LIMIT)

    def want(self, generation: int, switches: dict[int, dict[str, Any]]) -> None:
        path = self.control / "stand-in.json"
        scratch = path.with_suffix(".new")
        scratch.write_text(json.dumps({"generation": generation, "switches": switches}))
        scratch.replace(path)

    def applied(self) -> dict[str, Any]:
        try:
            document: dict[str, Any] = json.loads((self.control / "stand-in.applied.json").read_text())
        except FileNotFoundError:
            return {"generation": 0, "switches": {}, "pid": 0}
        return document if self.process and document["pid"] == self.process.pid else {"generation": 0, "switches": {}}

    def state_of(self, datapath_id: int) -> dict[str, Any]:
        state: dict[str, Any] = self.applied()["switches"].get(
            f"{datapath_id:016x}", {"errors": [], "connected": False}
        )
        return state

    def until_applied(self, generation: int, limit: float = LIMIT) -> float:
        """Seconds until every connected switch carries the generation."""
        started = time.monotonic()

        def everywhere() -> bool:
            document = self.applied()
            connected = all(each["connected"] for each in document["switches"].values())
            return document["generation"] == generation and connected

        try:
            until(everywhere, limit, f"generation {generation}")
        except TimeoutError as error:
            raise AssertionError(f"{error}: {self.applied()}") from error
        return time.monotonic() - started

    def log(self) -> str:
        return (self.switch.run / "controller.log").read_text()

    def descriptors(self) -> int:
        assert self.process is not None
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def memory(self) -> int:
        """The controller's resident memory in kB."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])


@contextlib.contextmanager
def controller_lab() -> Iterator[ControllerLab]:
    with own_switch() as switch:
        lab = ControllerLab(switch)
        try:
            yield lab
        finally:
            if lab.process is not None:
                lab.process.kill()
                lab.process.wait()


def say_features(peer: Peer, datapath_id: int) -> None:
    """Answer a controller's hello, features and port questions as a switch with this number would."""
    while True:
        kind, xid, _ = peer.receive()
        if kind == 5:
            body = struct.pack("!QIBB2xII", datapath_id, 0, 254, 0, 0, 0)
            peer.send(struct.pack("!BBHI", 5, 6, 8 + len(body), xid) + body)
        elif kind == 18:
            peer.send(struct.pack("!BBHIHH4x", 5, 19, 16, xid, 13, 0))
            return
