"""Addresses that users chose themselves, in VPCs and on the internet."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from testbed.spec.addresses import RESERVED
from testbed.spec.codes import Code
from testbed.spec.document import Cursor
from testbed.spec.faults import show
from testbed.spec.index import Index

PRIVATE = (IPv4Network("10.0.0.0/8"), IPv4Network("172.16.0.0/12"), IPv4Network("192.168.0.0/16"))


def check_fixed_addresses(index: Index) -> None:
    _check_in_subnets(index)
    _check_public(index)


def _check_in_subnets(index: Index) -> None:
    taken: dict[tuple[str, IPv4Address], str] = {}
    for lab_field, items in (("servers", index.lab.servers), ("load_balancers", index.lab.load_balancers)):
        for item in items:
            spec = index.cursor(lab_field, item)["spec"]
            subnet = index.subnet(spec["subnet"], item.subnet)
            if item.address is None or subnet is None:
                continue
            cursor = spec["address"]
            if item.address not in subnet.cidr:
                what = f"{item.address} is not inside subnet {show(subnet.name)} {subnet.cidr}"
                cursor.fault(Code.ADDRESS_OUTSIDE, what)
            elif item.address in subnet.reserved:
                what = f"{item.address} is one of the cloud's own in subnet {show(subnet.name)}"
                hint = f"use {subnet.cidr[2]} to {subnet.cidr[-4]}"
                cursor.fault(Code.ADDRESS_RESERVED, what, hint)
            _check_free(cursor, taken, subnet.vpc, item.address, f"{index.kind_of(lab_field)} {show(item.name)}")


def _check_public(index: Index) -> None:
    taken: dict[tuple[str, IPv4Address], str] = {}
    for lab_field, items in (("internet_hosts", index.lab.internet_hosts), ("elastic_ips", index.lab.elastic_ips)):
        for item in items:
            if item.address is None:
                continue
            cursor = index.cursor(lab_field, item)["spec"]["address"]
            _check_is_public(index, cursor, item.address)
            _check_free(cursor, taken, "", item.address, f"{index.kind_of(lab_field)} {show(item.name)}")


def _check_is_public(index: Index, cursor: Cursor, address: IPv4Address) -> None:
    for network, use in RESERVED:
        if address in network and use != "documentation":
            cursor.fault(Code.ADDRESS_RESERVED, f"{address} is in {network}, which is reserved ({use})")
    hint = "use a public one, e.g. of 203.0.113.0/24"
    for network in PRIVATE:
        if address in network:
            cursor.fault(Code.ADDRESS_RESERVED, f"{address} is a private address ({network})", hint)
    for vpc in index.lab.vpcs:
        if any(address in cidr and not _is_private(cidr) for cidr in vpc.cidrs):
            cursor.fault(Code.ADDRESS_RESERVED, f"{address} is inside VPC {show(vpc.name)}", hint)


def _is_private(cidr: IPv4Network) -> bool:
    return any(cidr.subnet_of(network) for network in PRIVATE)


def _check_free(
    cursor: Cursor, taken: dict[tuple[str, IPv4Address], str], scope: str, address: IPv4Address, owner: str
) -> None:
    if (scope, address) in taken:
        cursor.fault(Code.ADDRESS_DUPLICATE, f"{address} is already used by {taken[(scope, address)]}")
    taken.setdefault((scope, address), owner)
