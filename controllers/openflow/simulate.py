"""A switch in pure Python: send a packet through a program and see where it comes out, as what, and by which flows.

::

    switch = FakeSwitch(program)
    outcome = switch.send(tcp("10.0.0.1", "10.0.0.2", 80), in_port=3)
    assert outcome.ports == [7], outcome
    switch.send(outcome.only.packet.reply(), in_port=7)

It knows what the values of ``flows`` can say, conjunctive matches, groups and connection tracking (``tracking``)
among them. Like Open vSwitch it never sends a packet back out of its ingress port unless told ``InPort``, gives each
bucket and clone its own copy, and goes on with a *copy* in the table that ct names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from controllers.openflow import fields as f
from controllers.openflow import flows as a
from controllers.openflow.packets import Packet
from controllers.openflow.program import Program
from controllers.openflow.render import render_flow
from controllers.openflow.tracking import Connection, Fields, Tracker, track

DEEPEST = 64
"""Resubmits inside each other (MAX_DEPTH of Open vSwitch's ofproto/ofproto-dpif-xlate.c)."""

MOST_RECIRCULATIONS = 6
"""Of one packet in the userspace datapath, also over patch ports; then it is dropped. Measured with Open vSwitch 3.1:
ct with a table is one each time, and so is the first select group (it computes a hash, which stays with the packet)."""

_RECIRCULATIONS = f.Field("recirculations", 8, 0)
_HASHED = f.Field("hashed", 1, 0)

_PIPELINE_FIELDS = frozenset(
    (
        *(_RECIRCULATIONS, _HASHED),
        *(*f.REGISTERS, f.METADATA, f.IN_PORT, f.CONJ_ID, f.PKT_MARK, f.CT_STATE, f.CT_ZONE, f.CT_MARK, f.CT_LABEL),
        *(f.CT_NW_SRC, f.CT_NW_DST, f.CT_NW_PROTO, f.CT_TP_SRC, f.CT_TP_DST),
    )
)
_TUNNEL_FIELDS = (f.TUNNEL_ID, f.TUN_IPV4_SRC, f.TUN_IPV4_DST)
_UNTRACKED: Fields = dict.fromkeys((f.CT_STATE, f.CT_ZONE, f.CT_MARK, f.CT_LABEL), 0)
_FRESH: Fields = dict.fromkeys((*_PIPELINE_FIELDS, *_TUNNEL_FIELDS), 0)

Select = Callable[[a.Group, Packet], int]
"""Chooses the bucket of a select group: its position."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A packet that left, by which port. ``recirculations`` it has had: it goes on counting behind a patch port."""

    port: int
    packet: Packet
    recirculations: int = 0


@dataclass(slots=True)
class Outcome:
    """What became of one packet. ``trace`` has a line per flow that it hit and per thing worth knowing."""

    sent: list[Sent] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)
    last_flow: a.Flow | None = None
    """The last flow that was hit: for a drop, the one in the way."""

    @property
    def ports(self) -> list[int]:
        return [each.port for each in self.sent]

    @property
    def only(self) -> Sent:
        """The one packet that left. Raises ValueError when it wasn't one."""
        if len(self.sent) != 1:
            raise ValueError(f"{len(self.sent)} packets left\n{self}")
        return self.sent[0]

    def __str__(self) -> str:
        return "\n".join(self.trace)


class FakeSwitch:
    """One bridge. ``select`` chooses buckets (default: by a hash of addresses and ports, the same in every run);
    ``down`` are ports whose buckets (``watch_port``) don't count."""

    def __init__(self, program: Program, select: Select | None = None, down: Iterable[int] = ()) -> None:
        self.program = program
        self.tracker = Tracker()
        self.select = select
        self.down = frozenset(down)
        self._tables: dict[str, list[a.Flow]] = {}
        for flow in sorted(program.flows.values(), key=lambda each: -each.priority):
            self._tables.setdefault(flow.table, []).append(flow)

    def send(self, packet: Packet, in_port: int, recirculations: int = 0, **metadata: f.Value) -> Outcome:
        """Receive a packet on a port; ``metadata`` are tunnel fields and the like that come with it.

        ``recirculations``: what a packet that comes by a patch port has had (``Sent.recirculations``).
        """
        extra = {f.FIELDS[name]: f.read_value(f.FIELDS[name], value)[0] for name, value in metadata.items()}
        outcome = Outcome()
        run = _Run(self, outcome)
        run.table(
            {**_FRESH, **packet.fields, **extra, f.IN_PORT: in_port, _RECIRCULATIONS: recirculations},
            self.program.pipeline.names[0],
        )
        if not outcome.sent:
            outcome.trace.append("dropped")
        return outcome

    def lookup(self, packet: Fields, table: str) -> a.Flow | None:
        """The flow that decides: the highest priority that matches, with conjunctive matches."""
        hard: a.Flow | None = None
        clauses: dict[tuple[int, int, int], set[int]] = {}
        for flow in self._tables.get(table, []):
            if hard is not None and flow.priority < hard.priority:
                break
            if not _matches(flow.match, packet):
                continue
            if flow.actions and isinstance(flow.actions[0], a.Conjunction):
                _note_clauses(clauses, flow)
            elif hard is None:
                hard = flow
        for (priority, number, wanted), seen in sorted(clauses.items(), reverse=True):
            if len(seen) == wanted and (hard is None or priority > hard.priority):
                return self._hard_match({**packet, f.CONJ_ID: number}, table)
        return hard

    def learn(self, flow: a.Flow) -> None:
        """Add a flow, or replace the one with its identity. It never times out here."""
        others = [each for each in self._tables.get(flow.table, []) if each.key != flow.key]
        self._tables[flow.table] = sorted([*others, flow], key=lambda each: -each.priority)

    def _hard_match(self, packet: Fields, table: str) -> a.Flow | None:
        """Open vSwitch looks up again with the conjunction's id: what has a higher priority than the flow on
        ``conj_id``, and a lower one than the clauses, wins."""
        for flow in self._tables[table]:
            soft = flow.actions and isinstance(flow.actions[0], a.Conjunction)
            if not soft and _matches(flow.match, packet):
                return flow
        return None


