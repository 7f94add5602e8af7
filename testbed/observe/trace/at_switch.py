"""A packet in a switch: traced by the switch itself, resumed after each conntrack with what conntrack made of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial

from testbed.observe.flows import name_jumps
from testbed.observe.trace.actions import (
    Action,
    Conntrack,
    apply_set,
    outer,
    push_tunnel,
    read_actions,
    read_conntrack,
)
from testbed.observe.trace.machine import Machine
from testbed.observe.trace.misses import NOTE, describe_miss
from testbed.observe.trace.packet import Packet, changes
from testbed.observe.trace.places import AtKernel, AtSwitch, End, OnWire, Passed, Place
from testbed.observe.trace.reply import Reply, TableStep
from testbed.observe.trace.results import STRANGER, Decision, Hop, HopKind, Outcome
from testbed.observe.trace.switches import LOCAL
from testbed.observe.trace.tracking import Connections

MOST_RESUMPTIONS = 16


@dataclass
class _Pass:
    """What has been seen so far of one packet's pass through one switch."""

    machine: Machine
    connections: Connections
    at: AtSwitch
    packet: Packet
    decisions: list[tuple[str, Decision]] = field(default_factory=list)
    last: TableStep | None = None

    @property
    def where(self) -> str:
        return self.at.namespace


def pass_switch(machine: Machine, connections: Connections, at: AtSwitch, packet: Packet, choice: int) -> Passed:
    """``choice``: the hash by which groups choose. Raises ``EmulationError`` for a switch that does not answer."""
    state = _Pass(machine, connections, at, packet)
    switch = machine.switches[at.namespace]
    port = "LOCAL" if at.number == LOCAL else str(at.number)
    hashed = f"dp_hash={choice:#x}"
    reply = switch.trace(at.bridge, f"{hashed},in_port={port},{packet.header()}")
    for _ in range(MOST_RESUMPTIONS):
        _note_tables(state, reply)
        resume_as, place = _carry_out(state, reply)
        if place is not None:
            return _passed(state, place, packet)
        bridge = reply.steps[-1].bridge if reply.steps else at.bridge
        flow = f"{hashed},{resume_as},{reply.frozen},{state.packet.header()}"
        assert reply.resumes_at is not None
        reply = switch.resume(bridge, flow, reply.resumes_at)
    return _passed(state, End(Outcome.DROPPED, at.namespace, "it goes through conntrack again and again"), packet)


def _passed(state: _Pass, place: Place, before: Packet) -> Passed:
    """A hop for each bridge; what changed is told at the first."""
    bridges = list(dict.fromkeys(bridge for bridge, _ in state.decisions)) or [state.at.bridge]
    left = place.device if isinstance(place, OnWire | AtKernel) else ""
    hops = []
    for position, bridge in enumerate(bridges):
        decisions = tuple(decision for name, decision in state.decisions if name == bridge)
        hops.append(
            Hop(
                where=f"{state.at.namespace}/{bridge}",
                kind=HopKind.SWITCH,
                entered=state.at.device if position == 0 else "",
                left=left if position == len(bridges) - 1 else "",
                decisions=decisions,
                before=before if position == 0 else state.packet,
                after=state.packet,
                namespace=state.at.namespace,
            )
        )
    return Passed(tuple(hops), place, state.packet)


def _note_tables(state: _Pass, reply: Reply) -> None:
    for step in reply.steps:
        state.last = step
        state.decisions.append((step.bridge, _decision(state, step)))


def _decision(state: _Pass, step: TableStep) -> Decision:
    switches = state.machine.switches
    table = switches.table(state.where, step.bridge, step.table)
    actions = name_jumps(", ".join(step.actions), partial(switches.table, state.where, step.bridge))
    detail = f"{step.match or 'everything'}, priority {step.priority}: {actions or 'drop'}"
    if step.missed:
        return Decision(table, "no flow matches", detail="table miss")
    known = switches.owner(state.where, step.bridge, step.cookie)
    if known is None:
        return Decision(table, f"{STRANGER} (cookie {step.cookie})", detail=detail)
    owner, source = state.machine.owners.read(known[0])
    chosen = any(note.startswith("using bucket") for note in step.notes)
    why = f"{known[1]}{' (one of several)' if chosen else ''}"
    return Decision(table, why, owner, source, detail, step.priority > 0 and bool(known[1]), chosen)


def _carry_out(state: _Pass, reply: Reply) -> tuple[str, Place | None]:
    """Do to the packet what the datapath does.

    Either it goes on in a table after conntrack, as (its connection's state for the resumption, None), or it has left
    the switch, as ("", where it is).
    """
    actions = list(read_actions(reply.actions))
    tracked: Conntrack | None = None
    for position, action in enumerate(actions):
        match action.name:
            case "set" | "push_vlan" | "pop_vlan":
                state.packet = _rewrite(state.packet, action)
            case "ct":
                tracked = read_conntrack(action.argument)
                if not _goes_on(actions[position + 1 :]):
                    _commit(state, reply, tracked)
            case "recirc" if tracked is not None:
                return _resume(state, reply, tracked), None
            case "output" | "tnl_push" | "tnl_pop" | "clone":
                return "", _leave(state, action, actions[position + 1 :])
            case _:
                continue
    return "", End(Outcome.DROPPED, state.where, _why_dropped(state, reply))


def _goes_on(later: Iterable[Action]) -> bool:
    """Whether the packet goes on behind this conntrack, and not behind a later one."""
    for action in later:
        if action.name == "ct":
            return False
        if action.name == "recirc":
            return True
    return False


