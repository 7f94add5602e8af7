"""``lab diff``: one workload on two network models, side by side."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import click

from testbed.cli.options import Format, output_option
from testbed.cli.output import is_document, show, show_document
from testbed.cli.progress import progress
from testbed.operations.errors import BadRequestError

WORKLOAD = Path(__file__).resolve().parents[2] / "topologies" / "services.yaml"
"""What is compared when no file is given: it has something of everything."""

MODEL = click.Choice(["tunnel", "vpc", "eni"])


@click.command()
@click.argument("one", type=MODEL, metavar="MODEL")
@click.argument("other", type=MODEL, metavar="MODEL")
@click.argument("files", nargs=-1, type=click.Path())
@click.option("--keep", is_flag=True, help="Leave both labs up for a look around.")
@click.option(
    "--datapath", type=click.Choice(["auto", "kernel", "userspace"]), default="auto", help="Whose packet path."
)
@output_option
def diff(one: str, other: str, files: tuple[str, ...], keep: bool, datapath: str, output: Format) -> None:
    """What differs between two network models: addresses, MTU, hops, flows, routes and verdicts of one workload.

    MODEL is tunnel, vpc or eni. Both are brought up side by side from FILES (topologies/services.yaml if none are
    given), measured, and removed again. -o wide shows also what is the same. Exit status 0 when both were measured.

    \b
    Example:
      lab diff tunnel vpc
      lab diff tunnel eni topologies/peered.yaml
      lab diff vpc eni -o json
    """
    from testbed.emulation.rundir import RunDir
    from testbed.observe.compare import compare
    from testbed.observe.profile import read_profile
    from testbed.observe.status import View
    from testbed.operations import verbs
    from testbed.operations.models import up_in_model
    from testbed.operations.readiness import until_ready
    from testbed.report.comparison import comparison_document, render_comparison

    if one == other:
        raise BadRequestError(f"{one} and {one} are the same; say two of tunnel, vpc, eni")
    paths = files or (str(WORKLOAD),)
    profiles = []
    with progress(f"diff {one} {other}") as note, ExitStack() as labs:
        for model in (one, other):
            rundir = RunDir.of(f"diff-{model}")
            up_in_model(paths, model, rundir, datapath, partial(_step, note, model))
            if not keep:
                labs.callback(verbs.down, rundir, lock_limit=30.0)
            note(f"{model}: wait until everything is ready")
            until_ready(rundir, 60.0)
        for model in (one, other):
            profiles.append(read_profile(View(RunDir.of(f"diff-{model}")), model, partial(_step, note, model)))
    comparison = compare(profiles)
    if is_document(output):
        show_document(comparison_document(comparison), output)
        return
    show(render_comparison(comparison, everything=output is Format.WIDE))
    if keep:
        click.echo(f"next: lab --lab diff-{one} trace ..., lab down diff-{one}, lab down diff-{other}")


def _step(note: Callable[[str], None], model: str, step: str) -> None:
    note(f"{model}: {step}")
