"""Components read their files again: they are told by SIGHUP when they have others than before.

HAProxy begins anew for it, which takes it some hundred milliseconds, and does not always hear a signal that comes
meanwhile. So a proxy is asked again and again whether it answers by the files that it has, and told again when it
has not begun to for long.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from testbed.model.components import PROXY_IMAGE, is_component
from testbed.model.workloads import Workload
from testbed.workloads.containers import ContainerWorker
from testbed.workloads.loop import Loop
from testbed.workloads.node import LocalNode
from testbed.workloads.pods import PodWorker

ASK_EVERY = 0.05
"""Seconds between two questions; the longer it takes, the longer, up to a quarter of the time since it was told."""

PATIENCE = 1.0
"""Seconds before a proxy is told again; doubled each time, as every new beginning takes the time of the one before."""

PATIENCE_MOST = 60.0

Identity = tuple[str, str]
"""(name, uid)."""


@dataclass(slots=True)
class Told:
    """A proxy that was told to read ``workload``'s files and does not answer by them yet. ``at``: monotonic clock.

    ``questions`` in vain; ``patience`` in seconds.
    """

    workload: Workload
    at: float
    patience: float = PATIENCE
    questions: int = 0


class Reloader:
    def __init__(self, loop: Loop, node: LocalNode, pods: Mapping[Identity, PodWorker]) -> None:
        self._loop, self._node, self._pods = loop, node, pods
        self._due: set[Identity] = set()  # have other files than those that they have read
        self._told: dict[Identity, Told] = {}

    def configure(self, identity: Identity, workload: Workload) -> None:
        """Give a workload that runs its files."""
        if workload.files and self._node.configure(workload):
            self._due.add(identity)

    def forget(self, identity: Identity) -> None:
        self._due.discard(identity)
        self._told.pop(identity, None)

    def look(self) -> None:
        """Tell those that have new files, once they are ready: before, the signal might find nobody who hears it."""
        for identity in self._due - self._told.keys():
            components = self._components(identity)
            if not all(worker.ready for worker in components):
                continue
            self._due.discard(identity)
            self._tell(components)
            if any(worker.container.image == PROXY_IMAGE for worker in components):
                self._told[identity] = Told(components[0].workload, time.monotonic())
                self._loop.later(ASK_EVERY, partial(self._ask, identity))

    def _tell(self, components: list[ContainerWorker]) -> None:
        for worker in components:
            self._node.signal(worker, signal.SIGHUP)

    def _components(self, identity: Identity) -> list[ContainerWorker]:
        pod = self._pods.get(identity)
        workers = pod.containers.values() if pod and not pod.stopping else ()
        return [worker for worker in workers if is_component(worker.container.image)]

    def _ask(self, identity: Identity) -> None:
        """For the files that it was told to read, or for newer ones that it may have found in their place."""
        pod, told = self._pods.get(identity), self._told.get(identity)
        if pod is None or pod.stopping or told is None:
            self._told.pop(identity, None)
            return
        asked = pod.workload if told.questions % 2 else told.workload
        self._node.ask_reloaded(asked, lambda passed, _: self._answered(identity, asked, passed))

    def _answered(self, identity: Identity, asked: Workload, passed: bool) -> None:
        pod, told = self._pods.get(identity), self._told.get(identity)
        if pod is None or told is None:
            return
        if passed:
            del self._told[identity]
            if asked.files == pod.workload.files:
                self._due.discard(identity)
            self.look()
            return
        told.questions += 1
        since = time.monotonic() - told.at
        if since >= told.patience:
            told.at, told.patience = time.monotonic(), min(2 * told.patience, PATIENCE_MOST)
            self._tell(self._components(identity))
        self._loop.later(max(ASK_EVERY, since / 4), partial(self._ask, identity))
