"""Nodes: their addresses in the node subnet, their ENIs, and in the ``vpc`` model their block of pod addresses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network

from testbed.model.cloud import Cluster, NodePool, Subnet
from testbed.model.desired import NetworkModel
from testbed.model.lab import Lab
from testbed.model.planning.allocator import Allocator, ExhaustedError
from testbed.model.planning.faults import PlanFault, told
from testbed.model.planning.names import eni_mac, node_internal_mac
from testbed.model.planning.resolved import PlannedHost, PlannedNode


def plan_nodes(lab: Lab, allocator: Allocator, faults: list[PlanFault]) -> tuple[PlannedNode, ...]:
    """Every worker node of every cluster; a node that can't be had is a fault, with the reason."""
    subnets = {subnet.name: subnet for subnet in lab.subnets}
    nodes: list[PlannedNode] = []
    for cluster, pool, name in _wanted_nodes(lab):
        with told(faults, pool.source, f"Node/{name}", _node_hint(cluster)):
            nodes.append(_plan_node(cluster, pool, name, subnets, allocator))
    return tuple(nodes)


def plan_masters(lab: Lab, allocator: Allocator, faults: list[PlanFault]) -> tuple[PlannedHost, ...]:
    """Masters are plain hosts of the node subnet: they take addresses and can be talked from, nothing runs there."""
    subnets = {subnet.name: subnet for subnet in lab.subnets}
    masters: list[PlannedHost] = []
    for cluster in lab.clusters:
        subnet = subnets[cluster.node_subnet]
        for ordinal in range(1, cluster.masters + 1):
            name = f"{cluster.name}-master-{ordinal}"
            owner = f"Node/{name}"
            with told(faults, cluster.source, owner, "a larger node subnet"):
                masters.append(_plan_master(cluster, name, owner, subnet, allocator))
    return tuple(masters)


def _plan_master(cluster: Cluster, name: str, owner: str, subnet: Subnet, allocator: Allocator) -> PlannedHost:
    address, eni = allocator.address(subnet, owner), allocator.eni(owner)
    return PlannedHost(
        name=name,
        owner=owner,
        address=address,
        eni=eni,
        mac=eni_mac(eni),
        containers=(),
        source=cluster.source,
        vpc=subnet.vpc,
        subnet=subnet.name,
        security_groups=(f"{cluster.name}-cce-control",),
        cluster=cluster.name,
    )


def _wanted_nodes(lab: Lab) -> Iterator[tuple[Cluster, NodePool, str]]:
    for cluster in lab.clusters:
        for pool in cluster.pools:
            for name in pool.node_names:
                yield cluster, pool, name


def _plan_node(
    cluster: Cluster, pool: NodePool, name: str, subnets: Mapping[str, Subnet], allocator: Allocator
) -> PlannedNode:
    owner = f"Node/{name}"
    subnet = subnets[pool.subnet or cluster.node_subnet]
    blocks = _blocks(cluster, name, allocator)
    carrier = _carrier(cluster, pool, name, subnets, allocator)
    index = allocator.number("node", owner, 0, 4095)
    address = allocator.address(subnet, owner)
    eni = allocator.eni(owner)
    return PlannedNode(
        cluster=cluster.name,
        name=name,
        owner=owner,
        index=index,
        vpc=cluster.vpc,
        subnet=subnet.name,
        address=address,
        eni=eni,
        mac=eni_mac(eni),
        int_mac=node_internal_mac(index),
        pool=pool,
        source=pool.source,
        blocks=blocks,
        carrier=carrier[0] if carrier else None,
        carrier_address=allocator.address(carrier[1], f"{owner}/eth1") if carrier else None,
        carrier_subnet=carrier[1].name if carrier else None,
    )


def _blocks(cluster: Cluster, name: str, allocator: Allocator) -> tuple[IPv4Network, ...]:
    """``vpc``: the one fixed block, given when the node joins. ``tunnel``: what its pods have had so far."""
    if cluster.container_cidr is None or cluster.model is NetworkModel.ENI:
        return ()
    pool = block_pool(cluster)
    held = allocator.blocks_of(pool, name)
    if cluster.model is NetworkModel.VPC and not held:
        return (allocator.next_block(pool, name, cluster.container_cidr, cluster.fix_pool_mask, 0),)
    return held


def _carrier(
    cluster: Cluster, pool: NodePool, name: str, subnets: Mapping[str, Subnet], allocator: Allocator
) -> tuple[int, Subnet] | None:
    """The extended NIC eth1 that carries the sub-ENIs; its address comes from a pod subnet too."""
    if cluster.model is not NetworkModel.ENI or pool.bare_metal:
        return None
    reason: ExhaustedError | None = None
    for subnet_name in cluster.pod_subnets:
        try:
            allocator.address(subnets[subnet_name], f"Node/{name}/eth1")
        except ExhaustedError as error:
            reason = error
            continue
        return allocator.eni(f"Node/{name}/eth1"), subnets[subnet_name]
    raise reason or ExhaustedError(f"cluster {cluster.name} has no pod subnet")


def block_pool(cluster: Cluster) -> str:
    return f"blocks/{cluster.name}"


def _node_hint(cluster: Cluster) -> str:
    if cluster.model is NetworkModel.VPC:
        return "fewer nodes, a longer fixPoolMask, or a larger container CIDR or node subnet"
    return "fewer nodes or a larger subnet"
