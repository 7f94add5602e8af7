"""A running lab by the names that its user knows: hosts to probe from, places to capture at, changes to make."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import TypeVar

import yaml

from testbed.emulation.netns import read_mounted
from testbed.emulation.processes import run_in
from testbed.emulation.rundir import RunDir
from testbed.emulation.waiting import until
from testbed.model.desired import ClustersState, FabricLoadBalancer, FabricState, NextHop, ServicePort, load_state
from testbed.model.planning.faults import PlanError
from testbed.model.planning.plan import Plan
from testbed.model.planning.resolved import PlannedHost, PlannedNic, PlannedNode, PlannedPod
from testbed.observe import captures, names, probes, secure
from testbed.observe.connections import Connection, connected
from testbed.observe.flows import read_settled_flows
from testbed.observe.load import Load, loading
from testbed.observe.probes import DEFAULT_TIMEOUT, Seen
from testbed.observe.status import View
from testbed.operations import edits, injection, verbs
from testbed.operations.documents import CLUSTER, FABRIC, document_path
from testbed.operations.memory import Memory, read_memory
from testbed.operations.readiness import until_ready
from testbed.operations.sources import SourceText, read_segments
from testbed.operations.waiting import controllers_behind
from testbed.spec import SpecError

T = TypeVar("T")

BR_INT = "br-int"

APPLIED = "scenario.yaml"
"""What faults call the documents that a scenario applies."""


@dataclass(frozen=True, slots=True)
class Host:
    """A pod, node, server, master, load balancer or internet host of a running lab."""

    name: str
    owner: str
    address: IPv4Address
    namespace: Path
    host: str
    node: str = ""

    def http(
        self,
        address: IPv4Address | str,
        port: int,
        path: str = "/",
        host: str = "",
        timeout: float = DEFAULT_TIMEOUT,
    ) -> Seen:
        """One HTTP request from here; ``host`` is the Host header when it is not the address."""
        return probes.http(self.namespace, IPv4Address(address), port, path, host, timeout)

    def tcp(self, address: IPv4Address | str, port: int, timeout: float = DEFAULT_TIMEOUT) -> Seen:
        return probes.tcp(self.namespace, IPv4Address(address), port, timeout)

    def udp(
        self, address: IPv4Address | str, port: int, timeout: float = DEFAULT_TIMEOUT, source_port: int = 0
    ) -> Seen:
        return probes.udp(self.namespace, IPv4Address(address), port, timeout, source_port)

    def ping(self, address: IPv4Address | str, timeout: float = DEFAULT_TIMEOUT, size: int = 56) -> Seen:
        return probes.ping(self.namespace, IPv4Address(address), timeout, size)

    def post(self, path: str, port: int = 8080) -> Seen:
        """Tell the echo server of this host something (``/fail``: no longer ready), from beside it."""
        return probes.http(self.namespace, IPv4Address("127.0.0.1"), port, path, method="POST")

    @contextmanager
    def connection(self, address: IPv4Address | str, port: int) -> Iterator[Connection]:
        """A connection from here that stays open. Raises ``OSError`` when it can't be made."""
        with connected(self.namespace, IPv4Address(address), port) as connection:
            yield connection

    @contextmanager
    def load(self, address: IPv4Address | str, port: int, host: str = "") -> Iterator[Load]:
        """HTTP requests from here without a pause while the block runs."""
        with loading(self.namespace, IPv4Address(address), port, host) as load:
            yield load

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class ServiceView:
    """A Service as the switches have it."""

    name: str
    cluster_ip: str
    ports: tuple[ServicePort, ...]


