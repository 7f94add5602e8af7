"""The rtnetlink messages that a lab needs (rtnetlink(7)), in pyroute2's words."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any, NamedTuple

from testbed.emulation.shapes import Builder, Message, Value, encode

NLM_F_REQUEST, NLM_F_ACK = 0x1, 0x4
_REPLACE, _EXCL, _CREATE = 0x100, 0x200, 0x400
_IFF_UP = 1
_RT_TABLE_MAIN, _RTPROT_STATIC, _RTN_UNICAST = 254, 4, 1
_RT_SCOPE_UNIVERSE, _RT_SCOPE_LINK = 0, 253
_NUD_PERMANENT = 0x80

ALIAS_LIMIT = 254  # IFALIASZ, less the zero at the end, less one


class Request(NamedTuple):
    """One message, ready but for its sequence number. ``about`` names the object for the error text."""

    data: bytes
    about: str


class VethEnd(NamedTuple):
    interface: str
    mac: str


def _request(build: Builder, about: str, *values: Value, fixed: Sequence[Any] = ()) -> Request:
    return Request(encode(build, tuple(fixed), values), about)


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def make_veth(here: VethEnd, there: VethEnd, there_fd: int, mtu: int, about: str) -> Request:
    """A veth pair: ``here`` in the socket's namespace, ``there`` born in the namespace open at ``there_fd``."""
    ends = here.interface, _mac(here.mac), there.interface, _mac(there.mac)
    return _request(_veth, about, *ends, there_fd, mtu)


def _veth(here: str, here_mac: str, there: str, there_mac: str, there_fd: int, mtu: int) -> Message:
    peer = {"attrs": [*_device(there, there_mac, mtu), ["IFLA_NET_NS_FD", there_fd]]}
    data = {"attrs": [["VETH_INFO_PEER", peer]]}
    info = {"attrs": [["IFLA_INFO_KIND", "veth"], ["IFLA_INFO_DATA", data]]}
    return Message("RTM_NEWLINK", _CREATE | _EXCL, {}, [*_device(here, here_mac, mtu), ["IFLA_LINKINFO", info]])


def _device(interface: str, mac: str, mtu: int) -> list[Any]:
    # One queue: veth's own default is one pair for each processor, and memory with it.
    queues = [["IFLA_NUM_TX_QUEUES", 1], ["IFLA_NUM_RX_QUEUES", 1]]
    return [["IFLA_IFNAME", interface], ["IFLA_ADDRESS", mac], ["IFLA_MTU", mtu], *queues]


def make_device(interface: str, kind: str) -> Request:
    """A device of ``kind`` (``veth``, ``vxlan``) with everything at its default."""
    return _request(_any_device, kind, interface, fixed=(kind,))


def _any_device(kind: str, interface: str) -> Message:
    info: list[Any] = [["IFLA_INFO_KIND", kind]]
    if kind == "vxlan":
        info.append(["IFLA_INFO_DATA", {"attrs": [["IFLA_VXLAN_ID", 1], ["IFLA_VXLAN_PORT", 4789]]}])
    attributes = [["IFLA_IFNAME", interface], ["IFLA_LINKINFO", {"attrs": info}]]
    return Message("RTM_NEWLINK", _CREATE | _EXCL, {}, attributes)


def set_up(interface: str, alias: str, about: str) -> Request:
    """Bring a device up and write its owner into ``ifalias`` (not possible in the creating message)."""
    return _request(_up, about, interface, alias.encode()[:ALIAS_LIMIT].decode(errors="ignore"))


def _up(interface: str, alias: str) -> Message:
    attributes = [["IFLA_IFNAME", interface], ["IFLA_IFALIAS", alias]]
    return Message("RTM_NEWLINK", 0, {"flags": _IFF_UP, "change": _IFF_UP}, attributes)


def set_group(interface: str, group: int, about: str) -> Request:
    return _request(_group, about, interface, group)


def _group(interface: str, group: int) -> Message:
    return Message("RTM_NEWLINK", 0, {}, [["IFLA_IFNAME", interface], ["IFLA_GROUP", group]])


def delete_group(group: int, about: str) -> Request:
    """Delete all devices of a group in one go: one RCU grace period (20 ms) for all instead of one for each."""
    return _request(_group_gone, about, group)


