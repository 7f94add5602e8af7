"""A Cluster document to the model, with what it leaves out chosen.

A Cluster that names no VPC is put into the lab's only one; where there is none, one is made for it:
``<cluster>-vpc`` 192.168.0.0/16 with the subnet ``<cluster>-nodes`` 192.168.0.0/20 and, in the eni model,
``<cluster>-pods`` 192.168.64.0/18. The container range is the first of the real cloud's automatic ones
(172.16.0.0/16 to 172.31.0.0/16, then 10.0.0.0/12 in steps of a /12) that overlaps nothing near it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network

from testbed.model.cloud import Cluster, NodePool, Subnet, Vpc, WarmPool
from testbed.model.desired import NetworkModel
from testbed.model.source import Source
from testbed.spec.cloud.fields import Share
from testbed.spec.cloud.kinds import ClusterSpec, NodePoolSpec, WarmPoolSpec
from testbed.spec.codes import Code
from testbed.spec.document import Cursor, Document
from testbed.spec.faults import listed, show
from testbed.spec.kube.metadata import name_of

DEFAULT_SERVICE_CIDR = IPv4Network("10.247.0.0/16")
DEFAULT_BLOCK_MASK = 25
PRIVATE = (IPv4Network("10.0.0.0/8"), IPv4Network("172.16.0.0/12"), IPv4Network("192.168.0.0/16"))
"""Where pods of the vpc model keep their address, if nothing else is said."""
_MADE_VPC = IPv4Network("192.168.0.0/16")
_MADE_NODES = IPv4Network("192.168.0.0/20")
_MADE_PODS = IPv4Network("192.168.64.0/18")

_CLUSTER_FIELDS = {
    "fixPoolMask": (NetworkModel.VPC,),
    "nonMasqueradeCIDRs": (NetworkModel.VPC,),
    "eniSecurityGroups": (NetworkModel.ENI,),
    "warmPool": (NetworkModel.ENI,),
}
"""Refused in other models. ``containerCIDR`` and ``podSubnets`` are not: both may be written and the model chooses, so
that the same document serves all three models by changing one word."""
_POOL_FIELDS = ("bareMetal", "subENIs", "enis", "podSecurityGroups", "warmPool")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is already known when a Cluster is converted."""

    vpcs: tuple[Vpc, ...]
    subnets: tuple[Subnet, ...]
    clusters: tuple[Cluster, ...]
    running: Cluster | None
    incomplete: bool
    """Whether a Vpc or Subnet document was refused, so that nothing can be said of their number."""


@dataclass(frozen=True, slots=True)
class ConvertedCluster:
    cluster: Cluster
    made_vpcs: tuple[Vpc, ...] = ()
    made_subnets: tuple[Subnet, ...] = ()


def convert_cluster(
    document: Document, spec: ClusterSpec, around: Surroundings, chosen: NetworkModel | None = None
) -> ConvertedCluster:
    """The cluster and what was made for it. ``chosen`` is used instead of the document's network model."""
    cursor = document.root["spec"]
    model = chosen or NetworkModel(spec.network_model)
    if chosen is None:
        _check_model_fields(cursor, model)
    name = name_of(document)
    place = _choose_place(cursor, name, spec, model, around)
    service_cidr = spec.service_cidr or DEFAULT_SERVICE_CIDR
    vpcs = (*around.vpcs, *place.made_vpcs)
    ranges = [cidr for vpc in vpcs if vpc.name == place.vpc for cidr in vpc.cidrs]
    neighbours = [peer.container_cidr for peer in around.clusters if peer.name != name and peer.container_cidr]
    container_cidr = None if model is NetworkModel.ENI else spec.container_cidr
    if container_cidr is None and model is not NetworkModel.ENI:
        kept = around.running.container_cidr if around.running else None
        container_cidr = kept or _free_range([*ranges, *neighbours, service_cidr])
    cluster = Cluster(
        name=name,
        vpc=place.vpc,
        model=model,
        node_subnet=place.node_subnet,
        service_cidr=service_cidr,
        pools=tuple(
            _pool(item, pool, spec.warm_pool)
            for item, pool in zip(cursor["nodePools"].items(), spec.node_pools, strict=True)
        ),
        source=document.source,
        masters=spec.masters,
        container_cidr=container_cidr,
        pod_subnets=place.pod_subnets,
        fix_pool_mask=spec.fix_pool_mask or DEFAULT_BLOCK_MASK,
        non_masquerade_cidrs=PRIVATE if spec.non_masquerade_cidrs is None else tuple(spec.non_masquerade_cidrs),
        underlay_mtu=spec.mtu,
        node_security_groups=tuple(spec.node_security_groups),
        eni_security_groups=tuple(spec.eni_security_groups),
        kube_proxy_mode=spec.kube_proxy_mode,
        dns=spec.dns,
    )
    return ConvertedCluster(cluster, place.made_vpcs, place.made_subnets)


@dataclass(frozen=True, slots=True)
class _Place:
    vpc: str
    node_subnet: str
    pod_subnets: tuple[str, ...]
    made_vpcs: tuple[Vpc, ...] = ()
    made_subnets: tuple[Subnet, ...] = ()