def _rewrite(packet: Packet, action: Action) -> Packet:
    if action.name == "set":
        return apply_set(packet, action.argument)
    if action.name == "pop_vlan":
        return replace(packet, vlan=None)
    vid = next(part for part in action.argument.split(",") if part.startswith("vid="))
    return replace(packet, vlan=int(vid[4:]))


def _commit(state: _Pass, reply: Reply, tracked: Conntrack) -> None:
    """``ct(commit)`` in passing; what it translates is a packet that nobody sees."""
    if tracked.commit:
        mark, mask = tracked.mark, tracked.mark_mask
        state.connections.commit(state.where, tracked.zone, state.packet, tracked.nat, mark, mask)
        text = f"remembered in zone {state.machine.zone(state.where, tracked.zone)}"
        committing = (i for i, (_, decision) in enumerate(state.decisions) if "ct(commit" in decision.detail)
        at = max(committing, default=len(state.decisions) - 1)
        state.decisions.insert(at + 1, (state.decisions[at][0], Decision("conntrack", text, notable=False)))


def _resume(state: _Pass, reply: Reply, tracked: Conntrack) -> str:
    """Through conntrack: the packet translated, and its state in the words of a flow."""
    before, zone = state.packet, tracked.zone
    seen = state.connections.track(state.where, zone, before, tracked.nat is not None)
    state.packet, words = seen.packet, seen.state
    mark = seen.mark
    if tracked.commit:
        mark = (mark & ~tracked.mark_mask) | (tracked.mark & tracked.mark_mask)
        if "new" in words:
            state.packet = state.connections.commit(state.where, zone, state.packet, tracked.nat, mark)
        if tracked.nat and state.packet.key != before.key:
            words = f"{tracked.nat[:3].replace('src', 'snat').replace('dst', 'dnat')}|{words}"
    name = state.machine.zone(state.where, zone)
    _say(state, reply, f"zone {name}: {_in_words(words)}", notable=False)
    if moved := changes(before, state.packet):
        _say(state, reply, f"{'; '.join(moved)} (zone {name})", notable=True, what="translation")
    return f"ct_state={words},ct_zone={zone},ct_mark={mark:#x}"


def _in_words(state: str) -> str:
    flags = state.split("|")
    if "inv" in flags:
        return "in no connection (invalid)"
    if "rel" in flags:
        return "tells of a known connection"
    if "rpl" in flags:
        return "answer of a known connection"
    return "known connection" if "est" in flags else "new connection"


def _say(state: _Pass, reply: Reply, text: str, notable: bool, what: str = "conntrack") -> None:
    bridge = reply.steps[-1].bridge if reply.steps else state.at.bridge
    state.decisions.append((bridge, Decision(what, text, notable=notable)))


def _leave(state: _Pass, action: Action, later: list[Action]) -> Place:
    switch = state.machine.switches[state.where]
    if action.name == "clone":  # what leaves by it is what the trace follows; the rest is a copy
        inner = list(read_actions(action.argument))
        return _leave(state, inner[0], inner[1:]) if inner else End(Outcome.DROPPED, state.where, "an empty clone")
    if action.name == "tnl_push":
        state.packet = outer(push_tunnel(state.packet, action.argument), action.argument)
        _say_tunnel(state)
        for rest in later:
            if rest.name == "output":
                return _leave(state, rest, [])
            if rest.name in ("set", "push_vlan", "pop_vlan"):
                state.packet = _rewrite(state.packet, rest)
        return End(Outcome.DROPPED, state.where, "no way out for the tunnel")
    port = switch.ports.get(int(action.argument))
    if port is None:
        return End(Outcome.DROPPED, state.where, f"datapath port {action.argument} is not there (any more)")
    if action.name == "tnl_pop":
        return _open_tunnel(state, port.bridge, port.number)
    if port.tunnel:  # the kernel's datapath: its own stack sends what is around the packet
        assert state.packet.tunnel is not None
        source = state.machine.kernel(state.where).route(state.packet.tunnel.destination).source
        tunnel = replace(state.packet.tunnel, source=source or state.packet.tunnel.source)
        state.packet = outer(replace(state.packet, tunnel=tunnel))
        _say_tunnel(state)
        return AtKernel(state.where, "")
    state.packet = replace(state.packet, tunnel=None)
    if port.number == LOCAL:
        return AtKernel(state.where, port.interface)
    return OnWire(state.where, port.interface)


def _say_tunnel(state: _Pass) -> None:
    assert state.packet.inner is not None
    bridge = state.decisions[-1][0] if state.decisions else state.at.bridge
    first = next((name for name, _ in state.decisions), bridge)
    text = f"VXLAN {state.packet.source} -> {state.packet.destination} put around it"
    index = max((i for i, (name, _) in enumerate(state.decisions) if name == first), default=-1)
    state.decisions.insert(index + 1, (first, Decision("tunnel", text)))


def _open_tunnel(state: _Pass, bridge: str, number: int) -> Place:
    if state.packet.inner is None:
        return End(Outcome.DROPPED, state.where, "there is nothing in the tunnel's packet")
    state.packet = state.packet.inner
    state.decisions.append((state.decisions[-1][0], Decision("tunnel", "VXLAN taken off")))
    return AtSwitch(state.where, bridge, number, "")


def _why_dropped(state: _Pass, reply: Reply) -> str:
    if reply.problem:
        return reply.problem
    if not state.decisions:
        return "the switch drops it"
    bridge, last = state.decisions[-1]
    missed = describe_miss(bridge, last.what, state.packet) if last.why in ("", NOTE) else ""
    owner = "" if missed or not last.owner else f" [{last.owner}{', ' + last.source if last.source else ''}]"
    return f"table {last.what}: {missed or last.why or 'nothing matches'}{owner}"
