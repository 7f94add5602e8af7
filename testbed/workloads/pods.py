"""The life of one workload: its containers together, from creation to the end of the last one."""

from __future__ import annotations

from functools import partial

from testbed.model.kubernetes import Container
from testbed.model.workloads import Workload, WorkloadStatus
from testbed.workloads.containers import ContainerWorker, Node, digest
from testbed.workloads.lifecycle import plan_phase
from testbed.workloads.loop import Act


class PodWorker:
    """``gone`` is called once when a stopped workload's last container has ended."""

    def __init__(self, node: Node, workload: Workload, gone: Act) -> None:
        self._node, self._gone = node, gone
        self.workload = workload
        self.stopping = False
        self.containers = {container.name: self._worker(container) for container in workload.containers}

    def _worker(self, container: Container) -> ContainerWorker:
        return ContainerWorker(self._node, self.workload, container, self._check_gone)

    def start(self) -> None:
        """Start every container that nobody started."""
        for worker in self.containers.values():
            if not worker.begun:
                worker.start()

    def stop(self) -> None:
        self.stopping = True
        for worker in self.containers.values():
            if not worker.ended:
                worker.stop(self.workload.termination_grace_seconds)
        self._check_gone()

    def update(self, workload: Workload) -> None:
        """The same pod with other containers: those that changed are started anew, the others don't notice."""
        wanted = {container.name: container for container in workload.containers}
        self.workload = workload
        for name, worker in list(self.containers.items()):
            worker.workload = workload
            if name not in wanted:
                worker.stop(workload.termination_grace_seconds, partial(self._drop, name))
            elif digest(wanted[name]) != digest(worker.container):
                self._replace(worker, wanted[name])
        for name, container in wanted.items():
            if name not in self.containers:
                self.containers[name] = self._worker(container)
                self.containers[name].start()

    def _replace(self, old: ContainerWorker, container: Container) -> None:
        new = self._worker(container)
        new.restarts = old.restarts + 1

        def swap() -> None:
            self.containers[container.name] = new
            if not self.stopping:
                new.start()
            else:
                new.stop(0)

        if old.state == "terminated":
            swap()
        else:
            old.stop(self.workload.termination_grace_seconds, swap)

    def _drop(self, name: str) -> None:
        self.containers.pop(name, None)
        self._check_gone()

    def _check_gone(self) -> None:
        if self.stopping and all(worker.ended for worker in self.containers.values()):
            gone, self._gone = self._gone, _nothing
            gone()

    def status(self) -> WorkloadStatus:
        containers = tuple(worker.status() for worker in self.containers.values())
        ready = not self.stopping and all(container.ready for container in containers)
        work = self.workload
        return WorkloadStatus(work.name, work.owner, work.uid, plan_phase(containers), ready, containers)


def _nothing() -> None:
    """After the end."""
