"""``lab perf``: the network models on the same workload, measured side by side."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path as File
from typing import TYPE_CHECKING

import click

from testbed.cli.options import OutputFile
from testbed.cli.output import show

if TYPE_CHECKING:
    from testbed.perf.compare import Row
    from testbed.perf.results import Result
    from testbed.perf.run import Progress, Wanted

MODELS = ("tunnel", "vpc", "eni")
PATHS = ("same-node", "other-node", "cluster-ip", "node-port", "load-balancer", "ingress", "nat-gateway")
MEASURES = ("tcp-1", "tcp-4", "udp", "latency", "connections")
FORMATS = ("table", "json", "md", "html")


def _list_option(name: str, choices: Sequence[str], text: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """``--path a,b``: some of ``choices``, in their order; all when not given."""

    def read(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
        asked = {word.strip() for word in value.split(",") if word.strip()}
        if strange := asked - set(choices):
            raise click.BadParameter(f"{sorted(strange)[0]!r} is none of {', '.join(choices)}", ctx, param)
        if not asked:
            raise click.BadParameter(f"none given; some of {', '.join(choices)}", ctx, param)
        return tuple(choice for choice in choices if choice in asked)

    return click.option(
        f"--{name}", default=",".join(choices), callback=read, metavar="LIST", help=f"{text} {', '.join(choices)}."
    )


@click.command()
@_list_option("model", MODELS, "Some of")
@_list_option("path", PATHS, "Some of")
@_list_option("measure", MEASURES, "Some of")
@click.option("--rounds", type=click.IntRange(1, 1000), default=5, show_default=True, help="Each cell so often.")
@click.option("--seconds", type=click.IntRange(1, 600), default=1, show_default=True, help="Of each sample.")
@click.option(
    "--offloads",
    type=click.Choice(["auto", "on", "off"]),
    default="auto",
    help="TSO and checksums by the devices; auto: off for all where one model can't have them.",
)
@click.option("--datapath", type=click.Choice(["auto", "kernel", "userspace"]), default="auto", help="Whose datapath.")
@click.option("--plain/--no-plain", default=True, help="Beside the same hops on plain bridges.")
@click.option("--from", "saved", type=click.Path(exists=True, dir_okay=False), help="Show this result, measure none.")
@click.option("--compare", "old", type=click.Path(exists=True, dir_okay=False), help="Beside an older result (JSON).")
@click.option("-o", "--output", type=click.Choice(FORMATS), default="table", help="How to show it.")
@click.argument("file", required=False, type=OutputFile())
def perf(
    model: tuple[str, ...],
    path: tuple[str, ...],
    measure: tuple[str, ...],
    rounds: int,
    seconds: int,
    offloads: str,
    datapath: str,
    plain: bool,
    saved: str | None,
    old: str | None,
    output: str,
    file: str | None,
) -> None:
    """Compare the network models: throughput, latency, new connections, CPU, retransmits, path by path.

    A lab for each model (topologies/perf.yaml) comes up beside a raw veth pair; all are measured by turns under equal
    conditions and removed again. Unequal conditions are refused, doubtful ones marked. FILE gets what would be
    printed. Exit status 1 when a tool failed in a cell.

    \b
    Example:
      lab perf
      lab perf --model vpc,eni --path other-node,cluster-ip --measure tcp-1,latency
      lab perf -o json now.json
      lab perf --from now.json -o html now.html
      lab perf --from now.json --compare before.json
    """
    from testbed.perf.compare import compare
    from testbed.perf.results import Measure, Path, read_result
    from testbed.perf.run import Wanted

    before = read_result(File(old)) if old else None
    if saved:
        result = read_result(File(saved))
    else:
        paths, measures = tuple(map(Path, path)), tuple(map(Measure, measure))
        result = _measure(Wanted(model, paths, measures, rounds, seconds, offloads, datapath, plain))
    _show(result, compare(before, result) if before else (), output, file)
    if result.errors:
        raise click.exceptions.Exit(1)


def _measure(wanted: Wanted) -> Result:
    from testbed.perf.run import measure

    with _live() as progress:
        return measure(wanted, progress)


def _show(result: Result, rows: Sequence[Row], output: str, file: str | None) -> None:
    from testbed.perf.results import to_document
    from testbed.report.perf import render_markdown, render_perf
    from testbed.report.text import render_json

    if output == "table" and file is None:
        for part in render_perf(result, rows):
            show(part)
        return
    if output == "html":
        from testbed.report.perf_html import render_html

        text = render_html(result, rows)
    else:
        text = render_json(to_document(result)) if output == "json" else render_markdown(result, rows)
    if file is None:
        sys.stdout.write(text)
    else:
        File(file).write_text(text, encoding="utf-8")
        click.echo(f"{file} written; lab perf --from FILE.json shows a result again", err=True)


@contextmanager
def _live() -> Iterator[Progress]:
    """What is being measured and what came out, on standard error, while somebody watches; else a line a round."""
    from testbed.perf.run import Progress

    if not sys.stderr.isatty():
        yield Progress(stage=lambda text: click.echo(f"perf: {text}", err=True))
        return
    from rich.live import Live

    from testbed.report.perf_live import LiveView
    from testbed.report.text import make_console

    view = LiveView()
    with Live(view, console=make_console(stderr=True), transient=True, refresh_per_second=4):
        yield Progress(view.note, view.sampled)