def _note_clauses(clauses: dict[tuple[int, int, int], set[int]], flow: a.Flow) -> None:
    for each in flow.actions:
        if isinstance(each, a.Conjunction):
            clauses.setdefault((flow.priority, each.id, each.clauses), set()).add(each.clause)


def _matches(match: a.Match, packet: Fields) -> bool:
    for where, value, mask in match.items:
        have = packet.get(where)
        if have is None or have & mask != value:
            return False
    return True


class _Run:
    """One packet's way through a switch."""

    def __init__(self, switch: FakeSwitch, outcome: Outcome) -> None:
        self._switch = switch
        self._outcome = outcome
        self._depth = 0

    def table(self, packet: Fields, name: str) -> None:
        """Look the packet up, do what the flow says, follow its goto."""
        self._depth += 1
        if self._depth > DEEPEST:
            raise RecursionError(f"more than {DEEPEST} tables inside each other\n{self._outcome}")
        following: str | None = name
        while following is not None:
            following = self._flow(packet, following)
        self._depth -= 1

    def _flow(self, packet: Fields, name: str) -> str | None:
        """Do what the flow says; the table to go to."""
        flow = self._switch.lookup(packet, name)
        if flow is None:
            self._outcome.trace.append(f"{name}: no flow")
            return None
        self._outcome.last_flow = flow
        self._outcome.trace.append(render_flow(self._switch.program.pipeline, flow))
        return flow.goto if self._actions(packet, flow.actions) else None

    def _actions(self, packet: Fields, actions: tuple[a.Action, ...]) -> bool:
        """Do them in turn; False when the time to live ended and the rest was left out."""
        for each in actions:
            if isinstance(each, a.DecTtl) and packet.get(f.IP_TTL, 64) <= 1:
                self._outcome.trace.append("the packet's time to live ends")
                return False
            self._action(packet, each)
        return True

    def _recirculate(self, packet: Fields) -> bool:
        """Count one more; False when the datapath gives up."""
        packet[_RECIRCULATIONS] = packet.get(_RECIRCULATIONS, 0) + 1
        if packet[_RECIRCULATIONS] <= MOST_RECIRCULATIONS:
            return True
        self._outcome.trace.append(f"dropped: the datapath recirculates a packet at most {MOST_RECIRCULATIONS} times")
        return False

    def _action(self, packet: Fields, action: a.Action) -> None:
        match action:
            case a.SetField(target=target, value=value):
                _write(packet, target, value)
            case a.Copy(source=source, target=target):
                _write(packet, target, _read(packet, source))
            case a.Output() | a.OutputFrom() | a.InPort() | a.Local():
                self._output(packet, action)
            case a.ToGroup(group=number):
                self._group(packet, self._switch.program.groups[number])
            case a.Ct():
                self._ct(packet, action)
            case _:
                self._other(packet, action)

    def _other(self, packet: Fields, action: a.Action) -> None:
        match action:
            case a.PushVlan():
                packet[f.VLAN_VID] = f.VLAN_PRESENT
            case a.PopVlan():
                packet[f.VLAN_VID] = 0
            case a.DecTtl():
                packet[f.IP_TTL] = packet.get(f.IP_TTL, 64) - 1
            case a.CtClear():
                packet.update(_UNTRACKED)
            case a.Resubmit(table=table):
                self.table(packet, table)
            case a.Clone(actions=actions):
                self._actions(dict(packet), actions)
            case a.Conjunction():
                pass
            case a.Learn():
                self._switch.learn(_learned_flow(packet, action))
            case _:
                raise TypeError(f"the fake switch doesn't know {action!r}")

    def _output(self, packet: Fields, action: a.Output | a.OutputFrom | a.InPort | a.Local) -> None:
        ingress = packet[f.IN_PORT]
        match action:
            case a.InPort():
                port = f.IN_PORT_NUMBER
            case a.Local():
                port = f.LOCAL
            case a.Output(port=port):
                pass
            case a.OutputFrom(source=source):
                port = _port_of_register(_read(packet, source))
        if port == f.IN_PORT_NUMBER:
            port = ingress
        elif port == ingress:
            self._outcome.trace.append(f"not sent: port {port} is where it came in")
            return
        leaving = {where: value for where, value in packet.items() if where not in _PIPELINE_FIELDS}
        for each in _TUNNEL_FIELDS:
            if not leaving[each]:
                del leaving[each]
        self._outcome.sent.append(Sent(port, Packet(leaving), packet[_RECIRCULATIONS]))

    def _group(self, packet: Fields, group: a.Group) -> None:
        live = [each for each in group.buckets if each.watch_port is None or each.watch_port not in self._switch.down]
        if group.kind is a.GroupKind.SELECT:
            if not packet[_HASHED] and not self._recirculate(packet):
                return
            packet[_HASHED] = 1
            live = [each for each in live if each.weight]
            live = [self._chosen(packet, group, live)] if live else []
        if not live:
            self._outcome.trace.append(f"group {group.id} has no live bucket")
        for bucket in live:
            self._actions(dict(packet), bucket.actions)

    def _chosen(self, packet: Fields, group: a.Group, live: list[a.Bucket]) -> a.Bucket:
        if self._switch.select is not None:
            return group.buckets[self._switch.select(group, Packet(packet))]
        keys = (f.IPV4_SRC, f.IPV4_DST, f.IP_PROTO, f.TCP_SRC, f.TCP_DST, f.UDP_SRC, f.UDP_DST)
        mixed = 17
        for key in keys:
            mixed = (mixed * 1_000_003 ^ packet.get(key, 0)) & 0xFFFFFFFF
        spread = [bucket for bucket in live for _ in range(bucket.weight)]
        return spread[mixed % len(spread)]

    def _ct(self, packet: Fields, ct: a.Ct) -> None:
        """Track a copy when it goes on in another table; the packet itself when it doesn't, and only its translation
        stays: whatever comes after ct sees an untracked packet (compose_conntrack_action of ofproto-dpif-xlate.c)."""
        zone = ct.zone.number if isinstance(ct.zone, f.Zone) else _read(packet, ct.zone)
        tracked = dict(packet)
        connection = track(self._switch.tracker, zone, tracked, ct)
        state = f.render_ct_state(tracked[f.CT_STATE], 0xFF)
        self._outcome.trace.append(f"ct zone {zone}: {state}")
        if connection is not None and ct.commit:
            _set_marks(tracked, connection, ct)
        if ct.table is not None:
            if self._recirculate(tracked):
                self.table(tracked, ct.table)
        elif ct.nat is not None:
            packet.update({where: value for where, value in tracked.items() if where not in _PIPELINE_FIELDS})
        packet.update(_UNTRACKED)


