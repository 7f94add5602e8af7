"""The life of one container: start, probes, restarts with back-off, end."""

from __future__ import annotations

import hashlib
import json
import signal
import time
from dataclasses import replace
from typing import Any, Protocol

from testbed.model.codec import to_plain
from testbed.model.kubernetes import Container, Probe
from testbed.model.workloads import ContainerStatus, Workload
from testbed.workloads.images import Kind, Program, plan_program
from testbed.workloads.lifecycle import BACKOFF_FORGET, ProbeState, plan_delay, plan_probe_period, plan_restart
from testbed.workloads.loop import Act, Timer
from testbed.workloads.probes import Verdict

KILLED = 137


class Node(Protocol):
    """What a container needs of the kubelet. All of it answers later, by the ``on_`` methods."""

    def later(self, delay: float, act: Act) -> Timer: ...
    def start(self, worker: ContainerWorker, program: Program) -> None: ...
    def signal(self, worker: ContainerWorker, number: int) -> None: ...
    def forget(self, worker: ContainerWorker) -> None: ...
    def ask(self, worker: ContainerWorker, probe: Probe, verdict: Verdict) -> Act: ...
    def changed(self, worker: ContainerWorker) -> None: ...


def digest(container: Container) -> str:
    """Changes when the container has to be started anew to be what was asked for."""
    return hashlib.sha256(json.dumps(to_plain(container), sort_keys=True).encode()).hexdigest()[:16]


class ContainerWorker:
    """``state``: waiting, starting, running, terminated. ``restarts`` numbers the attempts."""

    def __init__(self, node: Node, workload: Workload, container: Container, on_end: Act) -> None:
        self._node, self.workload, self.container, self._on_end = node, workload, container, on_end
        self.restarts = 0
        self.state = "waiting"
        self.reason, self.message = "ContainerCreating", ""
        self.pid = 0
        self.exit_code: int | None = None
        self.started_at = 0.0
        self.begun = False  # somebody started it once: from then on restarts are its own affair
        self._crashes = 0
        self.stopping = False
        self._then: Act | None = None  # what a stop was for
        self._timers: list[Timer] = []
        self._probes: list[_Prober] = []

    @property
    def id(self) -> str:
        """The runtime's name for this attempt."""
        return f"{self.workload.uid}/{self.workload.name}/{self.container.name}/{self.restarts}"

    @property
    def ended(self) -> bool:
        return self.state == "terminated"

    @property
    def ready(self) -> bool:
        return self.state == "running" and not self.stopping and all(p.passing for p in self._probes if p.gates)

    def status(self) -> ContainerStatus:
        state = "waiting" if self.state == "starting" else self.state
        return ContainerStatus(
            self.container.name, state, self.reason, self.message, self.pid, self.exit_code, self.restarts,
            self.ready, self.started_at,
        )  # fmt: skip

    def start(self) -> None:
        if self.stopping:
            return
        self.begun = True
        program = plan_program(self.container, self.workload)
        if program.kind is Kind.PAUSE:
            self.on_started(0)
            return
        self.state = "starting"
        self._node.start(self, program)

    def adopt(self, pid: int, restarts: int, started_at: float) -> None:
        """It runs already: a kubelet before this one started it."""
        self.begun, self.restarts = True, restarts
        self.on_started(pid)
        self.started_at = started_at

    def on_started(self, pid: int) -> None:
        if self.state == "running":
            return
        self.state, self.reason, self.pid = "running", "", pid
        self.message = plan_program(self.container, self.workload).notice
        self.started_at = time.time()
        if not self.stopping:
            for probe, gates in ((self.container.readiness, True), (self.container.liveness, False)):
                if probe:
                    self._probes.append(_Prober(self._node, self, probe, gates))
        self._node.changed(self)

    def on_failed(self, reason: str, message: str, exit_code: int) -> None:
        """It never ran."""
        self._after_end(reason, message, exit_code)

    def on_exited(self, exit_code: int) -> None:
        self._node.forget(self)
        self._after_end("Completed" if exit_code == 0 else "Error", "", exit_code)

    def retry(self, message: str, delay: float) -> None:
        """What it needs is not there yet."""
        self.state = "waiting"
        if message != self.message:
            self.reason, self.message = "ContainerCreating", message
            self._node.changed(self)
        self._timers.append(self._node.later(delay, self.start))

    def stop(self, grace: float, then: Act | None = None) -> None:
        """End it: TERM, and KILL after ``grace`` seconds. ``then`` follows its end instead of the pod's own."""
        self._then = then
        if self.stopping:
            return
        self.stopping = True
        self._cancel()
        if self.state == "starting" or self.pid:
            self._node.signal(self, signal.SIGTERM)
            self._timers.append(self._node.later(grace, lambda: self._node.signal(self, signal.SIGKILL)))
            self._node.changed(self)
        else:
            self._after_end("Completed", "", 0)

    def fail_liveness(self, why: str) -> None:
        """A liveness probe's verdict: the container ends, and the restart policy decides on."""
        self._cancel()
        self.message = f"liveness probe failed: {why}"
        if not self.pid:  # a pause container has nothing to kill
            self._after_end("Error", self.message, KILLED)
            return
        self._node.signal(self, signal.SIGTERM)
        kill = self._node.later(
            self.workload.termination_grace_seconds, lambda: self._node.signal(self, signal.SIGKILL)
        )
        self._timers.append(kill)
        self._node.changed(self)

    def _cancel(self) -> None:
        for timer in self._timers:
            timer.cancel()
        for prober in self._probes:
            prober.cancel()
        self._timers, self._probes = [], []

    def _after_end(self, reason: str, message: str, exit_code: int) -> None:
        self._cancel()
        ran = time.time() - self.started_at if self.pid else 0.0
        self.pid, self.exit_code = 0, exit_code
        if self.stopping or not plan_restart(self.workload.restart_policy, exit_code):
            self.state, self.reason, self.message = "terminated", reason, message
            self._node.changed(self)
            (self._then or self._on_end)()
            return
        self._crashes = 1 if ran >= BACKOFF_FORGET else self._crashes + 1
        self.restarts += 1
        delay = plan_delay(self._crashes)
        self.state = "waiting"
        self.reason = "RunContainerError" if message else "CrashLoopBackOff" if delay else reason
        self.message = message or f"back-off {delay:g}s restarting failed container"
        self._timers.append(self._node.later(delay, self.start))
        self._node.changed(self)


