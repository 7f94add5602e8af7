"""What there is in a running lab, by the names that its user knows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import IPv4Network
from typing import TypeVar

import yaml

from testbed.emulation.netns import read_mounted
from testbed.emulation.rundir import RunDir
from testbed.model.desired import ClustersState, FabricLoadBalancer, FabricState, NextHop, load_state
from testbed.model.planning.resolved import PlannedHost, PlannedNic, PlannedNode, PlannedPod
from testbed.observe.flows import read_settled_flows
from testbed.observe.status import View
from testbed.operations.documents import CLUSTER, FABRIC, document_path
from testbed.operations.memory import Memory, read_memory
from testbed.operations.sources import read_segments
from testbed.scenario.hosts import Host, ServiceView

T = TypeVar("T")

BR_INT = "br-int"


class LabView:
    """Reads the lab's memory once, and again after every change made through :class:`RunningLab`."""

    def __init__(self, rundir: RunDir, model: str = "") -> None:
        self.rundir = rundir
        self.model = model
        self._memory = self._read()

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

    @property
    def memory(self) -> Memory:
        """Everything planned: blocks, ENIs, EIPs, the ledger."""
        return self._memory

    def document(self, kind: str, name: str) -> str:
        """The YAML document that the lab is made of. Raises ``LookupError``."""
        for source in self._memory.sources:
            for segment in read_segments(source.text):
                if segment.ref is not None and (segment.ref.kind, segment.ref.name) == (kind, name):
                    return source.text[segment.start : segment.end].removeprefix("---")
        raise LookupError(f"the lab has no {kind} {name}")

    def document_with(self, kind: str, name: str, line: str) -> str:
        """That document with ``key: value`` set in its spec."""
        content = yaml.safe_load(self.document(kind, name))
        content["spec"].update(yaml.safe_load(line))
        return str(yaml.safe_dump(content, sort_keys=False))

    def again(self) -> None:
        """Read the lab's memory again, after a change made elsewhere."""
        self._memory = self._read()

    def _balancer(self, name: str) -> FabricLoadBalancer:
        state = load_state(FabricState, document_path(self.rundir, FABRIC))
        return next(item for item in state.load_balancers if item.name == name)

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
