"""Every field and every bit that a flow may match, set or copy has a name.

* ``Field`` - a header, metadata or register field of the switch (``IPV4_DST``, ``CT_STATE``, ``REG3``).
* ``Bits`` - a named run of bits of a field, which is how a pipeline uses registers and connection marks::

      SRC_ENI = register("src_eni", 0)                      # all 32 bits of reg0
      PEERED = register("peered", 3, low=0, width=1)        # bit 0 of reg3
      EGRESS = ct_mark("egress", low=4, width=4)            # bits 4..7 of the connection's mark

* ``Zone`` - a named connection tracking zone.

A pipeline lists the bits and zones that it uses and refuses overlaps (``pipeline.Pipeline``).
Numbers are from the Open vSwitch manual ovs-fields(7) and OpenFlow 1.4, section 7.2.3.7.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import TypeAlias

IN_PORT_NUMBER = 0xFFFFFFF8
LOCAL = 0xFFFFFFFE
"""The bridge's own port (OFPP_LOCAL)."""

IPV4 = 0x0800
ARP = 0x0806
ICMP = 1
TCP = 6
UDP = 17

TCP_RESET = (0x004, 0x004)
"""For ``tcp_flags``: the reset bit is set, whatever the others are."""

TCP_OPENS = (0x002, 0x012)
"""For ``tcp_flags``: the first segment of a connection, SYN without ACK."""

VLAN_PRESENT = 0x1000
"""Set in ``vlan_vid`` when the packet has a tag. ``vlan_vid=5`` includes it, ``vlan_vid=0`` means
untagged."""

Value: TypeAlias = int | str | bool | IPv4Address | IPv4Network | IPv4Interface | tuple[int, int]


class FieldError(ValueError):
    """A value doesn't fit its field, or bits overlap; the text names both."""


class Kind(StrEnum):
    """How a field's value is written for people."""

    NUMBER = "number"
    HEX = "hex"
    IPV4 = "ipv4"
    MAC = "mac"
    PORT = "port"
    VLAN = "vlan"
    STATE = "ct_state"


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """A field of the switch.

    ``width`` in bits; ``header`` is the OXM header without length and mask bit (class << 16 | field << 9);
    ``old_header`` is Nicira's, where it differs: Open vSwitch writes that one in copies (NXAST_REG_MOVE).
    ``needs`` are the prerequisites (field name, value).
    There is one object per field, so equality is identity.
    """

    name: str
    width: int
    header: int
    kind: Kind = Kind.NUMBER
    needs: tuple[tuple[str, int], ...] = ()
    order: int = 0
    old_header: int | None = None

    @property
    def size(self) -> int:
        """Bytes on the wire."""
        return (self.width + 7) // 8

    @property
    def full(self) -> int:
        """The mask that says every bit."""
        return (1 << self.width) - 1

    def __repr__(self) -> str:
        return self.name


OPENFLOW_BASIC = 0x8000 << 16
NICIRA_0 = 0x0000
NICIRA_1 = 0x0001 << 16

FIELDS: dict[str, Field] = {}
"""Every field by name, in the order in which a canonical match lists them."""

_IP = (("eth_type", IPV4),)
_ARP = (("eth_type", ARP),)


def _field(
    name: str,
    width: int,
    family: int,
    number: int,
    kind: Kind = Kind.NUMBER,
    needs: tuple[tuple[str, int], ...] = (),
    old: int | None = None,
) -> Field:
    """``old`` is Nicira's header (class << 16 | number), shifted into place here."""
    old_header = None if old is None else old >> 16 << 16 | (old & 0xFFFF) << 9
    made = Field(name, width, family | number << 9, kind, needs, len(FIELDS), old_header)
    FIELDS[name] = made
    return made


def _transport(protocol: int) -> tuple[tuple[str, int], ...]:
    return (*_IP, ("ip_proto", protocol))


