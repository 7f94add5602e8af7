"""Values and bits are checked where they are written."""

from __future__ import annotations

from enum import IntEnum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.openflow import FieldError, SetField, Zone, fields, match, register
from controllers.openflow.fields import Value, read_ct_state, read_value, render_ct_state


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        (fields.IN_PORT, 3, (3, 0xFFFFFFFF)),
        (fields.IPV4_DST, "10.0.0.1", (0x0A000001, 0xFFFFFFFF)),
        (fields.IPV4_DST, "10.0.0.0/24", (0x0A000000, 0xFFFFFF00)),
        (fields.IPV4_DST, IPv4Address("10.0.0.1"), (0x0A000001, 0xFFFFFFFF)),
        (fields.IPV4_DST, IPv4Network("10.0.0.0/8"), (0x0A000000, 0xFF000000)),
        (fields.IPV4_DST, IPv4Interface("10.0.0.1/8"), (0x0A000001, 0xFFFFFFFF)),
        (fields.IPV4_DST, (0x0A0000FF, 0xFFFFFF00), (0x0A000000, 0xFFFFFF00)),
        (fields.ETH_DST, "02:00:00:00:00:fe", (0x0200000000FE, 0xFFFFFFFFFFFF)),
        (fields.VLAN_VID, 5, (0x1005, 0x1FFF)),
        (fields.VLAN_VID, 0, (0, 0x1FFF)),
        (fields.CT_STATE, "+trk-new", (0x20, 0x21)),
    ],
)
def test_values_as_people_write_them(field: fields.Field, value: Value, expected: tuple[int, int]) -> None:
    assert read_value(field, value) == expected


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        (fields.TCP_DST, 65536, "tcp_dst: 65536 doesn't fit 16 bits"),
        (fields.TCP_DST, -1, "tcp_dst: -1 doesn't fit"),
        (fields.ETH_DST, "02:00:00:00:00", "is not a MAC address"),
        (fields.IPV4_DST, "10.0.0.1/24", "has host bits set"),
        (fields.IPV4_DST, "web", "ipv4_dst: 'web' is not a value for it"),
        (fields.CT_STATE, "+trk+open", "ct_state"),
        (fields.CT_STATE, "trk", "ct_state"),
    ],
)
def test_what_does_not_fit_is_refused(field: fields.Field, value: Value, text: str) -> None:
    with pytest.raises(ValueError, match=text.replace("+", r"\+")):
        read_value(field, value)


@given(st.integers(0, 255), st.integers(0, 255))
def test_states_are_read_as_they_are_written(value: int, mask: int) -> None:
    assert read_ct_state(render_ct_state(value & mask, mask)) == (value & mask, mask)


def test_bits_stay_inside_their_register() -> None:
    assert register("half", 3, low=16).width == 16
    with pytest.raises(FieldError, match=r"bits far: 30\.\.33 don't fit reg0"):
        register("far", 0, low=30, width=4)
    with pytest.raises(FieldError, match="not reg16"):
        register("none", 16)
    with pytest.raises(FieldError, match="a name is"):
        register("No Name", 0)


def test_named_values_fit_their_bits() -> None:
    class Origin(IntEnum):
        POD = 1
        FABRIC = 2

    assert register("origin", 0, width=2, values=Origin).meanings == ((1, "pod"), (2, "fabric"))
    with pytest.raises(FieldError, match="value 2 needs more than 1 bits"):
        register("origin", 0, width=1, values=Origin)


@pytest.mark.parametrize("number", [0, 65536])
def test_zones_have_a_number(number: int) -> None:
    with pytest.raises(FieldError, match=r"not in 1\.\.65535"):
        Zone("default", number)


LOW = register("low", 1, low=0, width=4)
HIGH = register("high", 1, low=4, width=4)


def test_bits_of_one_field_combine() -> None:
    assert match({LOW: 1, HIGH: 2}) == match({HIGH: 2, LOW: 1})
    assert match({LOW: 1, HIGH: 2}).get(fields.REGISTERS[1]) == (0x21, 0xFF)


def test_prerequisites_are_filled_in() -> None:
    assert match(tcp_dst=80) == match(eth_type=0x0800, ip_proto=6, tcp_dst=80)
    assert match(arp_tpa="10.0.0.1") == match(eth_type=0x0806, arp_tpa="10.0.0.1")


def test_what_matches_anything_is_left_out() -> None:
    assert match(ipv4_dst="0.0.0.0/0") == match(eth_type=0x0800)
    assert match(in_port=(0, 0)) == match()


def test_the_same_packets_are_the_same_match() -> None:
    assert match(ipv4_dst=(0x0A0000FF, 0xFFFFFF00)) == match(ipv4_dst="10.0.0.0/24")
    assert hash(match(ipv4_dst=(0x0A0000FF, 0xFFFFFF00))) == hash(match(ipv4_dst="10.0.0.0/24"))


def test_contradictions_are_refused() -> None:
    with pytest.raises(FieldError, match="ip_proto"):
        match(tcp_dst=80, ip_proto=17)
    with pytest.raises(FieldError, match="no field is called 'nw_dst'"):
        match(nw_dst="10.0.0.1")


def test_a_set_has_no_mask() -> None:
    with pytest.raises(FieldError, match="set a value, not a mask"):
        SetField(fields.IPV4_DST, "10.0.0.0/24")
