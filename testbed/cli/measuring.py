"""``lab bench``: how fast and how big."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import click
from rich.text import Text

from testbed.cli.options import Format, output_option
from testbed.cli.output import is_document, show, show_document
from testbed.cli.progress import progress


@click.group()
def bench() -> None:
    """Measure the lab itself.

    \b
    Example:
      lab bench up --nodes 50 --pods 1000
      lab bench services
    """


def _step(note: Callable[[str], None], number: int, step: str) -> None:
    note(f"run {number}: {step}")


@bench.command()
@click.option("--nodes", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many nodes.")
@click.option("--pods", type=click.IntRange(2, 5000), default=1000, show_default=True, help="How many pods.")
@click.option("--model", type=click.Choice(["tunnel", "vpc", "eni"]), default="tunnel", help="Which network.")
@click.option("--repeat", type=click.IntRange(1, 100), default=3, show_default=True, help="Runs; medians are shown.")
@click.option("--plain", is_flag=True, help="Beside plain Mininet building as many hosts, switches and links: minutes.")
@click.option("--datapath", type=click.Choice(["auto", "kernel", "userspace"]), default="auto", help="Whose datapath.")
@output_option
def up(nodes: int, pods: int, model: str, repeat: int, plain: bool, datapath: str, output: Format) -> None:
    """Bring-up and tear-down by phase: planned, made, programmed and proven by a sample of pings.

    \b
    Example:
      lab bench up --nodes 50 --pods 1000
      lab bench up --nodes 10 --pods 100 --plain
    """
    from testbed.emulation.bench import measure, measure_plain
    from testbed.operations.bench import measure_lab, median
    from testbed.operations.datapath import choose_datapath
    from testbed.report.bench import Bench, bench_document, render_bench

    with progress("bench") as note:
        runs = []
        for number in range(1, repeat + 1):
            runs.append(measure_lab(nodes, pods, model, datapath, partial(_step, note, number)))
        note("memory")
        memory = measure(nodes, pods)
        note("plain Mininet")
        mininet = measure_plain(nodes, pods) if plain else None
    kind = choose_datapath(datapath).value
    result = Bench(nodes, pods, model, repeat, kind, median(runs), memory.node_bytes, memory.pod_bytes, mininet)
    if is_document(output):
        show_document(bench_document(result), output)
    else:
        show(Text(render_bench(result)))


@bench.command()
@click.option("--nodes", type=click.IntRange(2, 200), default=10, show_default=True, help="How many nodes.")
@click.option("--services", type=click.IntRange(10, 5000), default=1000, show_default=True, help="How many Services.")
@click.option("--endpoints", type=click.IntRange(1, 100), default=10, show_default=True, help="Endpoints of each.")
@click.option("--model", type=click.Choice(["tunnel", "vpc", "eni"]), default="tunnel", help="Which network.")
@click.option("--repeat", type=click.IntRange(1, 100), default=3, show_default=True, help="Runs; medians are shown.")
@click.option("--datapath", type=click.Choice(["auto", "kernel", "userspace"]), default="auto", help="Whose datapath.")
@output_option
def services(nodes: int, services: int, endpoints: int, model: str, repeat: int, datapath: str, output: Format) -> None:
    """Services: all programmed, one endpoint changed, connections a second; beside a tenth as many Services.

    \b
    Example:
      lab bench services
      lab bench services --services 200 --nodes 4 --repeat 1
    """
    from testbed.operations.bench_services import measure_services, median_services
    from testbed.operations.datapath import choose_datapath
    from testbed.report.bench_services import ServicesBench, render_services_bench, services_bench_document

    counts = (services // 10, services)
    with progress("bench") as note:
        runs = [
            [
                measure_services(nodes, count, endpoints, model, datapath, partial(_step, note, number))
                for count in counts
            ]
            for number in range(1, repeat + 1)
        ]
    medians = tuple(
        (count, median_services(column)) for count, column in zip(counts, zip(*runs, strict=True), strict=True)
    )
    result = ServicesBench(nodes, endpoints, model, repeat, choose_datapath(datapath).value, medians)
    if is_document(output):
        show_document(services_bench_document(result), output)
    else:
        show(Text(render_services_bench(result)))