REGISTERS = tuple(_field(f"reg{n}", 32, NICIRA_1, n, Kind.HEX) for n in range(16))
CT_STATE = _field("ct_state", 32, NICIRA_1, 105, Kind.STATE)
CT_ZONE = _field("ct_zone", 16, NICIRA_1, 106)
CT_MARK = _field("ct_mark", 32, NICIRA_1, 107, Kind.HEX)
CT_LABEL = _field("ct_label", 128, NICIRA_1, 108, Kind.HEX)
CONJ_ID = _field("conj_id", 32, NICIRA_1, 37)
METADATA = _field("metadata", 64, OPENFLOW_BASIC, 2, Kind.HEX)
TUNNEL_ID = _field("tunnel_id", 64, OPENFLOW_BASIC, 38, old=NICIRA_1 | 16)
TUN_IPV4_SRC = _field("tun_ipv4_src", 32, NICIRA_1, 31, Kind.IPV4)
TUN_IPV4_DST = _field("tun_ipv4_dst", 32, NICIRA_1, 32, Kind.IPV4)
PKT_MARK = _field("pkt_mark", 32, NICIRA_1, 33, Kind.HEX)
IN_PORT = _field("in_port", 32, OPENFLOW_BASIC, 0, Kind.PORT)
VLAN_VID = _field("vlan_vid", 13, OPENFLOW_BASIC, 6, Kind.VLAN)
ETH_SRC = _field("eth_src", 48, OPENFLOW_BASIC, 4, Kind.MAC, old=2)
ETH_DST = _field("eth_dst", 48, OPENFLOW_BASIC, 3, Kind.MAC, old=1)
ETH_TYPE = _field("eth_type", 16, OPENFLOW_BASIC, 5, Kind.HEX, old=3)
IPV4_SRC = _field("ipv4_src", 32, OPENFLOW_BASIC, 11, Kind.IPV4, _IP, old=7)
IPV4_DST = _field("ipv4_dst", 32, OPENFLOW_BASIC, 12, Kind.IPV4, _IP, old=8)
IP_PROTO = _field("ip_proto", 8, OPENFLOW_BASIC, 10, Kind.NUMBER, _IP, old=6)
IP_DSCP = _field("ip_dscp", 6, OPENFLOW_BASIC, 8, Kind.NUMBER, _IP)
IP_TTL = _field("ip_ttl", 8, NICIRA_1, 29, Kind.NUMBER, _IP)
IP_FRAG = _field("ip_frag", 2, NICIRA_1, 26, Kind.HEX, _IP)
TCP_SRC = _field("tcp_src", 16, OPENFLOW_BASIC, 13, Kind.NUMBER, _transport(TCP), old=9)
TCP_DST = _field("tcp_dst", 16, OPENFLOW_BASIC, 14, Kind.NUMBER, _transport(TCP), old=10)
TCP_FLAGS = _field("tcp_flags", 12, NICIRA_1, 34, Kind.HEX, _transport(TCP))
UDP_SRC = _field("udp_src", 16, OPENFLOW_BASIC, 15, Kind.NUMBER, _transport(UDP), old=11)
UDP_DST = _field("udp_dst", 16, OPENFLOW_BASIC, 16, Kind.NUMBER, _transport(UDP), old=12)
ICMPV4_TYPE = _field("icmpv4_type", 8, OPENFLOW_BASIC, 19, Kind.NUMBER, _transport(ICMP), old=13)
ICMPV4_CODE = _field("icmpv4_code", 8, OPENFLOW_BASIC, 20, Kind.NUMBER, _transport(ICMP), old=14)
ARP_OP = _field("arp_op", 16, OPENFLOW_BASIC, 21, Kind.NUMBER, _ARP, old=15)
ARP_SPA = _field("arp_spa", 32, OPENFLOW_BASIC, 22, Kind.IPV4, _ARP, old=16)
ARP_TPA = _field("arp_tpa", 32, OPENFLOW_BASIC, 23, Kind.IPV4, _ARP, old=17)
ARP_SHA = _field("arp_sha", 48, OPENFLOW_BASIC, 24, Kind.MAC, _ARP, old=NICIRA_1 | 17)
ARP_THA = _field("arp_tha", 48, OPENFLOW_BASIC, 25, Kind.MAC, _ARP, old=NICIRA_1 | 18)
CT_NW_SRC = _field("ct_nw_src", 32, NICIRA_1, 120, Kind.IPV4, _IP)
CT_NW_DST = _field("ct_nw_dst", 32, NICIRA_1, 121, Kind.IPV4, _IP)
CT_NW_PROTO = _field("ct_nw_proto", 8, NICIRA_1, 119, Kind.NUMBER, _IP)
CT_TP_SRC = _field("ct_tp_src", 16, NICIRA_1, 124, Kind.NUMBER, _IP)
CT_TP_DST = _field("ct_tp_dst", 16, NICIRA_1, 125, Kind.NUMBER, _IP)
"""``ct_nw_*`` and ``ct_tp_*`` are the connection's original direction, that is, before translation."""


