"""Services measured: all of them programmed, one endpoint changed, connections through a ClusterIP and past it.

A lab of its own is up, in whose pods nothing runs; its lock is held while Services come and go, so that only what is
measured plans and writes. "In force" means that every switch has confirmed the generation.
"""

from __future__ import annotations

import secrets
import selectors
import socket
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from ipaddress import IPv4Address
from pathlib import Path
from tempfile import TemporaryDirectory

from testbed.emulation.errors import EmulationError, NoSuchLabError
from testbed.emulation.lock import locked
from testbed.emulation.netns import inside
from testbed.emulation.rundir import RunDir
from testbed.emulation.teardown import tear_down
from testbed.model.kubernetes import KubeServicePort, Service
from testbed.model.lab import Lab
from testbed.model.planning.observed import Observed
from testbed.model.planning.plan import Plan, plan_lab
from testbed.model.planning.resolved import PlannedPod
from testbed.model.source import Source
from testbed.operations import verbs
from testbed.operations.bench import bench_text
from testbed.operations.change import Note
from testbed.operations.documents import CLUSTER, write_plan
from testbed.operations.memory import Memory, read_memory
from testbed.operations.readiness import until_ready
from testbed.operations.waiting import controllers_behind, read_status

CHANGES = 10
"""Endpoints changed one after the other in a run; the median counts."""

RATE_ROUNDS, RATE_SECONDS = 5, 0.6
"""Connections are made by turns to the ClusterIP and to a pod, so that both meet the same machine."""

_LIMIT = 120.0
_LOOK = 0.001
_PATIENCE = 20.0
_LOCK_LIMIT = 20.0
_PORT = 9000

_PODS = """
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: {name}}}
spec:
  serviceName: {name}
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec: {{containers: [{{name: pause, image: pause}}]}}
"""


@dataclass(frozen=True, slots=True)
class ServicesRun:
    """Seconds, messages to all switches, and connections a second. ``plan`` is of the whole lab, each time."""

    plan: float
    build: float
    change: float
    messages: float
    service_rate: float
    pod_rate: float


def measure_services(
    nodes: int, services: int, endpoints: int, model: str, datapath: str, note: Note = verbs.silent
) -> ServicesRun:
    """One lab up, measured and down. Raises ``EmulationError`` when the lab does not do what is timed."""
    with _lab(nodes, endpoints, model, datapath, note) as rundir, locked(rundir, _LOCK_LIMIT):
        memory = read_memory(rundir)
        if memory is None:
            raise EmulationError(f"lab {rundir.lab} has gone")
        bench = _Bench(rundir, memory, services)
        note("a full build")
        build = bench.build()
        note("one endpoint at a time")
        changes = [bench.change(number) for number in range(CHANGES)]
        note("connections")
        service_rate, pod_rate = bench.rates()
    return ServicesRun(
        plan=statistics.median(bench.planned),
        build=build,
        change=statistics.median(seconds for seconds, _ in changes),
        messages=statistics.median(messages for _, messages in changes),
        service_rate=service_rate,
        pod_rate=pod_rate,
    )


def median_services(runs: Sequence[ServicesRun]) -> ServicesRun:
    """The median of each figure."""
    names = [field.name for field in fields(ServicesRun)]
    return ServicesRun(**{name: statistics.median(getattr(run, name) for run in runs) for name in names})


@contextmanager
def _lab(nodes: int, endpoints: int, model: str, datapath: str, note: Note) -> Iterator[RunDir]:
    rundir = RunDir.of(f"bench-{secrets.token_hex(3)}")
    pods = (_PODS.format(name=name, replicas=endpoints) for name in ("many", "one"))
    try:
        with TemporaryDirectory() as folder:
            file = Path(folder) / "bench.yaml"
            file.write_text(bench_text(nodes, 2, model) + "".join(pods), encoding="utf-8")
            verbs.up((str(file),), rundir, datapath, note=note)
        until_ready(rundir, _LIMIT)
        yield rundir
    finally:
        with suppress(NoSuchLabError):
            tear_down(rundir, _LOCK_LIMIT)


