"""The kubelet's side of the runtime: starts it when none answers, sends requests, hands reports on."""

from __future__ import annotations

import json
import os
import select
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.emulation.ownership import mark
from testbed.emulation.rundir import RunDir
from testbed.workloads import channel
from testbed.workloads.loop import Loop

ROOT = Path(__file__).resolve().parents[2]
START_LIMIT = 10.0
ROLE = "runtime"
"""Of the runtime, and of the containers that are no programs of their own: the echo servers."""
MOST_STARTING = 64
"""Starts under way at the same time: each holds three descriptors of the runtime's."""


@dataclass(frozen=True, slots=True)
class Known:
    """A container that the runtime has already when a kubelet connects."""

    id: str
    pid: int
    meta: dict[str, Any]
    exit_code: int | None


Report = Callable[[channel.Message], None]


class NotStartedError(Exception):
    """There is no container runtime and none could be started; the text says why."""


class RuntimeClient:
    """``on_listed`` is called each time that a connection has been made, with what runs."""

    def __init__(self, loop: Loop, rundir: RunDir, on_listed: Callable[[list[Known]], None]) -> None:
        self._loop, self._rundir, self._on_listed = loop, rundir, on_listed
        self._channel: channel.Channel | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._known: list[Known] = []
        self._reports: dict[str, Report] = {}
        self._quitting = False

    def connect(self) -> None:
        """Connect, starting a runtime when none answers. Raises ``NotStartedError`` when that is in vain."""
        self._channel = channel.connect(self._rundir.path) or self._launch()
        self._known = []
        self._loop.watch(self._channel, selectors.EVENT_READ, self._on_event)

    def _launch(self) -> channel.Channel:
        # Neither site packages nor the environment's say: the runtime needs the standard library and stays small.
        command = [sys.executable, "-S", "-E", "-m", "testbed.workloads.runtime", "--run-dir", str(self._rundir.path)]
        environment = {"LC_ALL": "C.UTF-8", **mark(self._rundir, ROLE)}
        self._process = process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True
        )
        assert process.stdout
        with process.stdout as pipe:
            why = _read_to_end(pipe.fileno(), START_LIMIT)
        if why is None:
            process.kill()
            raise NotStartedError(f"the container runtime was not ready within {START_LIMIT:g} s")
        if not why and (answered := channel.connect(self._rundir.path)):
            return answered
        why = why or f"exit status {process.wait(START_LIMIT)}, what it wrote is above"
        raise NotStartedError(f"the container runtime did not start: {why}")

    def follow(self, identity: str, report: Report) -> None:
        """Hand every report about ``identity`` to ``report``, until it is forgotten."""
        self._reports[identity] = report

    def start(self, identity: str, request: channel.Message, netns: Path, log: int) -> None:
        """Raises ``OSError`` when the namespace can't be opened, ``ValueError`` for a request that is too long."""
        namespace = os.open(netns, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._send({"do": "start", "id": identity} | request, (namespace, log))
        finally:
            os.close(namespace)

    def signal(self, identity: str, number: int) -> None:
        self._send({"do": "signal", "id": identity, "signal": number})

    def forget(self, identity: str) -> None:
        self._reports.pop(identity, None)
        self._send({"do": "forget", "id": identity})

    def discard(self, identity: str) -> None:
        """End a container that nobody asks about any more."""
        self.follow(identity, lambda message: self.forget(identity) if message["is"] == "exited" else None)
        self.signal(identity, signal.SIGKILL)
        self._send({"do": "forget", "id": identity})  # in case it has ended

    def quit(self) -> None:
        self._quitting = True
        self._send({"do": "quit"})

    def _send(self, message: channel.Message, fds: tuple[int, ...] = ()) -> None:
        if not self._channel:
            return
        try:
            self._channel.send(message, fds)
        except channel.ClosedError:
            self._loop.later(0, self._lost)
        self._watch()

    def _watch(self) -> None:
        if self._channel:
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._channel.unsent else 0)
            self._loop.watch(self._channel, events, self._on_event)

    def _on_event(self, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE and self._channel:
                self._channel.flush()
                self._watch()
            while self._channel and (received := self._channel.receive()):
                self._hand_on(received[0])
        except channel.ClosedError:
            self._lost()

    def _hand_on(self, message: channel.Message) -> None:
        kind, identity = message["is"], message.get("id", "")
        if kind == "container":
            self._learn(identity, message, json.loads(message["meta"]))
        elif kind == "listed":
            self._on_listed(self._known)
        elif report := self._reports.get(identity):
            report(message)

    def _learn(self, identity: str, message: channel.Message, meta: dict[str, Any]) -> None:
        if "probe" in meta:
            self.discard(identity)
        else:
            self._known.append(Known(identity, message["pid"], meta, message["exit_code"]))

    def _lost(self) -> None:
        """The runtime died, and every container with it."""
        if not self._channel:
            return
        self._loop.forget(self._channel)
        self._channel.close()
        self._channel = None
        if self._process:
            self._process.wait(START_LIMIT)
        if self._quitting:
            return
        reports = list(self._reports.items())
        self.connect()
        for identity, report in reports:
            report({"is": "exited", "id": identity, "exit_code": 137})


def _read_to_end(pipe: int, limit: float) -> str | None:
    """What is written to ``pipe`` until its other end is closed; None when that is not within ``limit`` seconds."""
    end, read = time.monotonic() + limit, b""
    while select.select([pipe], [], [], max(0.0, end - time.monotonic()))[0]:
        part = os.read(pipe, 4096)
        if not part:
            return read.decode("utf-8", "replace").strip()
        read += part
    return None