@dataclass(frozen=True, slots=True)
class Bits:
    """A named run of bits of a field: bit ``low`` and the ``width - 1`` above it.

    ``meanings`` names values for dumps and for the pipeline document; ``doc`` is one phrase.
    """

    name: str
    field: Field
    low: int
    width: int
    doc: str = ""
    meanings: tuple[tuple[int, str], ...] = ()

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.name):
            raise FieldError(f"bits {self.name!r}: a name is lower case letters, digits and _")
        if self.width < 1 or self.low < 0 or self.low + self.width > self.field.width:
            raise FieldError(
                f"bits {self.name}: {self.low}..{self.low + self.width - 1} don't fit {self.field.name} "
                f"(0..{self.field.width - 1})"
            )
        if too_big := [value for value, _ in self.meanings if not 0 <= value <= self.full]:
            raise FieldError(f"bits {self.name}: value {too_big[0]} needs more than {self.width} bits")

    @property
    def full(self) -> int:
        """The largest value."""
        return (1 << self.width) - 1

    @property
    def mask(self) -> int:
        """The bits' place in the field."""
        return self.full << self.low

    @property
    def whole(self) -> bool:
        """Whether these are all bits of the field."""
        return self.width == self.field.width

    def overlaps(self, other: Bits) -> bool:
        return self.field is other.field and bool(self.mask & other.mask)

    def __repr__(self) -> str:
        return self.name


def _bits(name: str, field: Field, low: int, width: int | None, doc: str, values: type[IntEnum] | None) -> Bits:
    meanings = tuple((value.value, value.name.lower()) for value in values) if values else ()
    return Bits(name, field, low, field.width - low if width is None else width, doc, meanings)


def register(
    name: str,
    reg: int,
    *,
    low: int = 0,
    width: int | None = None,
    doc: str = "",
    values: type[IntEnum] | None = None,
) -> Bits:
    """Name bits of packet register ``reg`` (0..15, 32 bits each; zero when a packet arrives).

    ``values`` names the values. Raises FieldError when the bits don't fit the register.
    """
    if not 0 <= reg < len(REGISTERS):
        raise FieldError(f"register {name}: there are reg0..reg{len(REGISTERS) - 1}, not reg{reg}")
    return _bits(name, REGISTERS[reg], low, width, doc, values)


def ct_mark(
    name: str, *, low: int = 0, width: int | None = None, doc: str = "", values: type[IntEnum] | None = None
) -> Bits:
    """Name bits of the connection's 32-bit mark. It is set only inside ``Ct(commit=True, sets=...)``."""
    return _bits(name, CT_MARK, low, width, doc, values)


def ct_label(
    name: str, *, low: int = 0, width: int | None = None, doc: str = "", values: type[IntEnum] | None = None
) -> Bits:
    """Name bits of the connection's 128-bit label. It is set only inside ``Ct(commit=True, sets=...)``."""
    return _bits(name, CT_LABEL, low, width, doc, values)


