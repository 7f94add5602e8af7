"""A program: everything that one bridge should have, checked.

Also cookies: a flow's cookie is a hash of its owner and note, so it doesn't move when other objects come
and go, and ``Program.cookies`` leads from a line of a live dump back to the user's object.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from controllers.openflow.cookies import cookie_of
from controllers.openflow.flows import Flow, FlowKey, Group, Learn, ToGroup
from controllers.openflow.pipeline import Pipeline


class ProgramError(ValueError):
    """Two flows or groups contradict each other; the text names both owners."""


@dataclass(frozen=True, eq=False)
class Program:
    """Flows and groups of one bridge. Made by :func:`build_program`; compared by identity, so a compiler that
    returns the same object again says that nothing changed."""

    pipeline: Pipeline
    flows: dict[FlowKey, Flow]
    groups: dict[int, Group]
    cookies: dict[int, tuple[str, str]] = field(repr=False)
    """cookie -> (owner, note)"""
    learned: frozenset[tuple[str, int]] = frozenset()
    """(table, cookie) of flows that the switch makes itself, from Learn actions"""
    bridge: str = ""
    """Where it belongs, for people: ``n1/br-int``."""


@dataclass(frozen=True, eq=False, slots=True)
class Part:
    """Flows and groups that were checked once and then belong to several programs, or to the next one again."""

    flows: tuple[Flow, ...]
    groups: tuple[Group, ...]


def build_part(pipeline: Pipeline, flows: Iterable[Flow], groups: Iterable[Group] = ()) -> Part:
    """Check flows and groups against the pipeline. Raises ContractError. Groups that flows use may be elsewhere."""
    part = Part(tuple(flows), tuple(groups))
    for group in part.groups:
        pipeline.check_group(group)
    for flow in part.flows:
        pipeline.check_flow(flow)
    return part


def build_program(
    pipeline: Pipeline,
    flows: Iterable[Flow],
    groups: Iterable[Group] = (),
    bridge: str = "",
    parts: Iterable[Part] = (),
) -> Program:
    """Check flows against the pipeline and each other; add the table-miss flows that are not overridden.

    Raises ContractError (a flow breaks its table's contract) or ProgramError (two flows with one identity
    that do different things, two groups with one number, a flow to a group that isn't there). Equal
    duplicates are merged; the first one's owner stays. ``parts`` are checked against each other only.
    """
    by_key: dict[FlowKey, Flow] = {}
    cookies: dict[int, tuple[str, str]] = {}
    checked = (build_part(pipeline, flows, groups), *parts)
    by_id = _index_groups(checked)
    for part in checked:
        for flow in part.flows:
            _check_groups(flow, by_id)
            _add_flow(by_key, flow)
    for flow in pipeline.misses:
        by_key.setdefault(flow.key, flow)
    for flow in by_key.values():
        cookies[cookie_of(flow.owner, flow.note)] = (flow.owner, flow.note)
    learns = [each for flow in by_key.values() for each in flow.actions if isinstance(each, Learn)]
    cookies |= {cookie_of(each.owner, each.note): (each.owner, each.note) for each in learns}
    learned = frozenset((each.table, cookie_of(each.owner, each.note)) for each in learns)
    return Program(pipeline, by_key, by_id, cookies, learned, bridge)


def _add_flow(by_key: dict[FlowKey, Flow], flow: Flow) -> None:
    before = by_key.setdefault(flow.key, flow)
    if before is not flow and _does(before) != _does(flow):
        raise ProgramError(
            f"table {flow.table}, priority {flow.priority}: {before.owner} ({before.note}) and "
            f"{flow.owner} ({flow.note}) match the same packets ({flow.match.items}) and do different things"
        )


def _does(flow: Flow) -> tuple[object, ...]:
    return (flow.actions, flow.goto, flow.idle_timeout)


def _index_groups(parts: Iterable[Part]) -> dict[int, Group]:
    by_id: dict[int, Group] = {}
    for part in parts:
        for group in part.groups:
            before = by_id.setdefault(group.id, group)
            if before is not group and before != group:
                raise ProgramError(f"group {group.id} is wanted by {before.owner} and by {group.owner}")
    return by_id


def _check_groups(flow: Flow, groups: dict[int, Group]) -> None:
    for each in flow.actions:
        if isinstance(each, ToGroup) and each.group not in groups:
            raise ProgramError(f"table {flow.table}: flow of {flow.owner} uses missing group {each.group}")
