"""What the kubelet's containers need of this machine: starting, signalling and probing them."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import signal
from collections.abc import Callable
from typing import Any

from testbed.emulation.errors import BadNameError
from testbed.emulation.rundir import RunDir
from testbed.model.components import VERSION, reload_probe
from testbed.model.kubernetes import Probe
from testbed.model.workloads import Workload
from testbed.workloads.channel import Message
from testbed.workloads.components import is_privileged, remove_config, write_config
from testbed.workloads.containers import ContainerWorker, meta_of
from testbed.workloads.images import Kind, Program, plan_environment
from testbed.workloads.logs import open_log
from testbed.workloads.loop import Act, Loop, Timer
from testbed.workloads.probes import Verdict, start_check
from testbed.workloads.runtimeclient import MOST_STARTING, RuntimeClient
from testbed.workloads.sandbox import prepare_sandbox, render_files

RETRY = 0.1
PROBE = json.dumps({"probe": True})


class LocalNode:
    """Implements ``containers.Node``."""

    def __init__(
        self, loop: Loop, rundir: RunDir, runtime: RuntimeClient, changed: Callable[[ContainerWorker], None]
    ) -> None:
        self._loop, self._rundir, self._runtime, self._on_changed = loop, rundir, runtime, changed
        self._queue: collections.deque[tuple[ContainerWorker, Program]] = collections.deque()
        self._starting: set[str] = set()
        self._probe_number = 0

    def later(self, delay: float, act: Act) -> Timer:
        return self._loop.later(delay, act)

    def changed(self, worker: ContainerWorker) -> None:
        self._on_changed(worker)

    def start(self, worker: ContainerWorker, program: Program) -> None:
        self._queue.append((worker, program))
        self._start_some()

    def _start_some(self) -> None:
        while self._queue and len(self._starting) < MOST_STARTING:
            self._start_one(*self._queue.popleft())

    def _start_one(self, worker: ContainerWorker, program: Program) -> None:
        work = worker.workload
        if worker.state != "starting":  # stopped while it waited for its turn
            return
        if worker.stopping:
            worker.on_failed("Completed", "", 0)
            return
        try:
            log = open_log(self._rundir, work.folder, worker.container.name)
            try:
                request = {"program": _plain(program, worker), "meta": json.dumps(meta_of(worker))}
                request |= self._surroundings(worker, program)
                self._runtime.start(worker.id, request, self._rundir.namespace(work.host), log)
            finally:
                os.close(log)
        except FileNotFoundError:
            worker.retry(f"network namespace {work.host} does not exist yet", RETRY)
        except BadNameError as error:
            worker.on_failed("CreateContainerConfigError", str(error), 128)
        except (OSError, ValueError) as error:
            worker.on_failed("RunContainerError", str(error), 128)
        else:
            self._starting.add(worker.id)
            self.adopt(worker)

    def _surroundings(self, worker: ContainerWorker, program: Program) -> Message:
        if program.kind is not Kind.EXEC:
            return {}
        if worker.workload.files:
            write_config(self._rundir, worker.workload)
        sandbox = prepare_sandbox(self._rundir, worker.workload)
        privileged = is_privileged(worker.container.image, worker.workload)
        return {"sandbox": {"hostname": sandbox.hostname, "files": sandbox.files}, "privileged": privileged}

    def adopt(self, worker: ContainerWorker) -> None:
        """Hand the runtime's reports on ``worker``'s attempt to it."""
        identity = worker.id
        self._runtime.follow(identity, lambda message: self._report(identity, worker, message))

    def _report(self, identity: str, worker: ContainerWorker, message: Message) -> None:
        self._starting.discard(identity)
        if message["is"] == "started":
            worker.on_started(message["pid"])
        elif message["is"] == "failed":
            worker.on_failed("RunContainerError", message["message"], message["exit_code"])
        else:
            worker.on_exited(message["exit_code"])
        self._start_some()

    def signal(self, worker: ContainerWorker, number: int) -> None:
        self._runtime.signal(worker.id, number)

    def configure(self, workload: Workload) -> bool:
        """Give a component its files; whether they are others than before."""
        return write_config(self._rundir, workload)

    def ask_reloaded(self, workload: Workload, verdict: Verdict) -> None:
        """Whether a proxy answers by the files that it has been given."""
        probe = reload_probe(dict(workload.files).get(VERSION, ""))
        netns = self._rundir.namespace(workload.host)
        start_check(self._loop, netns, probe.host, probe, workload.containers[0], verdict)

    def forget(self, worker: ContainerWorker) -> None:
        self._runtime.forget(worker.id)

    def clean(self, workload: Workload, keep_logs: bool) -> None:
        """Take away the files of a workload that is gone."""
        home = self._rundir.home(workload.folder)
        for name in render_files(workload):
            (home / name).unlink(missing_ok=True)
        remove_config(self._rundir, workload)
        with contextlib.suppress(OSError):  # it never had files
            home.rmdir()
        if not keep_logs:
            for container in workload.containers:
                log = self._rundir.container_log(workload.folder, container.name)
                for path in (log, log.with_name(f"{log.name}.1")):
                    path.unlink(missing_ok=True)

    def ask(self, worker: ContainerWorker, probe: Probe, verdict: Verdict) -> Act:
        if probe.kind == "exec":
            return self._ask_program(worker, probe, verdict)
        netns = self._rundir.namespace(worker.workload.host)
        address = probe.host or str(worker.workload.address)
        check = start_check(self._loop, netns, address, probe, worker.container, verdict)
        return check.cancel if check else _nothing

    def _ask_program(self, worker: ContainerWorker, probe: Probe, verdict: Verdict) -> Act:
        """An exec probe is a short container of its own in the same namespaces."""
        self._probe_number += 1
        identity = f"{worker.id}#{self._probe_number}"
        env = plan_environment(worker.container, worker.workload)
        program = Program(Kind.EXEC, probe.command, env)
        late = self._loop.later(probe.timeout, lambda: self._runtime.signal(identity, signal.SIGKILL))

        def report(message: Message) -> None:
            if message["is"] == "started":
                return
            late.cancel()
            self._runtime.forget(identity)
            verdict(message["exit_code"] == 0, message.get("message") or f"exit status {message['exit_code']}")

        def give_up() -> None:
            late.cancel()
            self._runtime.discard(identity)

        request = {"program": _plain(program, worker), "meta": PROBE}
        request |= self._surroundings(worker, program)
        self._runtime.follow(identity, report)
        nothing = os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC)
        try:
            self._runtime.start(identity, request, self._rundir.namespace(worker.workload.host), nothing)
        except (OSError, ValueError) as error:
            late.cancel()
            verdict(False, str(error))
            return _nothing
        finally:
            os.close(nothing)
        return give_up


def _plain(program: Program, worker: ContainerWorker) -> dict[str, Any]:
    work = worker.workload
    return {
        "kind": program.kind.value, "argv": program.argv, "env": program.env,
        "ports": [(port.protocol, port.port) for port in program.ports],
        "identity": {"name": work.name, "namespace": work.namespace, "node": work.node},
    }  # fmt: skip


def _nothing() -> None:
    """Nothing to give up."""
