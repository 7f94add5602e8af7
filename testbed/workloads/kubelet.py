"""The kubelet: makes what runs in a lab's namespaces equal to ``workloads.json``, and says what runs.

``python -m testbed.workloads.kubelet --run-dir DIR [--stop-on-exit]``. One daemon per lab, one thread. It reads the
wanted workloads whenever the file changes, starts and stops containers through the runtime, probes them, restarts
what ends, and writes ``workloads.status.json`` when something changed. SIGTERM ends it: containers go on, and the
next kubelet finds them; with ``--stop-on-exit`` they are stopped first.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import logging
import os
import signal
import sys
import time
from pathlib import Path

from testbed.emulation.rundir import RunDir, write_atomically
from testbed.model.codec import from_plain, to_plain
from testbed.model.workloads import Workload, WorkloadsState, WorkloadsStatus
from testbed.workloads.containers import ContainerWorker
from testbed.workloads.logs import bound_log
from testbed.workloads.loop import Loop
from testbed.workloads.node import LocalNode
from testbed.workloads.pods import PodWorker
from testbed.workloads.reload import Identity, Reloader
from testbed.workloads.runtimeclient import Known, NotStartedError, RuntimeClient

log = logging.getLogger("kubelet")

LOOK_EVERY = 0.025
BOUND_LOGS_EVERY = 5.0
WRITE_AT_MOST_EVERY = 0.02


class Kubelet:
    def __init__(self, rundir: RunDir, stop_on_exit: bool = False) -> None:
        self._rundir, self._stop_on_exit = rundir, stop_on_exit
        self._loop = Loop()
        self._wanted = WorkloadsState(0, ())
        self._seen: tuple[int, int, int] | None = None
        self._pods: dict[Identity, PodWorker] = {}
        self._statuses: dict[Identity, object] = {}
        self._dirty = True
        self._write_planned = False
        self._runtime = RuntimeClient(self._loop, rundir, self._on_listed)
        self._node = LocalNode(self._loop, rundir, self._runtime, self._changed)
        self._reloader = Reloader(self._loop, self._node, self._pods)
        self._looking = self._sync_planned = False

    def run(self) -> None:
        """Until SIGTERM or SIGINT. Raises ``NotStartedError`` when there is no container runtime to be had."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._terminate)
        self._runtime.connect()
        self._loop.later(0, self._bound_logs)
        self._loop.run()
        self._write_status()

    def _terminate(self, *_: object) -> None:
        if not self._stop_on_exit:
            self._loop.running = False
            return
        self._wanted = WorkloadsState(self._wanted.generation, ())
        self._seen = (0, 0, 0)
        self._loop.later(0, self._sync)
        self._loop.later(0, self._end_when_empty)

    def _end_when_empty(self) -> None:
        if self._pods:
            self._loop.later(0.02, self._end_when_empty)
        else:
            self._runtime.quit()
            self._loop.running = False

    def _on_listed(self, known: list[Known]) -> None:
        """The runtime said what it has: from a kubelet before this one, or nothing because it is new."""
        for item in known:
            self._adopt(item)
        if not self._looking:
            self._looking = True
            self._look()

    def _adopt(self, item: Known) -> None:
        workload = from_plain(Workload, item.meta["workload"])
        pod = self._pods.get((workload.name, workload.uid)) or self._add(workload)
        worker = pod.containers.get(item.meta["container"])
        if not worker or worker.begun:  # of another version of the pod than the one that is known by now
            self._runtime.discard(item.id)
            return
        worker.adopt(item.pid, item.meta["restarts"], item.meta["started_at"])
        self._node.adopt(worker)
        if item.exit_code is not None:
            worker.on_exited(item.exit_code)

    def _look(self) -> None:
        """Read the wanted workloads if the file is another one than before."""
        self._loop.later(LOOK_EVERY, self._look)
        try:
            found = os.stat(self._rundir.workloads)
        except FileNotFoundError:
            return
        seen = (found.st_mtime_ns, found.st_ino, found.st_size)
        if seen == self._seen or self._seen == (0, 0, 0):
            return
        self._seen = seen
        try:
            self._wanted = from_plain(WorkloadsState, json.loads(self._rundir.workloads.read_bytes()))
        except (OSError, ValueError, TypeError, KeyError) as error:
            log.error("%s can't be read, what was wanted before stays: %r", self._rundir.workloads, error)
            return
        self._sync()

    def _sync(self) -> None:
        """Stop what is not wanted, change what is wanted otherwise, start what is missing."""
        self._sync_planned = False
        wanted = {(workload.name, workload.uid): workload for workload in self._wanted.workloads}
        for identity, pod in list(self._pods.items()):
            if identity not in wanted and not pod.stopping:
                pod.stop()
                self._changed_pod(identity)
        leaving = {name for (name, _), pod in self._pods.items() if pod.stopping}
        for identity, workload in wanted.items():
            found = self._pods.get(identity)
            if found and not found.stopping:
                if found.workload != workload:
                    self._reloader.configure(identity, workload)
                    found.update(workload)
                found.start()
            elif workload.name not in leaving:
                self._add(workload).start()
        self._reloader.look()
        self._dirty = True
        self._plan_write()

    def _add(self, workload: Workload) -> PodWorker:
        identity = (workload.name, workload.uid)
        pod = PodWorker(self._node, workload, lambda: self._gone(identity))
        self._pods[identity] = pod
        self._changed_pod(identity)
        return pod

    def _gone(self, identity: Identity) -> None:
        """Its name is free: the one that replaces it may start."""
        pod = self._pods.pop(identity)
        self._statuses.pop(identity, None)
        self._reloader.forget(identity)
        self._dirty = True
        self._node.clean(pod.workload, keep_logs=any(w.name == identity[0] for w in self._wanted.workloads))
        if not self._sync_planned:
            self._sync_planned = True
            self._loop.later(0, self._sync)

    def _changed(self, worker: ContainerWorker) -> None:
        self._changed_pod((worker.workload.name, worker.workload.uid))
        self._reloader.look()

    def _changed_pod(self, identity: Identity) -> None:
        self._statuses.pop(identity, None)
        self._dirty = True
        self._plan_write()

    def _plan_write(self) -> None:
        if not self._write_planned:
            self._write_planned = True
            self._loop.later(WRITE_AT_MOST_EVERY, self._write_status)

    def _write_status(self) -> None:
        """Write if something changed; at most a fifth of the time goes into writing."""
        self._write_planned = False
        if not self._dirty:
            return
        start = time.monotonic()
        for identity, pod in self._pods.items():
            if identity not in self._statuses:
                self._statuses[identity] = to_plain(pod.status())
        document = to_plain(WorkloadsStatus(self._wanted.generation, ()))
        document["workloads"] = [self._statuses[identity] for identity in self._pods]
        self._dirty = False
        try:
            write_atomically(self._rundir.workloads_status, json.dumps(document), lasting=False)
        except OSError as error:
            log.error("%s can't be written: %s", self._rundir.workloads_status, error.strerror)
            self._dirty = True
        self._write_planned = True
        self._loop.later(max(WRITE_AT_MOST_EVERY, 5 * (time.monotonic() - start)), self._write_status)

    def _bound_logs(self) -> None:
        self._loop.later(BOUND_LOGS_EVERY, self._bound_logs)
        for pod in self._pods.values():
            for worker in pod.containers.values():
                if worker.pid:
                    bound_log(self._rundir.container_log(pod.workload.folder, worker.container.name))


def main() -> int:
    parser = argparse.ArgumentParser(prog="testbed.workloads.kubelet", description="Runs a lab's workloads.")
    parser.add_argument("--run-dir", type=Path, required=True, help="the lab's run directory")
    parser.add_argument("--stop-on-exit", action="store_true", help="stop the containers on SIGTERM")
    options = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(name)s: %(message)s", level=logging.INFO, stream=sys.stderr)
    rundir = RunDir.at(options.run_dir.resolve())
    lock = os.open(rundir.path / "workloads.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        log.error("another kubelet serves %s", rundir.path)
        return 1
    try:
        Kubelet(rundir, options.stop_on_exit).run()
    except NotStartedError as error:
        log.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
