"""The container runtime: forks containers for the kubelet, waits for them, and outlives it.

``python -m testbed.workloads.runtime --run-dir DIR``. One small process per lab that has the echo server imported, so
that an echo container is a fork of it: no exec, no imports, its memory shared until it is written to. It is the parent
of every container; so a kubelet that was killed finds them again, with the exit codes of those that ended meanwhile.
When the runtime itself dies its containers die with it, and nothing is ever started twice.

Standard output is for the kubelet that starts it: the reason when that failed, else it is closed once it listens.

Requests: ``start`` (with the namespace's and the log's descriptors), ``signal``, ``forget``, ``quit``.
Reports: ``container`` for each one known and then ``listed`` when a kubelet connects; ``started``, ``failed``,
``exited``.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import selectors
import signal
import socket
from dataclasses import dataclass
from pathlib import Path

from testbed.emulation import syscalls
from testbed.workloads import channel, sandbox
from testbed.workloads.child import run_child
from testbed.workloads.echo import server as _echo_server  # noqa: F401  (imported here, once, for all its forks)


@dataclass(slots=True)
class _Container:
    """``meta``: the kubelet's own notes, kept for its successor as the text that came.

    ``starting``: read end of the pipe on which the child reports what went wrong; -1 when it runs.
    """

    pid: int
    starting: int
    meta: str
    exit_code: int | None = None


class Runtime:
    def __init__(self, rundir: Path) -> None:
        self._listener = channel.listen(rundir)
        self._kubelet: channel.Channel | None = None
        self._containers: dict[str, _Container] = {}
        self._by_pid: dict[int, str] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._own_pids = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        self._quit = False

    def serve(self) -> None:
        """Serve until ``quit`` or SIGTERM; containers still running then are killed."""
        waker, wakeup = socket.socketpair()
        for end in (waker, wakeup):
            end.setblocking(False)
        signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._stop)
        self._selector.register(waker, selectors.EVENT_READ, lambda _: self._reap(waker))
        gc.disable()
        gc.freeze()  # the collector of a fork must not touch, and so copy, what was made before it
        while not self._quit:
            for key, events in self._selector.select():
                key.data(events)
        for container in self._containers.values():
            if container.exit_code is None:
                os.kill(container.pid, signal.SIGKILL)

    def _stop(self, *_: object) -> None:
        self._quit = True

    def _accept(self, _: int) -> None:
        """The newest kubelet counts: one that connects finds out about everything that is known."""
        sock, _address = self._listener.accept()
        self._hang_up()
        self._kubelet = channel.Channel(sock)
        self._selector.register(self._kubelet, selectors.EVENT_READ, self._on_kubelet)
        for name, container in self._containers.items():
            self._report(
                {"is": "container", "id": name, "pid": container.pid, "meta": container.meta,
                 "exit_code": container.exit_code, "starting": container.starting >= 0}
            )  # fmt: skip
        self._report({"is": "listed"})

    def _hang_up(self) -> None:
        if self._kubelet:
            self._selector.unregister(self._kubelet)
            self._kubelet.close()
            self._kubelet = None

    def _on_kubelet(self, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE and self._kubelet:
                self._kubelet.flush()
            while self._kubelet and (received := self._kubelet.receive()):
                self._obey(*received)
        except channel.ClosedError:
            self._hang_up()
        self._watch_kubelet()

    def _watch_kubelet(self) -> None:
        if self._kubelet:
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._kubelet.unsent else 0)
            self._selector.modify(self._kubelet, events, self._on_kubelet)

    def _report(self, message: channel.Message) -> None:
        if not self._kubelet:
            return
        try:
            self._kubelet.send(message)
        except channel.ClosedError:
            self._hang_up()
        self._watch_kubelet()

    def _obey(self, message: channel.Message, fds: list[int]) -> None:
        name = message.get("id", "")
        container = self._containers.get(name)
        try:
            if message["do"] == "start" and not container:
                self._start(name, message, fds)
            elif message["do"] == "signal" and container and container.exit_code is None:
                self._signal(container, message["signal"])
            elif message["do"] == "forget" and container and container.exit_code is not None:
                del self._containers[name]
            elif message["do"] == "quit":
                self._quit = True
        finally:
            for fd in fds:
                os.close(fd)

    def _signal(self, container: _Container, number: int) -> None:
        """KILL takes the whole session, in case there is no PID namespace that dies with its first process."""
        if number == signal.SIGKILL:
            with contextlib.suppress(ProcessLookupError):  # it has not made its session yet
                os.killpg(container.pid, number)
        os.kill(container.pid, number)

    def _start(self, name: str, message: channel.Message, fds: list[int]) -> None:
        reading, writing = os.pipe2(os.O_CLOEXEC)
        try:
            pid = self._fork(message, fds, writing)
        except OSError as error:  # no memory, no process left
            os.close(reading)
            self._report({"is": "failed", "id": name, "message": f"{error.strerror}", "exit_code": 128})
            return
        finally:
            os.close(writing)
        self._containers[name] = _Container(pid, reading, message.get("meta", "{}"))
        self._by_pid[pid] = name
        self._selector.register(reading, selectors.EVENT_READ, lambda _: self._settle(name))

    def _fork(self, message: channel.Message, fds: list[int], writing: int) -> int:
        """Fork; a program gets a PID namespace, which only a process forked after ``unshare`` is in."""
        own_processes = message["program"]["kind"] == "exec"
        if own_processes:
            syscalls.unshare(syscalls.CLONE_NEWPID)
        try:
            pid = os.fork()
            if pid == 0:
                run_child(message, fds, writing, own_processes)
        finally:
            if own_processes:
                syscalls.setns(self._own_pids, syscalls.CLONE_NEWPID)
        return pid

    def _settle(self, name: str) -> None:
        """The pipe was closed (it runs), or says what went wrong."""
        container = self._containers[name]
        text = os.read(container.starting, 4096).decode("utf-8", "replace")
        self._selector.unregister(container.starting)
        os.close(container.starting)
        container.starting = -1
        if text:
            code, _, why = text.partition(" ")
            del self._containers[name]
            self._report({"is": "failed", "id": name, "message": why, "exit_code": int(code)})
        else:
            self._report({"is": "started", "id": name, "pid": container.pid})

    def _reap(self, waker: socket.socket) -> None:
        waker.recv(4096)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            self._ended(self._by_pid.pop(pid, ""), os.waitstatus_to_exitcode(status))

    def _ended(self, name: str, code: int) -> None:
        container = self._containers.get(name)
        if container and container.starting >= 0:
            self._settle(name)
            container = self._containers.get(name)
        if container:
            container.exit_code = code if code >= 0 else 128 - code
            self._report({"is": "exited", "id": name, "exit_code": container.exit_code})


def main() -> int:
    parser = argparse.ArgumentParser(prog="testbed.workloads.runtime", description="Forks a lab's containers.")
    parser.add_argument("--run-dir", type=Path, required=True)
    rundir: Path = parser.parse_args().run_dir.resolve()
    try:
        sandbox.hide_lab_mounts(rundir.parent)
        runtime = Runtime(rundir)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        os.write(1, f"{error.strerror or error}{where}".encode())
        return 1
    os.dup2(2, 1)
    os.chdir("/")
    runtime.serve()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