@dataclass(frozen=True, slots=True)
class Zone:
    """A named connection tracking zone, 1..65535; 0 is the default one, for nobody to use by accident."""

    name: str
    number: int
    doc: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.number <= 0xFFFF:
            raise FieldError(f"zone {self.name}: {self.number} is not in 1..65535")


Target: TypeAlias = Field | Bits
"""What an action can write or read: a whole field, or named bits of one."""


def target_field(target: Target) -> Field:
    return target.field if isinstance(target, Bits) else target


def target_mask(target: Target) -> int:
    return target.mask if isinstance(target, Bits) else target.full


def target_range(target: Target) -> tuple[int, int]:
    """(lowest bit, number of bits)."""
    return (target.low, target.width) if isinstance(target, Bits) else (0, target.width)


_STATES = {"new": 1, "est": 2, "rel": 4, "rpl": 8, "inv": 16, "trk": 32, "snat": 64, "dnat": 128}


def read_ct_state(text: str) -> tuple[int, int]:
    """``"+trk+new-rel"`` -> (value, mask). Raises FieldError on an unknown flag."""
    words = re.findall(r"([+-])([a-z]+)", text)
    if "".join(sign + flag for sign, flag in words) != text or any(flag not in _STATES for _, flag in words):
        raise FieldError(f"ct_state {text!r}: write flags as +trk-new; flags are {', '.join(_STATES)}")
    mask = sum(_STATES[flag] for _, flag in words)
    return sum(_STATES[flag] for sign, flag in words if sign == "+"), mask


def render_ct_state(value: int, mask: int) -> str:
    return "".join(("+" if value & bit else "-") + flag for flag, bit in _STATES.items() if mask & bit)


def mac_number(text: str) -> int:
    """``"02:00:00:00:00:01"`` -> its 48-bit number. Raises FieldError."""
    if not re.fullmatch(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}", text):
        raise FieldError(f"{text!r} is not a MAC address")
    return int(text.replace(":", ""), 16)


def mac_text(number: int) -> str:
    return number.to_bytes(6, "big").hex(":")


def read_value(target: Target, value: Value) -> tuple[int, int]:
    """A value as people write it -> (number, mask), relative to the target's own lowest bit.

    Takes int, bool, (number, mask), MAC or IPv4 text, ``"+trk+new"`` for ``ct_state``, and ``ipaddress``
    objects (a network becomes a prefix mask; an interface its address). Raises FieldError when it doesn't
    fit.
    """
    full = target.full
    number, mask = _read_raw(target, value, full)
    if number < 0 or number > full or mask < 0 or mask > full:
        raise FieldError(f"{target.name}: {value!r} doesn't fit {target.width} bits")
    return number & mask, mask


def _read_raw(target: Target, value: Value, full: int) -> tuple[int, int]:
    if isinstance(value, int):
        if target is VLAN_VID and 0 < value < VLAN_PRESENT:
            return value | VLAN_PRESENT, full
        return int(value), full
    if isinstance(value, tuple):
        return value
    if isinstance(value, IPv4Interface):
        return int(value.ip), full
    if isinstance(value, IPv4Address):
        return int(value), full
    if isinstance(value, IPv4Network):
        return int(value.network_address), int(value.netmask)
    return _read_text(target, value, full)


def _read_text(target: Target, text: str, full: int) -> tuple[int, int]:
    kind = target_field(target).kind
    if kind is Kind.STATE:
        return read_ct_state(text)
    if kind is Kind.MAC:
        return mac_number(text), full
    if "/" in text:
        network = IPv4Network(text)
        return int(network.network_address), int(network.netmask)
    if text.count(".") == 3:
        return int(IPv4Address(text)), full
    raise FieldError(f"{target.name}: {text!r} is not a value for it")
