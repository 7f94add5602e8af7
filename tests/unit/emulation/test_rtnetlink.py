"""What the messages say, as pyroute2 reads them; a copy of a shape is what pyroute2 itself would encode."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pyroute2.netlink.rtnl.marshal import MarshalRtnl

from testbed.emulation import rtnetlink, shapes
from testbed.emulation.rtnetlink import Request, VethEnd

HERE, THERE = VethEnd("p1", "02:00:00:00:00:01"), VethEnd("eth0", "02:00:00:00:00:02")

names = st.text("abcdefghijklmnopqrstuvwxyz0123456789-!#AB", min_size=1, max_size=15)
macs = st.binary(min_size=6, max_size=6)
numbers = st.integers(0, 2**31 - 1)
addresses = st.integers(0, 2**32 - 1).map(IPv4Address)


def read(request: Request) -> Any:
    (message,) = MarshalRtnl().parse(request.data)
    return message


def texts(value: shapes.Value) -> Any:
    return value.hex(":") if isinstance(value, bytes) else str(value) if isinstance(value, IPv4Address) else value


def expect_copy(build: shapes.Builder, fixed: tuple[Any, ...], *values: shapes.Value) -> None:
    direct = shapes._encode_by_pyroute2(build(*fixed, *map(texts, values)))
    assert shapes.encode(build, fixed, values) == direct


@settings(max_examples=60, deadline=None)
@given(names, macs, names, macs, numbers, numbers)
def test_a_copy_of_a_link_is_what_pyroute2_encodes(
    here: str, here_mac: bytes, there: str, there_mac: bytes, fd: int, mtu: int
) -> None:
    expect_copy(rtnetlink._veth, (), here, here_mac, there, there_mac, fd, mtu)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 32), numbers, addresses, st.none() | addresses, st.none() | addresses)
def test_a_copy_of_a_route_is_what_pyroute2_encodes(
    prefix: int, index: int, target: IPv4Address, gateway: IPv4Address | None, source: IPv4Address | None
) -> None:
    expect_copy(rtnetlink._route, ("RTM_NEWROUTE", 0x500, prefix), index, target, gateway, source)
    expect_copy(rtnetlink._address, ("RTM_NEWADDR", 0x500, prefix), index, target, gateway)


def test_a_link_is_born_in_both_namespaces() -> None:
    link = read(rtnetlink.make_veth(HERE, THERE, 9, 1450, "x"))
    info = link.get_attr("IFLA_LINKINFO")
    peer = info.get_attr("IFLA_INFO_DATA").get_attr("VETH_INFO_PEER")
    assert info.get_attr("IFLA_INFO_KIND") == "veth"
    for end, wanted in ((link, HERE), (peer, THERE)):
        assert (end.get_attr("IFLA_IFNAME"), end.get_attr("IFLA_ADDRESS")) == wanted
        assert end.get_attr("IFLA_MTU") == 1450
    assert peer.get_attr("IFLA_NET_NS_FD") == 9


def test_an_address_has_a_broadcast_address_where_its_network_has_one() -> None:
    address = read(rtnetlink.add_address(5, IPv4Interface("10.0.0.1/24"), "x"))
    assert (address["prefixlen"], address["index"]) == (24, 5)
    assert address.get_attr("IFA_LOCAL") == "10.0.0.1"
    assert address.get_attr("IFA_BROADCAST") == "10.0.0.255"
    assert read(rtnetlink.add_address(5, IPv4Interface("10.0.0.1/32"), "x")).get_attr("IFA_BROADCAST") is None


def test_routes() -> None:
    gateway, source = IPv4Address("10.0.0.254"), IPv4Address("10.0.0.1")
    route = read(rtnetlink.add_route(5, IPv4Network("10.1.0.0/16"), gateway, source, "x"))
    assert (route.get_attr("RTA_DST"), route["dst_len"], route["scope"]) == ("10.1.0.0", 16, 0)
    assert (route.get_attr("RTA_OIF"), route.get_attr("RTA_GATEWAY")) == (5, "10.0.0.254")
    assert route.get_attr("RTA_PREFSRC") == "10.0.0.1"
    link = read(rtnetlink.add_route(5, IPv4Network("0.0.0.0/0"), None, None, "x"))
    assert (link.get_attr("RTA_DST"), link["dst_len"], link["scope"]) == (None, 0, 253)


def test_a_neighbour_is_permanent() -> None:
    entry = read(rtnetlink.add_neighbour(5, IPv4Address("10.0.0.254"), HERE.mac, "x"))
    assert (entry["ifindex"], entry["state"]) == (5, 0x80)
    assert (entry.get_attr("NDA_DST"), entry.get_attr("NDA_LLADDR")) == ("10.0.0.254", HERE.mac)


def test_an_alias_is_cut_to_what_the_kernel_takes() -> None:
    long = read(rtnetlink.set_up("eth0", "x" * 253 + "é", "x"))
    assert long.get_attr("IFLA_IFALIAS") == "x" * 253
