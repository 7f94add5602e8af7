"""Reading IPv4 ranges and addresses from text, strictly: what Python would guess at is refused."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, ip_address

from testbed.spec.codes import Code
from testbed.spec.faults import show
from testbed.spec.names import Problem

RESERVED = (
    (IPv4Network("0.0.0.0/8"), "this network"),
    (IPv4Network("100.64.0.0/10"), "the cloud's own services"),
    (IPv4Network("127.0.0.0/8"), "loopback"),
    (IPv4Network("169.254.0.0/16"), "link-local"),
    (IPv4Network("192.0.2.0/24"), "documentation"),
    (IPv4Network("198.19.128.0/20"), "the cloud's own services"),
    (IPv4Network("224.0.0.0/4"), "multicast"),
    (IPv4Network("240.0.0.0/4"), "class E"),
)
"""Ranges that no VPC, subnet, container or Service range may touch; the system routes of a VPC are among them."""

_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_ADDRESS = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")
_CIDR = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}/(?:3[0-2]|[12]?[0-9])")


def read_cidr(text: str) -> IPv4Network | Problem:
    """An IPv4 network without host bits."""
    if _CIDR.fullmatch(text):
        network = IPv4Network(text, strict=False)
        if text.partition("/")[0] == str(network.network_address):
            return network
        return Problem(Code.CIDR_HOST_BITS, f"{show(text)} has host bits set", f"did you mean {network}?")
    if _ADDRESS.fullmatch(text):
        return Problem(Code.CIDR_SYNTAX, f"{show(text)}: prefix length missing", f"write {text}/32 for one address")
    return _ipv6_problem(text) or Problem(
        Code.CIDR_SYNTAX, f"{show(text)} is not a valid CIDR value", "e.g. 10.9.8.0/24"
    )


def read_address(text: str) -> IPv4Address | Problem:
    """A plain IPv4 address."""
    if _ADDRESS.fullmatch(text):
        return IPv4Address(text)
    return _ipv6_problem(text) or Problem(
        Code.ADDRESS_SYNTAX, f"{show(text)} is not a valid IPv4 address", "e.g. 10.9.8.7"
    )


def check_usable(network: IPv4Network) -> Problem | None:
    """Whether a range may be one of the lab's own."""
    for reserved, use in RESERVED:
        if network.overlaps(reserved):
            what = f"{network} overlaps {reserved}, which is reserved ({use})"
            hint = "use a private range: 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16"
            return Problem(Code.CIDR_RESERVED, what, hint)
    return None


def _ipv6_problem(text: str) -> Problem | None:
    address, _, _ = text.partition("/")
    if ":" not in address:
        return None
    if "%" in address:
        return Problem(Code.IPV6_UNSUPPORTED, f"{show(text)}: zone index not allowed")
    try:
        ip_address(address)
    except ValueError:
        return None
    return Problem(Code.IPV6_UNSUPPORTED, f"{show(text)}: IPv6 is not emulated", "use an IPv4 range")
