"""Bytes of the rtnetlink messages that a lab needs (linux/rtnetlink.h, if_link.h, if_addr.h, veth.h).

Written as plain ``struct`` packing because a general encoder costs 0.3 ms a message and a thousand pods are eight
thousand messages; a unit test holds every message against pyroute2's encoder, byte for byte.
"""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import NamedTuple

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_DELADDR = 20, 21
RTM_NEWROUTE, RTM_DELROUTE = 24, 25
RTM_NEWNEIGH = 28

NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 0x1, 0x4, 0x300
NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE = 0x100, 0x200, 0x400

_IFLA_ADDRESS, IFLA_IFNAME, _IFLA_MTU, _IFLA_LINKINFO, _IFLA_IFALIAS = 1, 3, 4, 18, 20
_IFLA_GROUP, _IFLA_NET_NS_FD, _IFLA_EXT_MASK = 27, 28, 29
_IFLA_NUM_TX_QUEUES, _IFLA_NUM_RX_QUEUES = 31, 32
_IFLA_INFO_KIND, _IFLA_INFO_DATA, _VETH_INFO_PEER = 1, 2, 1
_IFLA_VXLAN_ID, _IFLA_VXLAN_PORT = 1, 15
_RTEXT_FILTER_SKIP_STATS = 8
_IFA_ADDRESS, _IFA_LOCAL, _IFA_BROADCAST = 1, 2, 4
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PREFSRC = 1, 4, 5, 7
_NDA_DST, _NDA_LLADDR = 1, 2
_IFF_UP = 1
_RT_TABLE_MAIN, _RTPROT_STATIC, _RTN_UNICAST = 254, 4, 1
_RT_SCOPE_UNIVERSE, _RT_SCOPE_LINK = 0, 253
_NUD_PERMANENT = 0x80

ALIAS_LIMIT = 255  # IFALIASZ - 1


class Request(NamedTuple):
    """One message without its header. ``about`` names the object for the error text."""

    kind: int
    flags: int
    body: bytes
    about: str


class VethEnd(NamedTuple):
    interface: str
    mac: str


def attribute(kind: int, payload: bytes) -> bytes:
    length = 4 + len(payload)
    return struct.pack("HH", length, kind) + payload + bytes(-length % 4)


