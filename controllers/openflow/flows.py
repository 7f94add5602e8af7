"""Flows and groups as values.

A flow says what it matches, what it does, and *who asked for it*::

    Flow(
        "route", 100,
        match({VPC: 7}, ipv4_dst="10.0.1.0/24"),
        (SetField(DST_ENI, 12), SetField(ETH_DST, "02:00:00:00:00:0c"), DecTtl()),
        goto="deliver",
        owner="RouteTable/main", note="to subnet web",
    )

Tables are named as in the pipeline (``pipeline.Pipeline``), which checks the flow against its table's
contract. Nothing here does any I/O or knows of Ryu.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address
from typing import TypeAlias

from controllers.openflow.fields import (
    FIELDS,
    Bits,
    Field,
    FieldError,
    Target,
    Value,
    Zone,
    read_value,
    target_range,
)


@dataclass(frozen=True, slots=True)
class Match:
    """What a packet must look like: (field, value, mask) in canonical order; make it with :func:`match`.

    Two matches that mean the same are equal: values are masked, full masks are the field's width, nothing is
    listed that matches anything.
    """

    items: tuple[tuple[Field, int, int], ...] = ()

    def get(self, field: Field) -> tuple[int, int] | None:
        """(value, mask) of a field, or None when it is free."""
        return next(((value, mask) for each, value, mask in self.items if each is field), None)


ANY = Match()
"""Matches every packet."""


def match(bits: Mapping[Target, Value] | None = None, /, **fields: Value) -> Match:
    """Make a match from named bits and from fields by name; prerequisites are filled in.

    ``match({PEERED: 1, SRC_ENI: 5}, in_port=3, ipv4_dst="10.0.0.0/24", tcp_dst=80)`` also matches
    ``eth_type=0x0800`` and ``ip_proto=6``. Values are as in :func:`fields.read_value`; bits of one field
    combine.
    Raises FieldError for an unknown field, a value that doesn't fit, or a contradiction (``tcp_dst`` with
    ``ip_proto=17``, the same bit asked to be 0 and 1).
    """
    found: dict[Field, tuple[int, int]] = {}
    for target, value in (bits or {}).items():
        _narrow(found, target, value)
    for name, value in fields.items():
        if name not in FIELDS:
            raise FieldError(f"no field is called {name!r}")
        _narrow(found, FIELDS[name], value)
    for field in tuple(found):
        for name, number in field.needs:
            _narrow(found, FIELDS[name], number)
    items = [(field, value, mask) for field, (value, mask) in found.items() if mask]
    items.sort(key=_order)
    return Match(tuple(items))


def _order(item: tuple[Field, int, int]) -> int:
    return item[0].order


def _narrow(found: dict[Field, tuple[int, int]], target: Target, value: Value) -> None:
    number, mask = read_value(target, value)
    field = target
    if isinstance(target, Bits):
        number, mask, field = number << target.low, mask << target.low, target.field
    assert isinstance(field, Field)
    if (before := found.get(field)) is not None:
        shared = before[1] & mask
        if before[0] & shared != number & shared:
            raise FieldError(f"{target.name}: can't be both {before[0]:#x} and {number:#x}")
        number, mask = before[0] | number, before[1] | mask
    found[field] = (number, mask)


# Actions


@dataclass(frozen=True, slots=True)
class Output:
    """Send out of a port (its number). Never the port it came in by: that is :class:`InPort`."""

    port: int


@dataclass(frozen=True, slots=True)
class OutputFrom:
    """Send out of the port whose number is in a register, in OpenFlow 1.0's 16 bits (LOCAL is 0xfffe there)."""

    source: Target


@dataclass(frozen=True, slots=True)
class InPort:
    """Send back out of the port it came in by."""


@dataclass(frozen=True, slots=True)
class Local:
    """Send to the bridge's own port."""


@dataclass(frozen=True, slots=True)
class ToGroup:
    """Hand to a group (``Group.id``)."""

    group: int


