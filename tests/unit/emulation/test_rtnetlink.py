"""Every message is compared with what pyroute2's general encoder makes of the same request."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

import pytest
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.ndmsg import ndmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from testbed.emulation import rtnetlink
from testbed.emulation.rtnetlink import Request, VethEnd

HERE, THERE = VethEnd("p1", "02:00:00:00:00:01"), VethEnd("eth0", "02:00:00:00:00:02")
ADDRESS = IPv4Interface("10.0.0.1/24")
ROUTE = IPv4Network("10.1.0.0/16")
GATEWAY, SOURCE = IPv4Address("10.0.0.254"), IPv4Address("10.0.0.1")


def encoded(message: Any, fields: dict[str, Any], attributes: list[Any]) -> bytes:
    for name, value in fields.items():
        message[name] = value
    message["attrs"] = attributes
    message["header"]["sequence_number"] = 7
    message["header"]["pid"] = 0
    message.encode()
    return bytes(message.data[16:])


def device(end: VethEnd) -> list[Any]:
    return [
        ["IFLA_IFNAME", end.interface],
        ["IFLA_ADDRESS", end.mac],
        ["IFLA_MTU", 1450],
        ["IFLA_NUM_TX_QUEUES", 1],
        ["IFLA_NUM_RX_QUEUES", 1],
    ]


def veth() -> bytes:
    peer = {"attrs": [*device(THERE), ["IFLA_NET_NS_FD", 9]]}
    data = {"attrs": [["VETH_INFO_PEER", peer]]}
    info = {"attrs": [["IFLA_INFO_KIND", "veth"], ["IFLA_INFO_DATA", data]]}
    return encoded(ifinfmsg(), {}, [*device(HERE), ["IFLA_LINKINFO", info]])


def address() -> bytes:
    fields = {"family": 2, "prefixlen": 24, "scope": 0, "index": 5}
    local = [["IFA_LOCAL", "10.0.0.1"], ["IFA_ADDRESS", "10.0.0.1"], ["IFA_BROADCAST", "10.0.0.255"]]
    return encoded(ifaddrmsg(), fields, local)


def route() -> bytes:
    fields = {"family": 2, "dst_len": 16, "table": 254, "proto": 4, "scope": 0, "type": 1}
    attributes = [["RTA_DST", "10.1.0.0"], ["RTA_OIF", 5], ["RTA_GATEWAY", "10.0.0.254"], ["RTA_PREFSRC", "10.0.0.1"]]
    return encoded(rtmsg(), fields, attributes)


def link_route() -> bytes:
    fields = {"family": 2, "dst_len": 0, "table": 254, "proto": 4, "scope": 253, "type": 1}
    return encoded(rtmsg(), fields, [["RTA_OIF", 5]])


def neighbour() -> bytes:
    fields = {"family": 2, "ifindex": 5, "state": 0x80}
    return encoded(ndmsg(), fields, [["NDA_DST", "10.0.0.254"], ["NDA_LLADDR", "02:00:00:00:00:01"]])


CASES = [
    (rtnetlink.make_veth(HERE, THERE, 9, 1450, "x"), veth()),
    (rtnetlink.add_address(5, ADDRESS, "x"), address()),
    (rtnetlink.add_route(5, ROUTE, GATEWAY, SOURCE, "x"), route()),
    (rtnetlink.add_route(5, IPv4Network("0.0.0.0/0"), None, None, "x"), link_route()),
    (rtnetlink.add_neighbour(5, GATEWAY, HERE.mac, "x"), neighbour()),
]


@pytest.mark.parametrize(("ours", "theirs"), CASES, ids=["veth", "address", "route", "link route", "neighbour"])
def test_bytes_are_those_of_pyroute2(ours: Request, theirs: bytes) -> None:
    assert ours.body == theirs


def test_the_length_of_a_message_counts_its_header() -> None:
    assert rtnetlink.header(16, 1, 7, b"abcd")[:4] == (20).to_bytes(4, "little")


def test_an_alias_is_cut_to_what_the_kernel_takes() -> None:
    long = rtnetlink.set_up("eth0", "x" * 300, "x")
    assert long.body.count(b"x") == rtnetlink.ALIAS_LIMIT
