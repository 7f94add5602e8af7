"""A program: everything that one bridge should have, checked.

Also cookies: a flow's cookie is a hash of its owner and note, so it doesn't move when other objects come
and go, and ``Program.cookies`` leads from a line of a live dump back to the user's object.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

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
    parts: frozenset[Part] = field(default=frozenset(), repr=False)
    """What it was put together from: what two programs share need not be compared."""


@dataclass(frozen=True, eq=False, slots=True)
class Part:
    """Flows and groups that were checked once and then belong to several programs, or to the next one again."""

    flows: tuple[Flow, ...]
    groups: tuple[Group, ...]
    number: int = field(default_factory=count().__next__)
    """Later ones have higher numbers: an order that is the same in every run."""


@dataclass(frozen=True, eq=False)
class Shared:
    """Parts that several programs have in common, put together once. Made by :func:`share`. Each part has its own flow
    and group values, and no two the same group."""

    parts: frozenset[Part] = frozenset()
    flows: dict[FlowKey, Flow] = field(default_factory=dict)
    groups: dict[int, Group] = field(default_factory=dict)
    cookies: dict[int, tuple[str, str]] = field(default_factory=dict)
    learned: frozenset[tuple[str, int]] = frozenset()
    repeated: dict[FlowKey, tuple[Flow, ...]] = field(default_factory=dict)
    """All flows of one identity, where there are several; ``flows`` has one of them"""


NOTHING = Shared()

_FEW = 1000


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
    shared: Shared = NOTHING,
) -> Program:
    """Check flows against the pipeline and each other; add the table-miss flows that are not overridden.

    Raises ContractError (a flow breaks its table's contract) or ProgramError (two flows with one identity
    that do different things, two groups with one number, a flow to a group that isn't there). Equal
    duplicates are merged; the owner that comes first in the alphabet stays. ``parts`` and ``shared`` are checked
    against each other only.
    """
    whole = _extended(shared, (build_part(pipeline, flows, groups), *parts))
    for flow in pipeline.misses:
        if whole.flows.setdefault(flow.key, flow) is flow:
            whole.cookies[cookie_of(flow.owner, flow.note)] = (flow.owner, flow.note)
    return Program(pipeline, whole.flows, whole.groups, whole.cookies, whole.learned, bridge, whole.parts)


def share(parts: Iterable[Part], before: Shared = NOTHING) -> Shared:
    """``parts`` put together; ``before`` is what was put together last, of which only the difference is looked at.

    Raises ProgramError as :func:`build_program`, which has the groups that these flows may use from elsewhere.
    """
    wanted = frozenset(parts)
    if wanted == before.parts:
        return before
    kept = _reduced(before, before.parts - wanted) if before.parts - wanted else before
    return _extended(kept, in_order(wanted - kept.parts))


def in_order(parts: Iterable[Part]) -> list[Part]:
    return sorted(parts, key=lambda part: part.number)


def _extended(shared: Shared, parts: Sequence[Part]) -> Shared:
    """With ``parts`` too; a new object, even if there are none."""
    made = Shared(
        shared.parts.union(parts), dict(shared.flows), dict(shared.groups), dict(shared.cookies),
        shared.learned | frozenset(_learned(parts)), dict(shared.repeated),
    )  # fmt: skip
    for part in parts:
        for group in part.groups:
            _add_group(made.groups, group)
    for part in parts:
        for flow in part.flows:
            _check_groups(flow, made.groups)
            _add_flow(made, flow)
    made.cookies.update(_named(parts))
    return made


def _reduced(shared: Shared, parts: frozenset[Part]) -> Shared:
    """Without ``parts``. Their cookies stay for a while: they are only names."""
    rest = shared.parts - parts
    many = len(shared.cookies) > 2 * len(shared.flows) + _FEW
    cookies = dict(_named(rest)) if many else shared.cookies
    made = Shared(rest, dict(shared.flows), dict(shared.groups), cookies, shared.learned, dict(shared.repeated))
    for part in parts:
        for group in part.groups:
            made.groups.pop(group.id, None)
        for flow in part.flows:
            _remove_flow(made, flow)
    if not any(_learns(part) for part in parts):
        return made
    return replace(made, learned=frozenset(_learned(rest)))


def _add_flow(made: Shared, flow: Flow) -> None:
    before = made.flows.setdefault(flow.key, flow)
    if before is flow:
        return
    if _does(before) != _does(flow):
        raise ProgramError(
            f"table {flow.table}, priority {flow.priority}: {before.owner} ({before.note}) and "
            f"{flow.owner} ({flow.note}) match the same packets ({flow.match.items}) and do different things"
        )
    made.repeated[flow.key] = (*made.repeated.get(flow.key, (before,)), flow)
    made.flows[flow.key] = min(made.repeated[flow.key], key=_owner)


def _remove_flow(made: Shared, flow: Flow) -> None:
    others = list(made.repeated.pop(flow.key, (flow,)))
    others.remove(flow)
    if not others:
        del made.flows[flow.key]
        return
    made.flows[flow.key] = min(others, key=_owner)
    if len(others) > 1:
        made.repeated[flow.key] = tuple(others)


def _owner(flow: Flow) -> tuple[str, str]:
    return (flow.owner, flow.note)


def _does(flow: Flow) -> tuple[object, ...]:
    return (flow.actions, flow.goto, flow.idle_timeout)


def _add_group(groups: dict[int, Group], group: Group) -> None:
    before = groups.setdefault(group.id, group)
    if before is not group and before != group:
        raise ProgramError(f"group {group.id} is wanted by {before.owner} and by {group.owner}")


def _learns(part: Part) -> list[Learn]:
    return [each for flow in part.flows for each in flow.actions if isinstance(each, Learn)]


def _learned(parts: Iterable[Part]) -> Iterator[tuple[str, int]]:
    return ((each.table, cookie_of(each.owner, each.note)) for part in parts for each in _learns(part))


def _named(parts: Iterable[Part]) -> Iterator[tuple[int, tuple[str, str]]]:
    for part in parts:
        named: tuple[Flow | Learn, ...] = (*part.flows, *_learns(part))
        for each in named:
            yield cookie_of(each.owner, each.note), (each.owner, each.note)


def _check_groups(flow: Flow, groups: dict[int, Group]) -> None:
    for each in flow.actions:
        if isinstance(each, ToGroup) and each.group not in groups:
            raise ProgramError(f"table {flow.table}: flow of {flow.owner} uses missing group {each.group}")
