"""Components read their files again: they are told by SIGHUP when they have others than before.

HAProxy begins anew for it, and does not hear a signal that comes meanwhile. So a proxy is asked whether it answers by
the files that it has, and told again until it does.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from functools import partial

from testbed.model.components import PROXY_IMAGE, is_component
from testbed.model.workloads import Workload
from testbed.workloads.containers import ContainerWorker
from testbed.workloads.loop import Loop
from testbed.workloads.node import LocalNode
from testbed.workloads.pods import PodWorker

ASK_AFTER = 0.2
"""Seconds; doubled with every question in vain, up to ``ASK_AT_LEAST_EVERY``."""
ASK_AT_LEAST_EVERY = 10.0

Identity = tuple[str, str]
"""(name, uid)."""


class Reloader:
    def __init__(self, loop: Loop, node: LocalNode, pods: Mapping[Identity, PodWorker]) -> None:
        self._loop, self._node, self._pods = loop, node, pods
        self._due: set[Identity] = set()  # have other files than those that they have read
        self._asked: dict[Identity, int] = {}  # questions in vain to those that have been told

    def configure(self, identity: Identity, workload: Workload) -> None:
        """Give a workload that runs its files."""
        if workload.files and self._node.configure(workload):
            self._due.add(identity)

    def forget(self, identity: Identity) -> None:
        self._due.discard(identity)
        self._asked.pop(identity, None)

    def look(self) -> None:
        """Tell those that have new files, once they are ready: before, the signal might find nobody who hears it."""
        for identity in self._due - self._asked.keys():
            components = self._components(identity)
            if not all(worker.ready for worker in components):
                continue
            self._due.discard(identity)
            for worker in components:
                self._node.signal(worker, signal.SIGHUP)
            if any(worker.container.image == PROXY_IMAGE for worker in components):
                self._asked[identity] = 0
                self._loop.later(ASK_AFTER, partial(self._ask, identity))

    def _components(self, identity: Identity) -> list[ContainerWorker]:
        pod = self._pods.get(identity)
        workers = pod.containers.values() if pod and not pod.stopping else ()
        return [worker for worker in workers if is_component(worker.container.image)]

    def _ask(self, identity: Identity) -> None:
        pod = self._pods.get(identity)
        if pod is None or pod.stopping:
            self._asked.pop(identity, None)
            return
        self._node.ask_reloaded(pod.workload, lambda passed, _: self._answered(identity, passed))

    def _answered(self, identity: Identity, passed: bool) -> None:
        if passed:
            self._asked.pop(identity, None)
            self.look()  # there may be other files since the question
            return
        for worker in self._components(identity):
            self._node.signal(worker, signal.SIGHUP)
        self._asked[identity] = self._asked.get(identity, 0) + 1
        delay = min(ASK_AFTER * 2 ** self._asked[identity], ASK_AT_LEAST_EVERY)
        self._loop.later(delay, partial(self._ask, identity))
