"""Clusters: where their nodes are, and ranges that overlap nothing that they must reach."""

from __future__ import annotations

from ipaddress import IPv4Network

from testbed.model.cloud import Cluster, Vpc
from testbed.model.desired import NetworkModel
from testbed.spec.codes import Code
from testbed.spec.document import Cursor
from testbed.spec.faults import counted, show
from testbed.spec.index import Index
from testbed.spec.kube.common import check_duplicates
from testbed.spec.names import check_label

TUNNEL_BLOCK = 28
"""Prefix length of what a node of the tunnel model takes at a time."""

VXLAN_OVERHEAD = 50
SMALLEST_MTU = 576
SMALLEST_SERVICE_RANGE = 29


def check_clusters(index: Index) -> None:
    for cluster in index.lab.clusters:
        spec = index.cursor("clusters", cluster)["spec"]
        vpc = index.vpc(spec["vpc"], cluster.vpc)
        _check_subnets(index, spec, cluster)
        _check_pools(spec, cluster)
        _check_service_range(spec, cluster, vpc)
        if cluster.container_cidr:
            _check_container_range(spec, cluster, cluster.container_cidr, vpc)
        if cluster.model is NetworkModel.TUNNEL and cluster.underlay_mtu - VXLAN_OVERHEAD < SMALLEST_MTU:
            what = f"mtu {cluster.underlay_mtu}: VXLAN takes {VXLAN_OVERHEAD}, which leaves pods less than 576"
            spec["mtu"].fault(Code.MTU, what, f"at least {SMALLEST_MTU + VXLAN_OVERHEAD}")
    _check_neighbours(index)


def _check_subnets(index: Index, spec: Cursor, cluster: Cluster) -> None:
    places = [(spec["nodeSubnet"], cluster.node_subnet)]
    places += [(spec.at("nodePools", i, "subnet"), pool.subnet or "") for i, pool in enumerate(cluster.pools)]
    if spec["podSubnets"].present or not spec["nodeSubnet"].present:
        places += [(spec.at("podSubnets", i), name) for i, name in enumerate(cluster.pod_subnets)]
    for cursor, name in places:
        subnet = index.subnet(cursor, name)
        if subnet and cluster.vpc and subnet.vpc != cluster.vpc:
            what = f"subnet {show(name)} is in VPC {show(subnet.vpc)}"
            cursor.fault(Code.REFERENCE_WRONG, what, f"the cluster is in VPC {show(cluster.vpc)}")
    check_duplicates((item, item.text) for item in spec["podSubnets"].items())


def _check_pools(spec: Cursor, cluster: Cluster) -> None:
    pools = spec["nodePools"]
    check_duplicates((pool["name"], pool["name"].text) for pool in pools.items())
    if sum(len(pool.node_names) for pool in cluster.pools) == 0:
        pools.fault(Code.FIELD_REQUIRED, "the cluster has no nodes", "give a pool a count of at least 1", on_key=True)
    for position, pool in enumerate(cluster.pools):
        if len(pool.node_names[-1] if pool.node_names else pool.name) > 63:
            problem = check_label(pool.node_names[-1])
            if problem:
                spec.at("nodePools", position, "name").fault(problem.code, problem.what)


def _check_service_range(spec: Cursor, cluster: Cluster, vpc: Vpc | None) -> None:
    cidr, cursor = cluster.service_cidr, spec["serviceCIDR"]
    if cidr.prefixlen > SMALLEST_SERVICE_RANGE:
        what = f"serviceCIDR {cidr} is too small: the API server and DNS take an address each"
        cursor.fault(Code.CIDR_SIZE, what, f"/{SMALLEST_SERVICE_RANGE} or larger")
    for own in vpc.cidrs if vpc else ():
        if cidr.overlaps(own):
            cursor.fault(Code.CIDR_OVERLAP, f"serviceCIDR {cidr} overlaps vpc {vpc.name if vpc else ''} {own}")
    if cluster.container_cidr and cidr.overlaps(cluster.container_cidr):
        cursor.fault(Code.CIDR_OVERLAP, f"serviceCIDR {cidr} overlaps containerCIDR {cluster.container_cidr}")


def _check_container_range(spec: Cursor, cluster: Cluster, cidr: IPv4Network, vpc: Vpc | None) -> None:
    cursor = spec["containerCIDR"]
    for own in vpc.cidrs if vpc else ():
        if cidr.overlaps(own):
            what = f"containerCIDR {cidr} overlaps vpc {vpc.name if vpc else ''} {own}"
            cursor.fault(Code.CIDR_OVERLAP, what, "use a range outside the VPC")
    nodes = sum(len(pool.node_names) for pool in cluster.pools)
    if cluster.model is NetworkModel.VPC:
        _check_blocks(cursor, cluster, cidr, nodes)
    elif cidr.prefixlen > TUNNEL_BLOCK:
        what = f"containerCIDR {cidr} holds no block of /{TUNNEL_BLOCK}, which a node takes at a time"
        cursor.fault(Code.CIDR_SIZE, what, f"/{TUNNEL_BLOCK} or larger")
    elif nodes > cidr.num_addresses // 16:
        what = f"containerCIDR {cidr} holds {cidr.num_addresses // 16} blocks of /{TUNNEL_BLOCK} for {nodes} nodes"
        cursor.warn(Code.CAPACITY_NODES, what, "pods of some nodes will get no address")


def _check_blocks(cursor: Cursor, cluster: Cluster, cidr: IPv4Network, nodes: int) -> None:
    """A block for each node; the real cloud counts the masters as well."""
    mask = cluster.fix_pool_mask
    blocks = 2 ** (mask - cidr.prefixlen) if cidr.prefixlen <= mask else 0
    needed = nodes + cluster.masters
    if blocks < needed:
        least = mask - max(needed - 1, 0).bit_length()
        masters = f" and {counted(cluster.masters, 'master')}" if cluster.masters else ""
        what = f"containerCIDR {cidr} holds {blocks} node blocks of /{mask}; "
        what += f"{counted(nodes, 'node')}{masters} need at least"
        hint = f"a containerCIDR of /{least}, or a larger fixPoolMask"
        cursor.fault(Code.CIDR_SIZE, f"{what} /{least}", hint)


def _check_neighbours(index: Index) -> None:
    """Clusters of the vpc model share their VPC's route tables, so their container ranges must be apart."""
    routed: dict[str, list[tuple[str, IPv4Network]]] = {}
    for cluster in index.lab.clusters:
        cidr = cluster.container_cidr
        if cluster.model is not NetworkModel.VPC or cidr is None:
            continue
        for name, earlier in routed.setdefault(cluster.vpc, []):
            if cidr.overlaps(earlier):
                what = f"containerCIDR {cidr} overlaps that of cluster {show(name)}, {earlier}"
                hint = "clusters of the vpc model in one VPC need ranges of their own"
                cursor = index.cursor("clusters", cluster)["spec"]["containerCIDR"]
                cursor.fault(Code.CIDR_OVERLAP, what, hint)
        routed[cluster.vpc].append((cluster.name, cidr))
