"""VPCs, subnets and peerings: ranges inside, beside and never across one another."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network

from testbed.model.cloud import Subnet, Vpc
from testbed.model.desired import NetworkModel
from testbed.spec.codes import Code
from testbed.spec.document import Cursor
from testbed.spec.faults import show
from testbed.spec.index import Index

SMALLEST_SUBNET = 29
"""Prefix length: a /29 has three addresses left after the cloud's five."""

LARGEST_VPC = 8


def check_networks(index: Index) -> None:
    for vpc in index.lab.vpcs:
        _check_vpc(index.cursor("vpcs", vpc)["spec"], vpc)
    for subnet in index.lab.subnets:
        _check_subnet(index, subnet)
    _check_subnets_apart(index)


def _check_vpc(spec: Cursor, vpc: Vpc) -> None:
    for position, cidr in enumerate(vpc.cidrs):
        cursor = spec["cidr"] if position == 0 else spec.at("secondaryCIDRs", position - 1)
        if not LARGEST_VPC <= cidr.prefixlen <= SMALLEST_SUBNET:
            what = f"{cidr} must have a prefix length between /{LARGEST_VPC} and /{SMALLEST_SUBNET}"
            cursor.fault(Code.CIDR_SIZE, what)
        for earlier in vpc.cidrs[:position]:
            if cidr.overlaps(earlier):
                cursor.fault(Code.CIDR_OVERLAP, f"{cidr} overlaps {earlier} of the same VPC")


def _check_subnet(index: Index, subnet: Subnet) -> None:
    spec = index.cursor("subnets", subnet)["spec"]
    if subnet.cidr.prefixlen > SMALLEST_SUBNET:
        what = f"{subnet.cidr} is too small: the cloud keeps 5 addresses of a subnet"
        spec["cidr"].fault(Code.CIDR_SIZE, what, f"/{SMALLEST_SUBNET} or larger")
    vpc = index.vpc(spec["vpc"], subnet.vpc)
    if vpc and not any(subnet.cidr.subnet_of(cidr) for cidr in vpc.cidrs):
        what = f"subnet {subnet.cidr} is not inside vpc {vpc.name} ({ranges(vpc.cidrs)})"
        spec["cidr"].fault(Code.CIDR_OUTSIDE, what, f"a part of {vpc.cidrs[0]}")
    table = index.route_table(spec["routeTable"], subnet.route_table)
    if table and table.vpc != subnet.vpc:
        what = f"route table {show(table.name)} belongs to VPC {show(table.vpc)}"
        spec["routeTable"].fault(Code.REFERENCE_WRONG, what, f"use one of VPC {show(subnet.vpc)}")


def _check_subnets_apart(index: Index) -> None:
    by_vpc: dict[str, list[Subnet]] = {}
    for subnet in index.lab.subnets:
        by_vpc.setdefault(subnet.vpc, []).append(subnet)
    for subnets in by_vpc.values():
        ordered = sorted(subnets, key=lambda subnet: (subnet.cidr.network_address, subnet.cidr.prefixlen))
        widest: Subnet | None = None
        for subnet in ordered:
            if widest and subnet.cidr.overlaps(widest.cidr):
                late, early = (subnet, widest) if _is_later(index, subnet, widest) else (widest, subnet)
                what = f"{late.cidr} overlaps subnet {show(early.name)} {early.cidr}"
                index.cursor("subnets", late)["spec"]["cidr"].fault(Code.CIDR_OVERLAP, what)
            if widest is None or subnet.cidr[-1] > widest.cidr[-1]:
                widest = subnet


def _is_later(index: Index, one: Subnet, other: Subnet) -> bool:
    order = index.lab.subnets
    return order.index(one) > order.index(other)


def ranges(cidrs: Sequence[IPv4Network]) -> str:
    return ", ".join(map(str, cidrs))


def check_peerings(index: Index) -> None:
    pairs: dict[frozenset[str], str] = {}
    for peering in index.lab.peerings:
        spec = index.cursor("peerings", peering)["spec"]
        if peering.requester == peering.accepter:
            spec["accepter"].fault(Code.PEERING, f"VPC {show(peering.accepter)} can't be peered with itself")
            continue
        pair = frozenset((peering.requester, peering.accepter))
        if pair in pairs:
            what = f"these VPCs are already joined by peering {show(pairs[pair])}"
            spec.fault(Code.PEERING, what, "one peering per pair of VPCs", on_key=True)
        pairs.setdefault(pair, peering.name)
        requester = index.vpc(spec["requester"], peering.requester)
        accepter = index.vpc(spec["accepter"], peering.accepter)
        if requester and accepter:
            _check_peered_ranges(index, spec, requester, accepter)


def _check_peered_ranges(index: Index, spec: Cursor, one: Vpc, other: Vpc) -> None:
    mine = [(f"vpc {one.name}", cidr) for cidr in one.cidrs] + _routed_ranges(index, one.name)
    theirs = [(f"vpc {other.name}", cidr) for cidr in other.cidrs] + _routed_ranges(index, other.name)
    for left, left_cidr in mine:
        for right, right_cidr in theirs:
            if left_cidr.overlaps(right_cidr):
                what = f"{left} {left_cidr} overlaps {right} {right_cidr}"
                spec.fault(Code.CIDR_OVERLAP, what, "peered ranges must be apart", on_key=True)


def _routed_ranges(index: Index, vpc: str) -> list[tuple[str, IPv4Network]]:
    """Container ranges that a VPC routes: those of its clusters of the vpc model (tunnel ranges stay hidden)."""
    return [
        (f"containerCIDR of cluster {cluster.name}", cluster.container_cidr)
        for cluster in index.lab.clusters
        if cluster.vpc == vpc and cluster.model is NetworkModel.VPC and cluster.container_cidr
    ]