def _set_marks(packet: Fields, connection: Connection, ct: a.Ct) -> None:
    for each in ct.sets:
        value = each.value if isinstance(each, a.SetField) else _read(packet, each.source)
        _write(packet, each.target, value)
    connection.mark, connection.label = packet[f.CT_MARK], packet[f.CT_LABEL]


def _learned_flow(packet: Fields, learn: a.Learn) -> a.Flow:
    def number(source: f.Target | int) -> int:
        return source if isinstance(source, int) else _read(packet, source)

    return a.Flow(
        learn.table,
        learn.priority,
        a.match({target: number(source) for target, source in learn.matches}),
        tuple(a.SetField(target, number(source)) for target, source in learn.sets),
        owner=learn.owner,
        note=learn.note,
        idle_timeout=learn.idle_timeout,
    )


def _port_of_register(value: int) -> int:
    """Registers hold ports as OpenFlow 1.0 numbers them: 16 bits, 0xff00 and up reserved (0xfffe is LOCAL)."""
    return value + 0xFFFF0000 if 0xFF00 <= value <= 0xFFFF else value


def _read(packet: Fields, target: f.Target) -> int:
    if isinstance(target, f.Bits):
        return (packet.get(target.field, 0) >> target.low) & target.full
    return packet.get(target, 0)


def _write(packet: Fields, target: f.Target, value: int) -> None:
    if isinstance(target, f.Bits):
        packet[target.field] = packet.get(target.field, 0) & ~target.mask | value << target.low
    else:
        packet[target] = value
