"""The cluster controller's document."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from testbed.model.cloud import Cluster
from testbed.model.desired import GATEWAY_MAC, ClusterNode, ClustersState, ClusterState, PodPort, ServicePort
from testbed.model.lab import Lab
from testbed.model.planning.allocator import Allocator
from testbed.model.planning.names import ex_datapath, int_datapath, service_link_mac
from testbed.model.planning.resolved import PlannedNode, PlannedPod


def plan_clusters(
    lab: Lab,
    nodes: Sequence[PlannedNode],
    pods: Sequence[PlannedPod],
    services: dict[str, tuple[ServicePort, ...]],
    allocator: Allocator,
    generation: int,
) -> ClustersState:
    by_node: dict[tuple[str, str], list[PlannedPod]] = defaultdict(list)
    for pod in pods:
        if pod.node is not None and not pod.host_network:
            by_node[pod.cluster, pod.node].append(pod)
    clusters = tuple(_cluster(item, nodes, by_node, services, allocator) for item in lab.clusters)
    return ClustersState(generation, clusters)


def _cluster(
    cluster: Cluster,
    nodes: Sequence[PlannedNode],
    pods: dict[tuple[str, str], list[PlannedPod]],
    services: dict[str, tuple[ServicePort, ...]],
    allocator: Allocator,
) -> ClusterState:
    return ClusterState(
        name=cluster.name,
        model=cluster.model,
        vni=4096 + allocator.number("vni", cluster.name, 1, 4095),
        nodes=tuple(_node(node, pods[cluster.name, node.name]) for node in nodes if node.cluster == cluster.name),
        owner=f"Cluster/{cluster.name}",
        container_cidr=cluster.container_cidr,
        service_cidr=cluster.service_cidr,
        non_masquerade=cluster.non_masquerade_cidrs,
        services=services.get(cluster.name, ()),
    )


def _node(node: PlannedNode, pods: Sequence[PlannedPod]) -> ClusterNode:
    return ClusterNode(
        name=node.name,
        index=node.index,
        address=node.address,
        mac=node.mac,
        int_mac=node.int_mac,
        gateway_mac=GATEWAY_MAC,
        ex_datapath_id=ex_datapath(node.index),
        int_datapath_id=int_datapath(node.index),
        owner=node.owner,
        blocks=node.blocks,
        pods=tuple(_pod(pod) for pod in pods),
        carrier=node.carrier is not None,
    )


def _pod(pod: PlannedPod) -> PodPort:
    assert pod.address is not None
    exclusive = pod.nic is not None and pod.nic.vlan is None
    return PodPort(
        namespace=pod.namespace,
        name=pod.name,
        address=pod.address,
        mac=service_link_mac(pod.mac) if exclusive else pod.mac,
        port=pod.port,
        owner=pod.owner,
        vlan=pod.nic.vlan if pod.nic else None,
        exclusive=exclusive,
    )
