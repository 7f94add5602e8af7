"""Names of the running lab for the shell's completion. Whatever goes wrong, nothing is completed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from testbed.cli.options import Settings

if TYPE_CHECKING:
    from testbed.emulation.rundir import RunDir

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def complete_kinds(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from testbed.operations.kinds import KINDS

    return [CompletionItem(kind.plural) for kind in KINDS if kind.plural.startswith(incomplete)]


def complete_objects(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """``pod/web-0``, or names after a kind given as a word of its own."""
    given = ctx.params.get(param.name or "") or ()
    try:
        if "/" in incomplete:
            kind, _, start = incomplete.partition("/")
            return [CompletionItem(f"{kind}/{name}") for name in _names(ctx, kind) if name.startswith(start)]
        if given and "/" not in given[0]:
            return [CompletionItem(name) for name in _names(ctx, given[0]) if name.startswith(incomplete)]
    except Exception:
        return []
    return complete_kinds(ctx, param, incomplete)


def complete_hosts(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Everything that a program can be run in."""
    try:
        names = _host_names(ctx)
    except Exception:
        return []
    return [CompletionItem(name, help=kind) for name, kind in names if name.startswith(incomplete)]


def complete_switches(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Hosts with a switch, and their bridges (``n1``, ``n1/br-int``)."""
    from testbed.emulation.state import read_state

    try:
        states = [read_state(rundir) for rundir in _labs(ctx)]
    except Exception:
        return []
    switches = [switch for state in states if state for switch in state.wiring.switches]
    names = [switch.namespace for switch in switches]
    names += [f"{switch.namespace}/{bridge.name}" for switch in switches for bridge in switch.bridges]
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def complete_scenarios(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from testbed.scenario.registry import find_scenarios

    return [CompletionItem(name) for name in find_scenarios() if name.startswith(incomplete)]


def _host_names(ctx: click.Context) -> list[tuple[str, str]]:
    from testbed.emulation.state import read_state

    states = [read_state(rundir) for rundir in _labs(ctx)]
    return [(item.name, item.kind.value) for state in states if state for item in state.wiring.namespaces]


def _names(ctx: click.Context, kind: str) -> Iterator[str]:
    from testbed.observe.status import View
    from testbed.observe.status_resources import find_resource
    from testbed.operations.memory import memory_path

    resource = find_resource(kind)
    views = [View(rundir) for rundir in _labs(ctx) if memory_path(rundir).exists()]
    return (item.name for view in views for item in resource.items(view))


def _labs(ctx: click.Context) -> list[RunDir]:
    """The lab that the line names so far, else all: which one is meant may come later on the line."""
    from testbed.emulation.rundir import RunDir, list_labs

    named = ctx.ensure_object(Settings).lab
    return [RunDir.of(name) for name in list_labs() if named in (None, name)]
