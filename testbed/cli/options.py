"""Options that many verbs share, and what the user chose by them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

Verb = TypeVar("Verb", bound=Callable[..., Any])


class Format(StrEnum):
    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"


@dataclass(slots=True)
class Settings:
    """The global options, given before or after the verb."""

    lab: str | None = None
    debug: bool = False


def settings() -> Settings:
    return click.get_current_context().ensure_object(Settings)


def lab_option(verb: Verb) -> Verb:
    """``--lab NAME``; verbs ask :func:`testbed.cli.choosing.chosen_lab` for it."""

    def remember(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
        if value is not None:
            ctx.ensure_object(Settings).lab = value

    return click.option(
        "--lab",
        metavar="NAME",
        expose_value=False,
        callback=remember,
        shell_complete=_complete_labs,
        help="Which lab; needed only when several run.",
    )(verb)


def debug_option(verb: Verb) -> Verb:
    def remember(ctx: click.Context, _: click.Parameter, value: bool) -> None:
        if value:
            ctx.ensure_object(Settings).debug = True

    return click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        callback=remember,
        help="Show the traceback when something goes wrong.",
    )(verb)


def output_option(verb: Verb) -> Verb:
    """``-o table|wide|json|yaml`` as the argument ``output``."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice([item.value for item in Format]),
        default=Format.TABLE.value,
        callback=lambda _ctx, _param, value: Format(value),
        help="How to show it; table is the default.",
    )(verb)


class OutputFile(click.Path):
    """A file to write. Its directory has to be there before anything is begun: what it holds may take minutes."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, writable=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        parent = Path(value).absolute().parent
        if not parent.is_dir():
            self.fail(f"there is no directory {parent}; make it first: mkdir -p {parent}", param, ctx)
        if not os.access(parent, os.W_OK):
            self.fail(f"{parent} can't be written to; name another directory", param, ctx)
        return super().convert(value, param, ctx)


def _complete_labs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from testbed.emulation.rundir import list_labs

    try:
        return [CompletionItem(name) for name in list_labs() if name.startswith(incomplete)]
    except OSError:
        return []