def _choose_place(cursor: Cursor, name: str, spec: ClusterSpec, model: NetworkModel, around: Surroundings) -> _Place:
    vpc = spec.vpc or next((item.vpc for item in around.subnets if item.name == spec.node_subnet), None)
    if vpc is None and spec.node_subnet is None and not around.incomplete:
        made = Source(f"made for Cluster/{name}", 0)
        known = [item for item in around.vpcs if item.source != made]
        if not known:
            return _make_place(name, spec, model, made)
        if len(known) == 1:
            vpc = known[0].name
        else:
            what = f"Required value: the lab has {len(known)} VPCs"
            cursor["vpc"].fault(Code.FIELD_REQUIRED, what, f"name one of {listed(item.name for item in known)}")
    node_subnet = spec.node_subnet or _only_subnet(cursor, vpc, spec, around)
    pod_subnets = tuple(spec.pod_subnets) if model is NetworkModel.ENI else ()
    if model is NetworkModel.ENI and not pod_subnets and node_subnet:
        pod_subnets = (node_subnet,)
    return _Place(vpc or "", node_subnet, pod_subnets)


def _make_place(name: str, spec: ClusterSpec, model: NetworkModel, made: Source) -> _Place:
    vpc = Vpc(f"{name}-vpc", (_MADE_VPC,), made)
    subnets = [Subnet(f"{name}-nodes", vpc.name, _MADE_NODES, made)]
    if model is NetworkModel.ENI and not spec.pod_subnets:
        subnets.append(Subnet(f"{name}-pods", vpc.name, _MADE_PODS, made))
    named = tuple(spec.pod_subnets) if model is NetworkModel.ENI else ()
    pod_subnets = named or tuple(subnet.name for subnet in subnets[1:])
    return _Place(vpc.name, subnets[0].name, pod_subnets, (vpc,), tuple(subnets))


def _only_subnet(cursor: Cursor, vpc: str | None, spec: ClusterSpec, around: Surroundings) -> str:
    if vpc is None or around.incomplete:
        return ""
    candidates = [item.name for item in around.subnets if item.vpc == vpc and item.name not in spec.pod_subnets]
    if len(candidates) == 1:
        return candidates[0]
    if not candidates:
        what = f"Required value: VPC {show(vpc)} has no subnet for nodes"
        cursor["nodeSubnet"].fault(Code.FIELD_REQUIRED, what, "declare a Subnet in it")
    else:
        what = f"Required value: VPC {show(vpc)} has {len(candidates)} subnets"
        cursor["nodeSubnet"].fault(Code.FIELD_REQUIRED, what, f"name one of {listed(candidates)}")
    return ""


def _free_range(taken: Iterable[IPv4Network | None]) -> IPv4Network:
    ranges = [network for network in taken if network is not None]
    candidates = list(_automatic_ranges())
    free = (candidate for candidate in candidates if not any(candidate.overlaps(item) for item in ranges))
    return next(free, candidates[0])


def _automatic_ranges() -> Iterator[IPv4Network]:
    for second in range(16, 32):
        yield IPv4Network(f"172.{second}.0.0/16")
    for second in range(0, 128, 16):
        yield IPv4Network(f"10.{second}.0.0/12")


def _check_model_fields(cursor: Cursor, model: NetworkModel) -> None:
    for field, models in _CLUSTER_FIELDS.items():
        if cursor[field].present and model not in models:
            _refuse_field(cursor[field], field, models, model)
    if model is not NetworkModel.ENI:
        for pool in cursor["nodePools"].items():
            for field in _POOL_FIELDS:
                if pool[field].present:
                    _refuse_field(pool[field], field, (NetworkModel.ENI,), model)


def _refuse_field(cursor: Cursor, field: str, models: tuple[NetworkModel, ...], model: NetworkModel) -> None:
    needed = " or ".join(wanted.value for wanted in models)
    verb = "need" if field.endswith("s") else "needs"
    what = f'{field} {verb} the {needed} network model; this cluster uses "{model.value}"'
    cursor.fault(Code.MODEL_MISMATCH, what, on_key=True)


def _pool(cursor: Cursor, spec: NodePoolSpec, usual: WarmPoolSpec | None) -> NodePool:
    if cursor["count"].present and spec.names and spec.count != len(spec.names):
        what = f"count {spec.count} does not fit the {len(spec.names)} names"
        cursor["count"].fault(Code.FIELD_VALUE, what, "leave count out")
    return NodePool(
        name=spec.name,
        source=Source(cursor.document.file, cursor.document.position(cursor.path)[0]),
        count=len(spec.names) or spec.count,
        names=tuple(spec.names),
        subnet=spec.subnet,
        max_pods=spec.max_pods,
        bare_metal=spec.bare_metal,
        sub_enis=spec.sub_enis,
        enis=spec.enis,
        labels=spec.labels,
        security_groups=tuple(spec.security_groups),
        pod_security_groups=tuple(spec.pod_security_groups),
        warm_pool=_warm_pool(spec.warm_pool or usual, spec.sub_enis),
    )


def _warm_pool(spec: WarmPoolSpec | None, quota: int) -> WarmPool:
    if spec is None:
        return WarmPool()
    return WarmPool(
        _number(spec.nic_minimum_target, quota),
        _number(spec.nic_maximum_target, quota),
        spec.nic_warm_target,
        spec.nic_max_above_warm_target,
        spec.nic_cooldown_seconds,
    )


def _number(target: int | Share, quota: int) -> int:
    return target.of(quota) if isinstance(target, Share) else target