def header(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    return struct.pack("IHHII", 16 + len(body), kind, flags, sequence, 0) + body


def _text(kind: int, value: str) -> bytes:
    return attribute(kind, value.encode() + b"\0")


def _number(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("I", value))


def _ifinfomsg(index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    return struct.pack("BxHiII", socket.AF_UNSPEC, 0, index, flags, change)


def _device(end: VethEnd, mtu: int) -> bytes:
    # One queue: veth's own default is one pair for each processor, and memory with it.
    return (
        _text(IFLA_IFNAME, end.interface)
        + attribute(_IFLA_ADDRESS, bytes.fromhex(end.mac.replace(":", "")))
        + _number(_IFLA_MTU, mtu)
        + _number(_IFLA_NUM_TX_QUEUES, 1)
        + _number(_IFLA_NUM_RX_QUEUES, 1)
    )


def make_veth(here: VethEnd, there: VethEnd, there_fd: int, mtu: int, about: str) -> Request:
    """A veth pair: ``here`` in the socket's namespace, ``there`` born in the namespace open at ``there_fd``."""
    peer = _ifinfomsg() + _device(there, mtu) + _number(_IFLA_NET_NS_FD, there_fd)
    info = _text(_IFLA_INFO_KIND, "veth") + attribute(_IFLA_INFO_DATA, attribute(_VETH_INFO_PEER, peer))
    body = _ifinfomsg() + _device(here, mtu) + attribute(_IFLA_LINKINFO, info)
    return Request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body, about)


def device_of_kind(interface: str, kind: str) -> bytes:
    """The body of a message that makes a device of ``kind`` with everything at its default."""
    info = _text(_IFLA_INFO_KIND, kind)
    if kind == "vxlan":
        info += attribute(_IFLA_INFO_DATA, _number(_IFLA_VXLAN_ID, 1) + attribute(_IFLA_VXLAN_PORT, b"\x12\xb5"))
    return _ifinfomsg() + _text(IFLA_IFNAME, interface) + attribute(_IFLA_LINKINFO, info)


def set_up(interface: str, alias: str, about: str) -> Request:
    """Bring a device up and write its owner into ``ifalias`` (not possible in the creating message)."""
    body = _ifinfomsg(flags=_IFF_UP, change=_IFF_UP) + _text(IFLA_IFNAME, interface)
    # The kernel wants the alias without a terminating zero.
    return Request(RTM_NEWLINK, 0, body + attribute(_IFLA_IFALIAS, alias.encode()[:ALIAS_LIMIT]), about)


def set_group(interface: str, group: int, about: str) -> Request:
    return Request(RTM_NEWLINK, 0, _ifinfomsg() + _text(IFLA_IFNAME, interface) + _number(_IFLA_GROUP, group), about)


def set_mtu(interface: str, mtu: int, about: str) -> Request:
    return Request(RTM_NEWLINK, 0, _ifinfomsg() + _text(IFLA_IFNAME, interface) + _number(_IFLA_MTU, mtu), about)


def delete_group(group: int, about: str) -> Request:
    """Delete all devices of a group in one go: one RCU grace period (20 ms) for all instead of one for each."""
    return Request(RTM_DELLINK, 0, _ifinfomsg() + _number(_IFLA_GROUP, group), about)


def dump_links() -> Request:
    body = _ifinfomsg() + _number(_IFLA_EXT_MASK, _RTEXT_FILTER_SKIP_STATS)
    return Request(RTM_GETLINK, NLM_F_DUMP, body, "list of links")


def add_address(index: int, address: IPv4Interface, about: str) -> Request:
    return Request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, _address(index, address), about)


def delete_address(index: int, address: IPv4Interface, about: str) -> Request:
    return Request(RTM_DELADDR, 0, _address(index, address), about)


def _address(index: int, address: IPv4Interface) -> bytes:
    prefix = address.network.prefixlen
    body = struct.pack("BBBBI", socket.AF_INET, prefix, 0, _RT_SCOPE_UNIVERSE, index)
    body += attribute(_IFA_LOCAL, address.packed) + attribute(_IFA_ADDRESS, address.packed)
    if prefix < 31:
        body += attribute(_IFA_BROADCAST, address.network.broadcast_address.packed)
    return body


def add_route(
    index: int, destination: IPv4Network, gateway: IPv4Address | None, source: IPv4Address | None, about: str
) -> Request:
    return Request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, _route(index, destination, gateway, source), about)


def delete_route(index: int, destination: IPv4Network, gateway: IPv4Address | None, about: str) -> Request:
    return Request(RTM_DELROUTE, 0, _route(index, destination, gateway, None), about)


def _route(index: int, destination: IPv4Network, gateway: IPv4Address | None, source: IPv4Address | None) -> bytes:
    scope = _RT_SCOPE_LINK if gateway is None else _RT_SCOPE_UNIVERSE
    prefix = destination.prefixlen
    fixed = (socket.AF_INET, prefix, 0, 0, _RT_TABLE_MAIN, _RTPROT_STATIC, scope, _RTN_UNICAST, 0)
    body = struct.pack("BBBBBBBBI", *fixed)
    if prefix:
        body += attribute(_RTA_DST, destination.network_address.packed)
    body += _number(_RTA_OIF, index)
    if gateway is not None:
        body += attribute(_RTA_GATEWAY, gateway.packed)
    if source is not None:
        body += attribute(_RTA_PREFSRC, source.packed)
    return body


def add_neighbour(index: int, address: IPv4Address, mac: str, about: str) -> Request:
    """A permanent ARP entry."""
    body = struct.pack("BxxxiHBB", socket.AF_INET, index, _NUD_PERMANENT, 0, 0)
    body += attribute(_NDA_DST, address.packed) + attribute(_NDA_LLADDR, bytes.fromhex(mac.replace(":", "")))
    return Request(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, body, about)
