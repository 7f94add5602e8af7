"""A running lab by the names that its user knows: places to capture at, changes to make, things to wait for."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from testbed.emulation.processes import run_in
from testbed.emulation.waiting import until
from testbed.model.desired import ClustersState, FabricState, load_state
from testbed.model.planning.faults import PlanError
from testbed.model.planning.plan import Plan
from testbed.observe import captures, names, secure
from testbed.operations import edits, injection, verbs
from testbed.operations.documents import CLUSTER, FABRIC, document_path
from testbed.operations.readiness import until_ready
from testbed.operations.sources import SourceText
from testbed.operations.waiting import controllers_behind
from testbed.scenario.hosts import Host
from testbed.scenario.view import LabView
from testbed.spec import SpecError

T = TypeVar("T")

APPLIED = "scenario.yaml"
"""What faults call the documents that a scenario applies."""


class RunningLab(LabView):
    """A lab to look at, to capture on and to change."""

    @contextmanager
    def capture(self, *places: str) -> Iterator[captures.Capture]:
        """Frames at ``places`` (``n1/eth0``, ``web-0/eth0``) while the block runs."""
        found = []
        for place in places:
            name, _, interface = place.partition("/")
            found.append(captures.Place(place, self.rundir.namespace(self._namespace(name)), interface or "eth0"))
        with captures.capturing(found) as capture:
            yield capture

    def run(self, host: Host, *argv: str, timeout: float = 30.0) -> subprocess.CompletedProcess[str]:
        """Run a program in ``host``'s namespace and return its result."""
        return run_in(self.rundir, host.host, argv, timeout)

    def lookup(self, host: Host, name: str, kind: str = "A", tcp: bool = False) -> names.Answer:
        """What ``name`` means to ``host``, by its own resolv.conf."""
        return names.lookup(self.rundir, host.host, name, kind, tcp)

    def https(self, client: Host, server: Host, name: str, host: str) -> secure.SecureAnswer:
        """One HTTPS request to ``server``: ``name`` by SNI, ``host`` in the Host header."""
        return secure.ask(self.rundir, client.host, server.address, name, host)

    def apply(self, *documents: str) -> Plan:
        """Apply YAML documents together as ``lab apply -f`` does; returns when they are in force."""
        outcome = verbs.apply_sources((SourceText(APPLIED, "\n---\n".join(documents)),), self.rundir)
        self._memory = self._read()
        return outcome.plan

    def refusal(self, *documents: str) -> str:
        """Apply documents that should be refused: the reasons, or "" when they were accepted."""
        try:
            self.apply(*documents)
        except (SpecError, PlanError) as error:
            return str(error)
        return ""

    def set_cluster(self, line: str) -> Plan:
        """Apply the lab's Cluster document with one line of its ``spec`` set (``fixPoolMask: 26``)."""
        (cluster, *_) = self._memory.lab.clusters
        return self.apply(self.document_with("Cluster", cluster.name, line))

    @contextmanager
    def changed(self, kind: str, name: str, line: str) -> Iterator[None]:
        """A document with ``key: value`` set in its spec while the block runs; then it is as before."""
        before = self.document(kind, name)
        self.apply(self.document_with(kind, name, line))
        try:
            yield
        finally:
            self.apply(before)

    @contextmanager
    def without_link(self, host: str, interface: str = "eth0") -> Iterator[None]:
        """The cable of a node, server or load balancer pulled out while the block runs, as ``lab fault`` does."""
        injection.take_link_down(self.rundir, host, interface)
        try:
            yield
        finally:
            injection.clear_faults(self.rundir, (host,))

    def scale(self, kind: str, name: str, replicas: int, namespace: str = "default") -> None:
        """As ``lab scale`` does."""
        (target,) = edits.read_targets((f"{kind}/{name}",), namespace)
        verbs.scale(target, replicas, self.rundir)
        self.again()

    def delete(self, *objects: str, namespace: str = "default") -> None:
        """Delete objects (``pod/web-0``) as ``lab delete`` does."""
        verbs.delete(edits.read_targets(objects, namespace), self.rundir)
        self.again()

    def wait_ready(self, limit: float = 30.0) -> None:
        """Return when everything that runs in the lab is ready. Raises ``EmulationError`` naming what is not."""
        until_ready(self.rundir, limit)
        self.again()

    def until(self, condition: Callable[[], T], limit: float, what: str) -> T:
        """Ask again and again until the answer is something true. Raises ``EmulationError`` after ``limit`` seconds."""
        return until(condition, limit, what)

    def until_members(self, balancer: str, port: int, names: set[str], limit: float = 10.0) -> None:
        """Return when these nodes or pods are a listener's members and the fabric forwards to them."""
        until(lambda: self.members(balancer, port) == names, limit, f"{balancer}'s members to be {sorted(names)}")
        self._until_carried(load_state(FabricState, document_path(self.rundir, FABRIC)).generation, limit)

    def until_endpoints(self, name: str, ready: int, limit: float = 10.0) -> None:
        """Return when the Service has ``ready`` ready endpoints and the switches know it, also amid a change."""

        def settled() -> bool:
            return sum(endpoint.ready for endpoint in self.service(name).ports[0].endpoints) == ready

        until(settled, limit, f"Service {name} to have {ready} ready endpoints")
        self._until_carried(load_state(ClustersState, document_path(self.rundir, CLUSTER)).generation, limit)
        self.again()

    def until_name(self, host: Host, name: str, expected: str, limit: float = 10.0) -> float:
        """Return when ``name`` means ``expected`` to ``host``; milliseconds until then."""
        begin = time.monotonic()
        until(lambda: str(self.lookup(host, name)) == expected, limit, f"{name} to be {expected}")
        return (time.monotonic() - begin) * 1000

    def _until_carried(self, generation: int, limit: float) -> None:
        until(lambda: not controllers_behind(self.rundir, generation), limit, "the switches to know it")
