"""The verbs of ``lab``. Each lives in a module of its own, imported only when it is used."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

import click
from click.shell_completion import CompletionItem

from testbed.cli.options import debug_option, lab_option


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb: its name, where its click command is (``module:attribute``), its line in ``lab --help``."""

    name: str
    where: str
    help: str


SECTIONS: tuple[tuple[str, tuple[Verb, ...]], ...] = (
    (
        "Begin",
        (
            Verb("demo", "testbed.cli.running:demo", "Show it all: demo lab up, scenario, verdicts, down."),
            Verb("labs", "testbed.cli.guiding:labs", "Guided labs: be led through one, then do your part."),
            Verb("doctor", "testbed.cli.machine:doctor", "Check what the machine has and lacks."),
            Verb("validate", "testbed.cli.lifecycle:validate", "Check files, create nothing."),
            Verb("plan", "testbed.cli.lifecycle:plan", "Show what up would make or change."),
        ),
    ),
    (
        "Make and change",
        (
            Verb("up", "testbed.cli.lifecycle:up", "Make a lab real, or change it to what the files say."),
            Verb("down", "testbed.cli.lifecycle:down", "Remove a lab, and nothing else."),
            Verb("apply", "testbed.cli.changing:apply", "Add or change objects of the running lab."),
            Verb("delete", "testbed.cli.changing:delete", "Remove objects of the running lab."),
            Verb("scale", "testbed.cli.changing:scale", "Set the replicas of a Deployment or StatefulSet."),
        ),
    ),
    (
        "Look",
        (
            Verb("status", "testbed.cli.reading:status", "Is the lab well? Nodes, switches, controllers, pods."),
            Verb("watch", "testbed.cli.watching:watch", "The same again and again, with rates on the links."),
            Verb("get", "testbed.cli.reading:get", "List objects: pods, nodes, servers, subnets, ..."),
            Verb("describe", "testbed.cli.reading:describe", "Everything about one object."),
            Verb("logs", "testbed.cli.inside:logs", "Output of a container or of a part of the lab."),
            Verb("flows", "testbed.cli.seeing:flows", "Flow tables, with the object behind each flow."),
            Verb("trace", "testbed.cli.tracing:trace", "What becomes of a packet, there and back, and who decides it."),
            Verb("matrix", "testbed.cli.matrix:matrix", "Who reaches whom: expected beside seen."),
            Verb("conntrack", "testbed.cli.conntrack:conntrack", "Tracked connections, with names."),
            Verb("capture", "testbed.cli.capturing:capture", "Frames by the names of objects, at every hop."),
            Verb("graph", "testbed.cli.seeing:graph", "The lab as a picture: SVG, a page to click in, or Mermaid."),
        ),
    ),
    (
        "Use",
        (
            Verb("exec", "testbed.cli.inside:exec_", "Run a program in a pod, node, server or host."),
            Verb("shell", "testbed.cli.inside:shell", "A shell there."),
            Verb("cli", "testbed.cli.inside:cli", "Mininet's command line on the running lab."),
            Verb("fault", "testbed.cli.injecting:fault", "Break something on purpose: cables, parts; and mend it."),
            Verb("run", "testbed.cli.running:run", "Run a scenario and judge it."),
            Verb("diff", "testbed.cli.comparing:diff", "One workload on two network models: what differs."),
            Verb("perf", "testbed.cli.performance:perf", "Compare the network models: throughput, latency, CPU."),
            Verb("bench", "testbed.cli.measuring:bench", "Measure bring-up and tear-down."),
        ),
    ),
    (
        "Set up",
        (
            Verb("completion", "testbed.cli.machine:completion", "Shell completion for bash, zsh or fish."),
            Verb("schema", "testbed.cli.machine:schema", "JSON schema of the lab's own kinds, for editors."),
            Verb("setup", "testbed.cli.testing:setup", "Install what is missing, and nothing else."),
            Verb("test", "testbed.cli.testing:test", "Check the code and run the tests."),
        ),
    ),
)

VERBS: dict[str, Verb] = {verb.name: verb for _, verbs in SECTIONS for verb in verbs}


class LazyGroup(click.Group):
    """Lists and completes verbs from the table, so that no verb pays for the imports of another."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        verb = VERBS.get(cmd_name)
        if verb is None:
            return None
        module, attribute = verb.where.split(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            near = get_close_matches(args[0], VERBS, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise click.UsageError(f"no such verb: {args[0]}{hint}", ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, verbs in SECTIONS:
            with formatter.section(title):
                formatter.write_dl([(verb.name.ljust(10), verb.help) for verb in verbs])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        names = [CompletionItem(v.name, help=v.help) for v in VERBS.values() if v.name.startswith(incomplete)]
        return names + click.Command.shell_complete(self, ctx, incomplete)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    subcommand_metavar="VERB [ARGUMENTS]...",
)
@lab_option
@debug_option
def main() -> None:
    """A laboratory for cloud container networks, made of real packets on one Linux machine.

    \b
    Example:
      sudo ./lab demo
      sudo ./lab up topologies/demo.yaml
      sudo ./lab exec web-0 -- curl -s db-0:8080

    Exit status: 0 fine, 1 a check failed, 2 bad usage or bad input, 3 the machine lacks something.
    """