@dataclass(frozen=True, slots=True, init=False)
class SetField:
    """Write a value to a header field, a register or named bits: ``SetField(DST_ENI, 12)``.

    ``value`` is as in :func:`fields.read_value`, without a mask. On ``vlan_vid`` 1..4095 is the tag's number.
    """

    target: Target
    value: int

    def __init__(self, target: Target, value: Value) -> None:
        number, mask = read_value(target, value)
        if mask != target.full:
            raise FieldError(f"{target.name}: set a value, not a mask ({value!r})")
        object.__setattr__(self, "target", target)
        object.__setattr__(self, "value", number)


@dataclass(frozen=True, slots=True)
class Copy:
    """Copy bits (of the same width) from one place to another, both starting at their lowest bit."""

    source: Target
    target: Target

    def __post_init__(self) -> None:
        if target_range(self.source)[1] != target_range(self.target)[1]:
            raise FieldError(f"copy {self.source.name} to {self.target.name}: the widths differ")


@dataclass(frozen=True, slots=True)
class PushVlan:
    """Add an 802.1Q tag; follow with ``SetField(VLAN_VID, number)``."""


@dataclass(frozen=True, slots=True)
class PopVlan:
    """Remove the outer tag."""


@dataclass(frozen=True, slots=True)
class DecTtl:
    """Subtract one from the IPv4 time to live; a packet that would reach 0 is dropped."""


@dataclass(frozen=True, slots=True)
class Snat:
    """Source becomes an address of ``first``..``last`` and, with ``ports``, a port of that range, ends
    included."""

    first: IPv4Address
    last: IPv4Address | None = None
    ports: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Dnat:
    """Destination becomes an address of ``first``..``last`` and, with ``ports``, a port of that range."""

    first: IPv4Address
    last: IPv4Address | None = None
    ports: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Nat:
    """Translate packets of a connection that is already known (both directions); nothing on a new one."""


@dataclass(frozen=True, slots=True)
class Ct:
    """Send through connection tracking and, with ``table``, go on there with ``ct_*`` fields filled in.

    ``zone`` is named, or 16 bits of a register. ``commit`` remembers the connection; ``sets`` writes its mark
    and label (only with commit). ``force`` restarts a connection whose first direction was the other one.
    Without ``table`` the packet itself goes on unchanged with the next action.
    """

    zone: Zone | Bits
    table: str | None = None
    commit: bool = False
    nat: Snat | Dnat | Nat | None = None
    sets: tuple[SetField | Copy, ...] = ()
    force: bool = False

    def __post_init__(self) -> None:
        if self.sets and not self.commit:
            raise FieldError("ct: a connection's mark or label can only be set when it is committed")
        if isinstance(self.nat, Snat | Dnat) and not self.commit:
            raise FieldError("ct: a new translation needs commit; use Nat() to apply a known one")
        if isinstance(self.zone, Bits) and self.zone.width != 16:
            raise FieldError(f"ct: a zone is 16 bits, {self.zone.name} has {self.zone.width}")
        for each in self.sets:
            if each.target.name not in ("ct_mark", "ct_label") and (
                not isinstance(each.target, Bits) or each.target.field.name not in ("ct_mark", "ct_label")
            ):
                raise FieldError(f"ct: {each.target.name} is not of the connection's mark or label")


@dataclass(frozen=True, slots=True)
class CtClear:
    """Forget the packet's connection state (before it enters another network)."""


@dataclass(frozen=True, slots=True)
class Conjunction:
    """Clause ``clause`` of 1..``clauses`` of conjunctive match ``id``; ``conj_id=id`` matches when all do."""

    id: int
    clause: int
    clauses: int

    def __post_init__(self) -> None:
        if not 1 <= self.clause <= self.clauses or not 2 <= self.clauses <= 64:
            raise FieldError(f"conjunction {self.id}: clause {self.clause} of {self.clauses} (2..64)")