class RunningLab:
    """Reads the lab's memory once and again after every change made through it."""

    def __init__(self, rundir: RunDir, model: str = "") -> None:
        self.rundir = rundir
        self.model = model
        self._memory = self._read()

    # what there is ---------------------------------------------------------------------------------------

    def pods(self, labels: str = "", node: str = "", namespace: str = "default") -> list[Host]:
        """Placed pods with all of ``labels`` (``app=web,tier=front``), in the order of their names."""
        wanted = {tuple(part.split("=", 1)) for part in labels.split(",") if part}
        found = [
            self._pod(pod)
            for pod in self._memory.pods
            if pod.node is not None
            and pod.namespace == namespace
            and wanted <= set(pod.template.labels)
            and (not node or pod.node == node)
        ]
        return sorted(found, key=lambda host: host.name)

    def pod(self, name: str, namespace: str = "default") -> Host:
        """Raises ``LookupError`` for a pod that is not there or not placed."""
        return _only(self._memory.pods, lambda pod: pod.name == name and pod.namespace == namespace, name, self._pod)

    def node(self, name: str) -> Host:
        return _only(self._memory.nodes, lambda node: node.name == name, name, self._node)

    def nodes(self) -> list[Host]:
        return [self._node(node) for node in self._memory.nodes]

    def host(self, name: str) -> Host:
        """A server, master, load balancer or internet host."""
        return _only(self._memory.hosts, lambda host: host.name == name, name, self._host)

    def pending(self) -> dict[str, str]:
        """Reason by name of each pod that got no node or no address."""
        return {pod.name: pod.pending for pod in self._memory.pods if pod.node is None}

    def nics(self, node: str) -> tuple[PlannedNic, ...]:
        """Sub-ENIs and ENIs bound to a node, those of pods and pre-bound ones."""
        return next(item.nics for item in self._memory.nodes if item.name == node)

    def routes(self, table: str, within: str) -> dict[str, str]:
        """Destinations inside ``within`` that the fabric's route table sends to an ENI, with the ENI's owner."""
        state = load_state(FabricState, document_path(self.rundir, FABRIC))
        owners = {eni.id: eni.owner.rpartition("/")[2] for eni in state.enis}
        (found,) = (item for item in state.route_tables if item.name == table)
        return {
            str(route.destination): owners[route.target]
            for route in found.routes
            if route.kind is NextHop.ENI and route.destination.subnet_of(IPv4Network(within))
        }

    def namespaces(self) -> frozenset[str]:
        """Names of the network namespaces that exist for the lab."""
        return read_mounted(self.rundir)

    def service(self, name: str, namespace: str = "default") -> ServiceView:
        """A Service's address and ports. Raises ``LookupError``."""
        state = load_state(ClustersState, document_path(self.rundir, CLUSTER))
        key = f"{namespace}/{name}"
        ports = [port for cluster in state.clusters for port in cluster.services if port.service == key]
        if not ports:
            raise LookupError(f"the lab has no Service {key} with a cluster address")
        return ServiceView(name, str(ports[0].cluster_ip), tuple(ports))

    def members(self, balancer: str, port: int) -> set[str]:
        """Names of the nodes or pods that a balancer's listener forwards to."""
        found = self._balancer(balancer)
        (listener,) = (item for item in found.listeners if item.port == port)
        return {member.owner.rpartition("/")[2] for member in listener.members}

    def until_members(self, balancer: str, port: int, names: set[str], limit: float = 10.0) -> None:
        """Return when these nodes or pods are a listener's members and the fabric forwards to them."""
        until(lambda: self.members(balancer, port) == names, limit, f"{balancer}'s members to be {sorted(names)}")
        self._until_carried(load_state(FabricState, document_path(self.rundir, FABRIC)).generation, limit)

    def balancer_connections(self, balancer: str) -> int:
        """Packets that came to the balancer's listeners, by the counters of their flows in the fabric."""
        (bridge,) = (item for item in View(self.rundir).bridges if item.name == "vpc")
        flows = read_settled_flows(self.rundir, bridge)
        owner = f"LoadBalancer/{balancer}"
        return sum(flow.packets for flow in flows if (flow.table_name, flow.owner) == ("balancer", owner)) + sum(
            flow.packets for flow in flows if flow.table_name == "pick" and flow.owner.startswith("Service/")
        )

    def affinities(self, client: Host) -> list[int]:
        """For each endpoint that the switch of the client's node remembers for it (sessionAffinity: ClientIP): after
        how many seconds of silence it forgets it."""
        (bridge,) = (item for item in View(self.rundir).bridges if (item.namespace, item.name) == (client.node, BR_INT))
        flows = read_settled_flows(self.rundir, bridge)
        mine = (flow for flow in flows if f"nw_src={client.address}" in flow.match.split(","))
        return [flow.idle_timeout for flow in mine if flow.table_name == "affinity"]

    def dnat_target(self, eip: str) -> str:
        """Name of the node that the NAT gateway's rule for an elastic IP leads to."""
        state = load_state(FabricState, document_path(self.rundir, FABRIC))
        rules = [rule for gateway in state.nat_gateways for rule in gateway.dnat if str(rule.eip) == eip]
        return next(node.name for node in self._memory.nodes if node.address == rules[0].target)

    def _balancer(self, name: str) -> FabricLoadBalancer:
        state = load_state(FabricState, document_path(self.rundir, FABRIC))
        return next(item for item in state.load_balancers if item.name == name)

    def until_endpoints(self, name: str, ready: int, limit: float = 10.0) -> None:
        """Return when the Service has ``ready`` ready endpoints and the switches know it, also amid a change."""

        def settled() -> bool:
            return sum(endpoint.ready for endpoint in self.service(name).ports[0].endpoints) == ready

        until(settled, limit, f"Service {name} to have {ready} ready endpoints")
        self._until_carried(load_state(ClustersState, document_path(self.rundir, CLUSTER)).generation, limit)
        self.again()

    def _until_carried(self, generation: int, limit: float) -> None:
        until(lambda: not controllers_behind(self.rundir, generation), limit, "the switches to know it")

    def until(self, condition: Callable[[], T], limit: float, what: str) -> T:
        """Ask again and again until the answer is something true. Raises ``EmulationError`` after ``limit`` seconds."""
        return until(condition, limit, what)

    @property
    def memory(self) -> Memory:
        """Everything planned: blocks, ENIs, EIPs, the ledger."""
        return self._memory

    # what happens on the wire ----------------------------------------------------------------------------

    @contextmanager
    def capture(self, *places: str) -> Iterator[captures.Capture]:
        """Frames at ``places`` (``n1/eth0``, ``web-0/eth0``) while the block runs."""
        found = []
        for place in places:
            name, _, interface = place.partition("/")
            found.append(captures.Place(place, self.rundir.namespace(self._namespace(name)), interface or "eth0"))
        with captures.capturing(found) as capture:
            yield capture

    # changes ---------------------------------------------------------------------------------------------

    def apply(self, text: str) -> Plan:
        """Apply YAML documents as ``lab apply -f`` does; returns when they are in force."""
        outcome = verbs.apply_sources((SourceText(APPLIED, text),), self.rundir)
        self._memory = self._read()
        return outcome.plan

    def refusal(self, text: str) -> str:
        """Apply documents that should be refused: the reasons, or "" when they were accepted."""
        try:
            self.apply(text)
        except (SpecError, PlanError) as error:
            return str(error)
        return ""

    def document(self, kind: str, name: str) -> str:
        """The YAML document that the lab was made of. Raises ``LookupError``."""
        for source in self._memory.sources:
            for segment in read_segments(source.text):
                if segment.ref is not None and (segment.ref.kind, segment.ref.name) == (kind, name):
                    return source.text[segment.start : segment.end]
        raise LookupError(f"the lab has no {kind} {name}")

    def document_with(self, kind: str, name: str, line: str) -> str:
        """That document with ``key: value`` set in its spec."""
        content = yaml.safe_load(self.document(kind, name))
        content["spec"].update(yaml.safe_load(line))
        return str(yaml.safe_dump(content, sort_keys=False))

    def set_cluster(self, line: str) -> Plan:
        """Apply the lab's Cluster document with one line of its ``spec`` set (``fixPoolMask: 26``)."""
        (cluster, *_) = self._memory.lab.clusters
        return self.apply(self.document_with("Cluster", cluster.name, line))

    @contextmanager
    def without_route(self, table: str, destination: str) -> Iterator[None]:
        """A node's route deleted from ``table`` by hand while the block runs."""
        text = self.document("RouteTable", table)
        self.apply(self.document_with("RouteTable", table, f"deletedNodeRoutes: [{destination}]"))
        try:
            yield
        finally:
            self.apply(text)

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

    def run(self, host: Host, *argv: str, timeout: float = 30.0) -> subprocess.CompletedProcess[str]:
        """Run a program in ``host``'s namespace and return its result."""
        return run_in(self.rundir, host.host, argv, timeout)

    def lookup(self, host: Host, name: str, kind: str = "A", tcp: bool = False) -> names.Answer:
        """What ``name`` means to ``host``, by its own resolv.conf."""
        return names.lookup(self.rundir, host.host, name, kind, tcp)

    def https(self, client: Host, server: Host, name: str, host: str) -> secure.SecureAnswer:
        """One HTTPS request to ``server``: ``name`` by SNI, ``host`` in the Host header."""
        return secure.ask(self.rundir, client.host, server.address, name, host)

    def until_name(self, host: Host, name: str, expected: str, limit: float = 10.0) -> float:
        """Return when ``name`` means ``expected`` to ``host``; milliseconds until then."""
        begin = time.monotonic()
        until(lambda: str(self.lookup(host, name)) == expected, limit, f"{name} to be {expected}")
        return (time.monotonic() - begin) * 1000

    def again(self) -> None:
        """Read the lab's memory again, after a change made elsewhere."""
        self._memory = self._read()

    def _read(self) -> Memory:
        memory = read_memory(self.rundir)
        if memory is None:
            raise LookupError(f"lab {self.rundir.lab} is not up")
        return memory

    def _namespace(self, name: str) -> str:
        for pod in self._memory.pods:
            if name in (pod.name, pod.host):
                return pod.host
        return name

    def _pod(self, pod: PlannedPod) -> Host:
        assert pod.address is not None
        path = self.rundir.namespace(pod.host)
        return Host(pod.name, pod.owner, pod.address, path, pod.host, pod.node or "")

    def _node(self, node: PlannedNode) -> Host:
        path = self.rundir.namespace(node.name)
        return Host(node.name, node.owner, node.address, path, node.name, node.name)

    def _host(self, host: PlannedHost) -> Host:
        return Host(host.name, host.owner, host.address, self.rundir.namespace(host.name), host.name)


def _only(items: Sequence[T], chosen: Callable[[T], bool], name: str, make: Callable[[T], Host]) -> Host:
    for item in items:
        if chosen(item):
            return make(item)
    raise LookupError(f'nothing called "{name}" is in the lab')
