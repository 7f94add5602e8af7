"""Who plays which role in a lab that is compared with another, and the ways of access between them. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.emulation.errors import EmulationError
from testbed.model.desired import ClustersState, FabricState
from testbed.model.kubernetes import Container
from testbed.model.planning.resolved import PlannedHost, PlannedNode, PlannedPod
from testbed.operations.memory import Memory


@dataclass(frozen=True, slots=True)
class Cast:
    """Who plays which role. ``near`` and ``far`` are servers beside the client and on another node."""

    client: PlannedPod
    node: PlannedNode
    near: PlannedPod | None
    far: PlannedPod | None
    far_node: PlannedNode | None
    server: PlannedHost | None
    peer: PlannedHost | None
    internet: PlannedHost | None


@dataclass(frozen=True, slots=True)
class Path:
    """One way of access; ``source`` is a namespace of the lab."""

    title: str
    source: str
    address: IPv4Address
    port: int


def choose_cast(memory: Memory) -> Cast:
    """The client is the first pod that has servers beside it and elsewhere, or as much of that as there is."""
    pods = [pod for pod in memory.pods if pod.node and pod.address and not pod.host_network]
    if not pods:
        raise EmulationError("no pod of the lab has a node and an address; add a Deployment or a Pod to compare")
    client = max(pods, key=lambda pod: (_near(pods, pod) is not None) + (_far(pods, pod) is not None))
    near, far = _near(pods, client), _far(pods, client)
    nodes = {(node.cluster, node.name): node for node in memory.nodes}
    node = nodes[client.cluster, client.node or ""]
    servers = [host for host in memory.hosts if host.vpc and host.filtered and not host.cluster and port_of(host)]
    return Cast(
        client,
        node,
        near,
        far,
        nodes[far.cluster, far.node or ""] if far else None,
        next((host for host in servers if host.vpc == node.vpc), None),
        next((host for host in servers if host.vpc != node.vpc), None),
        next((host for host in memory.hosts if host.vpc is None and port_of(host)), None),
    )


def _near(pods: list[PlannedPod], client: PlannedPod) -> PlannedPod | None:
    return next((pod for pod in pods if pod.node == client.node and pod is not client and port_of(pod)), None)


def _far(pods: list[PlannedPod], client: PlannedPod) -> PlannedPod | None:
    return next((pod for pod in pods if pod.node != client.node and port_of(pod)), None)


def port_of(host: PlannedHost | PlannedPod) -> int:
    """The first TCP port that its containers declare; 0: none."""
    containers: tuple[Container, ...] = (
        host.containers if isinstance(host, PlannedHost) else host.template.spec.containers
    )
    return next((port.port for item in containers for port in item.ports if port.protocol.lower() == "tcp"), 0)


def plan_paths(cast: Cast, fabric: FabricState, clusters: ClustersState) -> Iterator[Path]:
    """Every way of access for which the lab has both ends."""
    pod, node = cast.client.host, cast.node.name
    for title, target in (
        ("pod to pod on one node", cast.near),
        ("pod to pod on another node", cast.far),
        ("pod to VPC server", cast.server),
        ("pod to peered VPC", cast.peer),
        ("pod to internet", cast.internet),
    ):
        if target is not None and target.address is not None:
            yield Path(title, pod, target.address, port_of(target))
    if cast.far is not None and cast.far.address is not None:
        for title, source in (("VPC server to pod", cast.server), ("peered VPC to pod", cast.peer)):
            if source is not None:
                yield Path(title, source.name, cast.far.address, port_of(cast.far))
        yield Path("node to pod on another node", node, cast.far.address, port_of(cast.far))
    yield from _service_paths(cast, fabric, clusters, pod)


def _service_paths(cast: Cast, fabric: FabricState, clusters: ClustersState, pod: str) -> Iterator[Path]:
    """ClusterIP, NodePort and load balancer, each by the first Service that has endpoints and that way."""
    ports = [port for cluster in clusters.clusters for port in cluster.services]
    ports = [
        port
        for port in ports
        if port.endpoints and port.protocol.value == "tcp" and not port.service.startswith("kube-")
    ]
    inside = next((port for port in ports if port.cluster_ip and not (port.internal_local or port.node_port)), None)
    if inside is not None and inside.cluster_ip is not None:
        yield Path("pod to ClusterIP", pod, inside.cluster_ip, inside.port)
    by_node = next((port for port in ports if port.node_port and not port.external_local), None)
    if by_node is not None and cast.server is not None:
        yield Path("VPC server to NodePort", cast.server.name, cast.node.address, by_node.node_port or 0)
    balancer = next((item for item in fabric.load_balancers if any(one.members for one in item.listeners)), None)
    if balancer is not None and cast.server is not None:
        listener = next(one for one in balancer.listeners if one.members)
        yield Path("VPC server to load balancer", cast.server.name, balancer.address, listener.port)
        yield Path("pod to load balancer", pod, balancer.address, listener.port)
