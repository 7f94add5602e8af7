"""Wanted and found make changes: what to send so that a bridge has exactly its program.

Two comparisons, one result. ``plan_changes`` compares two programs, the one that the bridge was last given
and the one that it should have: only what differs is ever encoded. ``plan_repair`` compares a program with
what the switch itself says it has, and so also removes strangers' flows. Applying either twice gives no
change.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from controllers.openflow.decode import Found
from controllers.openflow.encode import WireKey, encode_group_body, wire_flow, wire_key
from controllers.openflow.flows import Answers, Flow, FlowKey, Group
from controllers.openflow.program import Program, in_order


@dataclass(frozen=True, slots=True)
class Changes:
    """What to send, in this order: a flow never points to a group that isn't there, and no group goes while
    used."""

    add_groups: tuple[Group, ...] = ()
    modify_groups: tuple[Group, ...] = ()
    delete_flows: tuple[WireKey, ...] = ()
    put_flows: tuple[Flow, ...] = ()
    delete_groups: tuple[int, ...] = ()
    forget: tuple[tuple[int, int], ...] = ()
    """(table, cookie) of learned flows that nothing learns any more"""
    ended: tuple[Answers, ...] = ()
    """tracked connections to forget, when all else is done"""

    def __len__(self) -> int:
        """Messages."""
        groups = len(self.add_groups) + len(self.modify_groups) + len(self.delete_groups)
        return groups + len(self.delete_flows) + len(self.put_flows) + len(self.forget) + len(self.ended)


def plan_changes(before: Program, wanted: Program) -> Changes:
    """From one program to the next one of the same bridge. Parts that both have are not looked at."""
    if before is wanted:
        return Changes()
    flows, groups = _to_compare(before, wanted)
    return Changes(
        add_groups=tuple(
            wanted.groups[number] for number in groups if number in wanted.groups and number not in before.groups
        ),
        modify_groups=tuple(
            wanted.groups[number]
            for number in groups
            if number in before.groups and number in wanted.groups and before.groups[number] != wanted.groups[number]
        ),
        delete_flows=tuple(
            wire_key(before.pipeline, before.flows[key])
            for key in flows
            if key in before.flows and key not in wanted.flows
        ),
        put_flows=tuple(
            wanted.flows[key]
            for key in flows
            if key in wanted.flows and _differs(before.flows.get(key), wanted.flows[key])
        ),
        delete_groups=tuple(number for number in groups if number in before.groups and number not in wanted.groups),
        forget=tuple((before.pipeline.ids[table], cookie) for table, cookie in before.learned - wanted.learned),
        ended=_ended(before, wanted, groups),
    )


def _to_compare(before: Program, wanted: Program) -> tuple[Iterable[FlowKey], Iterable[int]]:
    """Identities of the flows and groups that can differ, in a fixed order."""
    if not (before.parts and wanted.parts):
        return {**before.flows, **wanted.flows}, {**before.groups, **wanted.groups}
    parts = in_order(before.parts ^ wanted.parts)
    flows = dict.fromkeys(flow.key for part in parts for flow in part.flows)
    return flows, dict.fromkeys(group.id for part in parts for group in part.groups)


def _ended(before: Program, wanted: Program, groups: Iterable[int]) -> tuple[Answers, ...]:
    """Connections that groups of ``before`` list and those of the same number don't any more."""
    gone: list[Answers] = []
    for number in groups:
        group, now = before.groups.get(number), wanted.groups.get(number)
        if group is not None and group.ends and now is not group:
            kept = now.ends if now is not None else ()
            gone += (each for each in group.ends if each not in kept)
    return tuple(dict.fromkeys(gone))


def _differs(before: Flow | None, wanted: Flow) -> bool:
    """Identity first: a compiler that keeps its flows saves the comparison."""
    return before is not wanted and before != wanted


def plan_repair(found: Found, wanted: Program) -> Changes:
    """From what the switch has to the program."""
    pipeline = wanted.pipeline
    keyed = {wire_key(pipeline, flow): flow for flow in wanted.flows.values()}
    bodies = {number: encode_group_body(pipeline, group) for number, group in wanted.groups.items()}
    learned = {(pipeline.ids[table], cookie) for table, cookie in wanted.learned}
    have = found.flows
    return Changes(
        add_groups=tuple(wanted.groups[number] for number in bodies if number not in found.groups),
        modify_groups=tuple(
            wanted.groups[number]
            for number, body in bodies.items()
            if number in found.groups and found.groups[number] != body
        ),
        delete_flows=tuple(
            key for key, flow in have.items() if key not in keyed and (key[0], flow.cookie) not in learned
        ),
        put_flows=tuple(flow for key, flow in keyed.items() if have.get(key) != wire_flow(pipeline, flow)),
        delete_groups=tuple(number for number in found.groups if number not in bodies),
    )
