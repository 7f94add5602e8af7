"""A Service's own flows and group, checked once and kept: the change of one Service plans one Service."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from controllers.cluster.fields import HIDE, REFUSED, SERVED, SOURCE, Source
from controllers.cluster.pipeline import BR_INT
from controllers.cluster.service import affinity, bound
from controllers.cluster.service.entries import Entry, everywhere, on_node
from controllers.cluster.service.groups import plan_group
from controllers.cluster.service.served import Choice, Served, Verdict, with_local_policy
from controllers.cluster.service.tracked import ask
from controllers.openflow import Action, Flow, Group, Part, SetField, ToGroup, build_part, match
from testbed.model.desired import NetworkModel


def plan_parts(services: tuple[Served, ...], node: str, model: NetworkModel) -> Iterator[Part]:
    """What of the Services is one node's br-int's own, besides what all nodes have."""
    return (part_on_node(served, node, model) for served in with_local_policy(services))


@lru_cache(1 << 15)
def part_everywhere(served: Served) -> Part:
    """The same object for every node."""
    return _part(served, tuple(everywhere(served)), (*_recognise_external(served), *bound.plan(served)))


@lru_cache(1 << 15)
def part_on_node(served: Served, node: str, model: NetworkModel) -> Part:
    return _part(served, tuple(on_node(served, node, model)))


def _part(served: Served, entries: tuple[Entry, ...], more: Iterable[Flow] = ()) -> Part:
    flows, groups = list(more), list[Group]()
    choices = dict.fromkeys(each.choice for each in entries if each.choice.verdict is Verdict.BALANCE)
    for choice in choices:
        groups.append(plan_group(served, choice))
        if served.port.affinity_seconds:
            flows += affinity.plan(served, choice)
    flows += (_balance(served, each) for each in entries)
    return build_part(BR_INT, flows, groups)


def _recognise_external(served: Served) -> Iterator[Flow]:
    """Table service: addresses outside the cluster that the node serves its pods. The node's own connections to these
    come with the cluster address: its kernel sees to that."""
    if served.port.external_from_pods:
        for address in served.port.external_addresses:
            what = match({SOURCE: Source.POD}, ipv4_dst=address)
            yield ask(what, Source.POD, served.port.owner, f"to {address}, served here")


def _balance(served: Served, entry: Entry) -> Flow:
    port = served.port
    note = f"{port.protocol} {port.port}: {entry.note}, {entry.choice.verdict}"
    actions, goto = _verdict(served, entry.choice, entry.hide)
    return Flow("balance", entry.priority, entry.what, actions, goto, owner=port.owner, note=note)


def _verdict(served: Served, choice: Choice, hide: bool) -> tuple[tuple[Action, ...], str | None]:
    if choice.verdict is Verdict.DROP:
        return (), None
    if choice.verdict is Verdict.REFUSE:
        return (SetField(REFUSED, 1),), "hide"
    marks: tuple[Action, ...] = (SetField(SERVED, 1), SetField(HIDE, 1)) if hide else (SetField(SERVED, 1),)
    if served.port.affinity_seconds:
        return (*marks, *affinity.recall(served, choice)), "choose"
    return (*marks, ToGroup(plan_group(served, choice).id)), None