class _Prober:
    """Asks one probe again and again, one question at a time."""

    def __init__(self, node: Node, worker: ContainerWorker, probe: Probe, gates: bool) -> None:
        self.gates = gates  # readiness; liveness otherwise
        self._node, self._worker, self._probe = node, worker, probe
        self._state = ProbeState(probe, passing=not gates)
        self._ever_passed, self._asked = not gates, 0
        self._give_up: Act | None = None
        self._timer = node.later(probe.initial_delay, self._ask)

    @property
    def passing(self) -> bool:
        return self._state.passing

    def cancel(self) -> None:
        self._timer.cancel()
        if self._give_up:
            self._give_up()
            self._give_up = None

    def _ask(self) -> None:
        self._asked += 1
        self._timer = self._node.later(plan_probe_period(self._probe, self._ever_passed, self._asked), self._ask)
        if self._give_up is None:  # the last question is answered
            self._give_up = _nothing
            give_up = self._node.ask(self._worker, self._probe, self._answered)
            if self._give_up is _nothing:
                self._give_up = give_up

    def _answered(self, passed: bool, why: str) -> None:
        self._give_up = None
        turned = self._state.record(passed)
        self._ever_passed |= self._state.passing
        if not turned:
            return
        if self.gates:
            self._worker.message = "" if passed else f"readiness probe failed: {why}"
            self._node.changed(self._worker)
        elif not passed:
            self._worker.fail_liveness(why)


def _nothing() -> None:
    """Stands for a question that was asked and can't be given up yet."""


def meta_of(worker: ContainerWorker) -> dict[str, Any]:
    """What the runtime keeps for the next kubelet."""
    bare = replace(worker.workload, files=())  # they may be larger than a message
    return {
        "workload": to_plain(bare), "container": worker.container.name, "restarts": worker.restarts,
        "digest": digest(worker.container), "started_at": time.time(),
    }  # fmt: skip
