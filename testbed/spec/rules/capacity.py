"""How many nodes, servers and pods the ranges and quotas take."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from ipaddress import IPv4Network

from testbed.model.cloud import Cluster, NodePool
from testbed.model.desired import NetworkModel
from testbed.spec.codes import Code
from testbed.spec.faults import counted, show
from testbed.spec.index import Index

RESERVED_IN_SUBNET = 5
RESERVED_IN_BLOCK = 3


@dataclass(slots=True)
class _Demand:
    nodes: int = 0
    masters: int = 0
    others: int = 0
    carriers: int = 0

    @property
    def total(self) -> int:
        return self.nodes + self.masters + self.others + self.carriers

    def __str__(self) -> str:
        parts = [
            (self.nodes, "node"),
            (self.masters, "master"),
            (self.carriers, "carrier ENI"),
            (self.others, "other host"),
        ]
        return ", ".join(counted(count, noun) for count, noun in parts if count)


def check_capacity(index: Index) -> None:
    _check_subnets(index)
    for cluster in index.lab.clusters:
        _check_pods(index, cluster)


def _check_subnets(index: Index) -> None:
    """Nodes and masters take addresses of the node subnet, whose free addresses bound how many there can be."""
    demands = {name: _Demand() for name in index.by_name["subnets"]}
    last: dict[str, Cluster] = {}
    for cluster in index.lab.clusters:
        if cluster.node_subnet in demands:
            demands[cluster.node_subnet].masters += cluster.masters
            last[cluster.node_subnet] = cluster
        for pool in cluster.pools:
            subnet = pool.subnet or cluster.node_subnet
            if subnet in demands:
                demands[subnet].nodes += len(pool.node_names)
                last[subnet] = cluster
            if cluster.model is NetworkModel.ENI and not pool.bare_metal and cluster.pod_subnets[:1]:
                first = cluster.pod_subnets[0]
                if first in demands and len(cluster.pod_subnets) == 1:
                    demands[first].carriers += len(pool.node_names)
                    last[first] = cluster
    standing = [item.subnet for item in index.lab.servers]
    standing += [item.subnet for item in index.lab.load_balancers]
    standing += [item.subnet for item in index.lab.nat_gateways]
    for name in standing:
        if name in demands:
            demands[name].others += 1
    for name, demand in demands.items():
        _check_subnet(index, name, demand, last.get(name))


def _check_subnet(index: Index, name: str, demand: _Demand, cluster: Cluster | None) -> None:
    subnet = index.by_name["subnets"][name]
    room = subnet.cidr.num_addresses - RESERVED_IN_SUBNET
    if demand.total <= room or room < 0:
        return
    what = f"subnet {show(name)} {subnet.cidr} has {room} free addresses for {demand}"
    hint = "a larger subnet, or fewer of them"
    if cluster is not None:
        spec = index.cursor("clusters", cluster)["spec"]
        spec["nodePools"].fault(Code.CAPACITY_NODES, what, hint, on_key=True)
    else:
        index.cursor("subnets", subnet)["spec"]["cidr"].fault(Code.CIDR_SIZE, what, hint)


def _check_pods(index: Index, cluster: Cluster) -> None:
    """Pods beyond the cluster's places wait, as they would in Kubernetes: a warning."""
    wanted = _wanted_pods(index)[cluster.name]
    places = sum(len(pool.node_names) * _places(cluster, pool) for pool in cluster.pools)
    if wanted > places:
        what = f"{wanted} pods for {places} places"
        cursor = index.cursor("clusters", cluster)["spec"]["nodePools"]
        cursor.warn(Code.CAPACITY_PODS, what, "the others will wait; add nodes or raise maxPods", on_key=True)


def _wanted_pods(index: Index) -> Counter[str]:
    """Pods by cluster."""
    wanted = Counter(pod.cluster for pod in index.lab.pods)
    replicas = [(item.cluster, item.replicas) for item in index.lab.deployments]
    replicas += [(item.cluster, item.replicas) for item in index.lab.stateful_sets]
    for cluster, count in replicas:
        wanted[cluster] += count
    return wanted


def _places(cluster: Cluster, pool: NodePool) -> int:
    if cluster.model is NetworkModel.VPC:
        block = IPv4Network((0, cluster.fix_pool_mask)).num_addresses
        return min(pool.max_pods, block - RESERVED_IN_BLOCK)
    if cluster.model is NetworkModel.ENI:
        return min(pool.max_pods, pool.enis if pool.bare_metal else pool.sub_enis)
    return pool.max_pods