class _Bench:
    """The lab's generations from here on."""

    def __init__(self, rundir: RunDir, memory: Memory, services: int) -> None:
        self._rundir, self._memory = rundir, memory
        self._lab = replace(memory.lab, services=(*memory.lab.services, *_services(memory.lab, services)))
        self._generation, self._ledger = memory.last_generation, memory.ledger
        self._ready = frozenset(memory.ready)
        self._plan: Plan | None = None
        self.planned: list[float] = []

    def build(self) -> float:
        """All Services in force, where there were none."""
        return self._in_force(self._ready)

    def change(self, number: int) -> tuple[float, int]:
        """One endpoint of one Service leaves, or is back: seconds until in force, and messages to all switches."""
        gone = {self._pod("one-0").uid} if number % 2 == 0 else set[str]()
        before = self._sent()
        seconds = self._in_force(self._ready - gone)
        return seconds, self._sent() - before

    def rates(self) -> tuple[float, float]:
        """Connections a second from one pod: to a ClusterIP, and to a pod of the node that one of its endpoints is on.

        Not to the endpoint itself: a port that asks it both ways within a minute finds it in TIME-WAIT of the other
        way, and connection tracking keeps what comes of that for half a minute.
        """
        assert self._plan is not None
        self._in_force(self._ready)
        (address,) = (item.cluster_ip for item in self._plan.services if item.service.name == "service-0")
        assert address is not None
        endpoints = [each for each in self._plan.pods if each.name.startswith("one-")]
        pod = next(each for each in self._plan.pods if each.name.startswith("many-") and each.node == endpoints[0].node)
        client = next(each for each in self._plan.pods if each.controller.endswith("/pod") and each.node != pod.node)
        namespace = self._rundir.namespace(client.host)
        assert pod.address is not None
        with _answering([self._rundir.namespace(each.host) for each in (*endpoints, pod)]):
            found = [[_rate(namespace, target) for target in (address, pod.address)] for _ in range(RATE_ROUNDS)]
        return statistics.median(one for one, _ in found), statistics.median(other for _, other in found)

    def _pod(self, name: str) -> PlannedPod:
        return next(pod for pod in self._memory.pods if pod.name == name)

    def _in_force(self, ready: frozenset[str]) -> float:
        self._generation += 1
        begin = time.monotonic()
        plan = plan_lab(self._lab, self._ledger, self._generation, self._memory.datapath, time.time(), Observed(ready))
        planned = time.monotonic()
        write_plan(self._rundir, plan)
        while obstacles := controllers_behind(self._rundir, plan.generation):
            if time.monotonic() > planned + _LIMIT:
                raise EmulationError(f"the Services are not in force: {obstacles[0][0]}")
            time.sleep(_LOOK)
        self.planned.append(planned - begin)
        self._plan, self._ledger = plan, plan.ledger
        return time.monotonic() - planned

    def _sent(self) -> int:
        status = read_status(self._rundir, CLUSTER)
        return int(status["messages_sent"]) if status else 0


def _services(lab: Lab, number: int) -> Iterator[Service]:
    """``service-0`` has the pods ``one-*`` behind it, all others ``many-*``."""
    cluster = lab.clusters[0].name
    for position in range(number):
        app = "many" if position else "one"
        yield Service(
            namespace="default",
            name=f"service-{position}",
            cluster=cluster,
            type="ClusterIP",
            selector=(("app", app),),
            ports=(KubeServicePort(_PORT, str(_PORT)),),
            source=Source("bench", 0),
        )


@contextmanager
def _answering(namespaces: Sequence[Path]) -> Iterator[None]:
    """Something in each namespace that accepts connections and closes them: with next to no time of its own."""
    listening = [inside(namespace, _listen) for namespace in namespaces]
    ended = threading.Event()
    thread = threading.Thread(target=_accept, args=(listening, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        for each in listening:
            each.close()


def _listen() -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("0.0.0.0", _PORT))
    made.listen(128)
    made.setblocking(False)
    return made


def _accept(listening: Sequence[socket.socket], ended: threading.Event) -> None:
    with selectors.DefaultSelector() as selector:
        for each in listening:
            selector.register(each, selectors.EVENT_READ)
        while not ended.is_set():
            for key, _ in selector.select(0.1):
                assert isinstance(key.fileobj, socket.socket)
                with suppress(OSError):
                    key.fileobj.accept()[0].close()


def _rate(namespace: Path, address: IPv4Address) -> float:
    """Connections a second, one after the other, from ``namespace``; each is over when the server has closed it."""

    def connect() -> float:
        made, begin = 0, time.monotonic()
        while (spent := time.monotonic() - begin) < RATE_SECONDS:
            with socket.socket() as client:
                client.settimeout(_PATIENCE)
                client.connect((str(address), _PORT))
                client.recv(1)
            made += 1
        return made / spent

    try:
        return inside(namespace, connect)
    except OSError as error:
        raise EmulationError(f"a connection to {address} port {_PORT} failed: {error}") from error