def _group_gone(group: int) -> Message:
    return Message("RTM_DELLINK", 0, {}, [["IFLA_GROUP", group]])


def add_address(index: int, address: IPv4Interface, about: str) -> Request:
    return _address_request("RTM_NEWADDR", _CREATE | _REPLACE, index, address, about)


def delete_address(index: int, address: IPv4Interface, about: str) -> Request:
    return _address_request("RTM_DELADDR", 0, index, address, about)


def _address_request(kind: str, flags: int, index: int, address: IPv4Interface, about: str) -> Request:
    prefix = address.network.prefixlen
    broadcast = address.network.broadcast_address if prefix < 31 else None
    return _request(_address, about, index, IPv4Address(address.ip), broadcast, fixed=(kind, flags, prefix))


def _address(kind: str, flags: int, prefix: int, index: int, address: str, broadcast: str | None) -> Message:
    attributes = [["IFA_LOCAL", address], ["IFA_ADDRESS", address]]
    if broadcast is not None:
        attributes.append(["IFA_BROADCAST", broadcast])
    fields = {"family": socket.AF_INET, "prefixlen": prefix, "scope": _RT_SCOPE_UNIVERSE, "index": index}
    return Message(kind, flags, fields, attributes)


def add_route(
    index: int, destination: IPv4Network, gateway: IPv4Address | None, source: IPv4Address | None, about: str
) -> Request:
    return _route_request("RTM_NEWROUTE", _CREATE | _REPLACE, index, destination, gateway, source, about)


def delete_route(index: int, destination: IPv4Network, gateway: IPv4Address | None, about: str) -> Request:
    return _route_request("RTM_DELROUTE", 0, index, destination, gateway, None, about)


def _route_request(
    kind: str,
    flags: int,
    index: int,
    destination: IPv4Network,
    gateway: IPv4Address | None,
    source: IPv4Address | None,
    about: str,
) -> Request:
    prefix = destination.prefixlen
    target = destination.network_address if prefix else None
    return _request(_route, about, index, target, gateway, source, fixed=(kind, flags, prefix))


def _route(
    kind: str, flags: int, prefix: int, index: int, target: str | None, gateway: str | None, source: str | None
) -> Message:
    fields = {
        "family": socket.AF_INET,
        "dst_len": prefix,
        "table": _RT_TABLE_MAIN,
        "proto": _RTPROT_STATIC,
        "scope": _RT_SCOPE_LINK if gateway is None else _RT_SCOPE_UNIVERSE,
        "type": _RTN_UNICAST,
    }
    attributes: list[Any] = [["RTA_DST", target], ["RTA_OIF", index], ["RTA_GATEWAY", gateway], ["RTA_PREFSRC", source]]
    return Message(kind, flags, fields, [pair for pair in attributes if pair[1] is not None])


def find_route(
    destination: IPv4Address, source: IPv4Address | None, iif: int | None, oif: int | None, flags: int
) -> Request:
    """``ip route get``: which way a packet takes that was made here, or that came in by device ``iif``."""
    return _request(_route_query, "a route", destination, source, iif, oif, fixed=(flags,))


def _route_query(flags: int, destination: str, source: str | None, iif: int | None, oif: int | None) -> Message:
    fields = {"family": socket.AF_INET, "dst_len": 32, "src_len": 32 if source else 0, "flags": flags}
    attributes: list[Any] = [["RTA_DST", destination], ["RTA_SRC", source], ["RTA_IIF", iif], ["RTA_OIF", oif]]
    return Message("RTM_GETROUTE", 0, fields, [pair for pair in attributes if pair[1] is not None])


def add_neighbour(index: int, address: IPv4Address, mac: str, about: str) -> Request:
    """A permanent ARP entry."""
    return _request(_neighbour, about, index, address, _mac(mac))


def _neighbour(index: int, address: str, mac: str) -> Message:
    fields = {"family": socket.AF_INET, "ifindex": index, "state": _NUD_PERMANENT}
    return Message("RTM_NEWNEIGH", _CREATE | _REPLACE, fields, [["NDA_DST", address], ["NDA_LLADDR", mac]])
