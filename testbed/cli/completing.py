"""Names of the running lab for the shell's completion. Whatever goes wrong, nothing is completed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import click
from click.shell_completion import CompletionItem

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


def complete_scenarios(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from testbed.cli.scenarios import scenario_names

    return [CompletionItem(name) for name in scenario_names() if name.startswith(incomplete)]


def _host_names(ctx: click.Context) -> list[tuple[str, str]]:
    from testbed.emulation.state import read_state

    with ctx.scope(cleanup=False):
        from testbed.cli.choosing import chosen_lab

        state = read_state(chosen_lab())
    return [(namespace.name, namespace.kind.value) for namespace in state.wiring.namespaces] if state else []


def _names(ctx: click.Context, kind: str) -> Iterator[str]:
    from testbed.cli.choosing import chosen_lab
    from testbed.observe.status import View
    from testbed.observe.status_resources import find_resource

    with ctx.scope(cleanup=False):
        view = View(chosen_lab())
    return (item.name for item in find_resource(kind).items(view))
