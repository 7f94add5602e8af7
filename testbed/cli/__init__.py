"""The verbs of ``lab``. Each lives in a module of its own, imported only when it is used."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

import click
from click.shell_completion import CompletionItem


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb: its name, where its click command is (``module:attribute``), its line in ``lab --help``."""

    name: str
    where: str
    help: str


VERBS: tuple[Verb, ...] = (
    Verb("setup", "testbed.cli.testing:setup", "Install what is missing, and nothing else."),
    Verb("test", "testbed.cli.testing:test", "Check the code and run the tests."),
)


class LazyGroup(click.Group):
    """Lists and completes verbs from the table, so that no verb pays for the imports of another."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [verb.name for verb in VERBS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for verb in VERBS:
            if verb.name == cmd_name:
                module, attribute = verb.where.split(":")
                command = getattr(import_module(module), attribute)
                assert isinstance(command, click.Command)
                return command
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(verb.name, verb.help) for verb in VERBS])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        names = [CompletionItem(v.name, help=v.help) for v in VERBS if v.name.startswith(incomplete)]
        return names + click.Command.shell_complete(self, ctx, incomplete)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """A laboratory for cloud container networks, made of real packets on one Linux machine."""