@dataclass(frozen=True, slots=True)
class Resubmit:
    """Look up another table (also an earlier one) with the packet as it is, then go on with the next
    action."""

    table: str


@dataclass(frozen=True, slots=True)
class Learn:
    """Make a flow from this packet: in ``table`` (declared ``learned``), so that later packets are treated alike.

    ``matches`` and ``sets``: (field of the new flow, a number or a field of this packet). Prerequisites are not filled
    in. ``owner`` and ``note`` are the new flow's; when no Learn of the program has them any more, it is removed.
    Client affinity of a Service for three hours::

        Learn("affinity", 100, 10800, ((ETH_TYPE, IPV4), (IPV4_SRC, IPV4_SRC)), ((ENDPOINT, ENDPOINT),), "Service/web")
    """

    table: str
    priority: int
    idle_timeout: int
    matches: tuple[tuple[Target, Target | int], ...]
    sets: tuple[tuple[Target, Target | int], ...] = ()
    owner: str = ""
    note: str = ""
    hard_timeout: int = 0

    def __post_init__(self) -> None:
        for target, source in (*self.matches, *self.sets):
            if not isinstance(source, int) and target_range(source)[1] != target_range(target)[1]:
                raise FieldError(f"learn {target.name} from {source.name}: the widths differ")


@dataclass(frozen=True, slots=True)
class Clone:
    """Do the actions on a copy: changes to the packet are undone after."""

    actions: tuple[Action, ...]


Action: TypeAlias = (
    Output | OutputFrom | InPort | Local | ToGroup | SetField | Copy | PushVlan | PopVlan | DecTtl
    | Ct | CtClear | Conjunction | Resubmit | Learn | Clone
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Flow:
    """One rule of one table. Its identity is (table, priority, match).

    ``owner`` is the user's object (``Pod/default/web-0``), ``note`` says in a phrase what the rule is for;
    both come back from a live dump by the cookie. No actions and no ``goto`` is a drop. ``idle_timeout`` is
    in seconds, 0 is never.
    """

    table: str
    priority: int
    match: Match
    actions: tuple[Action, ...] = ()
    goto: str | None = None
    owner: str = ""
    note: str = ""
    idle_timeout: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.priority <= 0xFFFF:
            raise FieldError(f"{self.table}: flow of {self.owner}: priority {self.priority} not in 0..65535")

    @property
    def key(self) -> FlowKey:
        return (self.table, self.priority, self.match)


FlowKey: TypeAlias = tuple[str, int, Match]


class GroupKind(StrEnum):
    """``SELECT``: one bucket, by the connection's hash. ``ALL``: a copy to each. ``INDIRECT``: the only
    one."""

    SELECT = "select"
    ALL = "all"
    INDIRECT = "indirect"


@dataclass(frozen=True, slots=True)
class Bucket:
    """Actions of a group; ``weight`` counts in a select group; with ``watch_port`` live only when the port
    is."""

    actions: tuple[Action, ...]
    weight: int = 1
    watch_port: int | None = None


@dataclass(frozen=True, slots=True)
class Answers:
    """Tracked connections whose answers come from one address and port, such as those that were translated to it."""

    zone: Zone
    protocol: int
    address: IPv4Address
    port: int


@dataclass(frozen=True, slots=True)
class Group:
    """A set of buckets under a number (1..0xfffffeff, the compiler's choice, stable for the same object).

    ``ends`` are connections that the switch forgets when they are no longer listed here: those that a bucket led to
    and that would go on without it.
    """

    id: int
    kind: GroupKind
    buckets: tuple[Bucket, ...]
    owner: str = ""
    ends: tuple[Answers, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.id < 0xFFFFFF00:
            raise FieldError(f"group {self.id} of {self.owner}: the number is not in 1..0xfffffeff")
        if self.kind is GroupKind.INDIRECT and len(self.buckets) != 1:
            raise FieldError(f"group {self.id} of {self.owner}: an indirect group has one bucket")
