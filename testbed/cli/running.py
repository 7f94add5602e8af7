"""``lab run`` and ``lab demo``: a scenario's lab comes up, packets are sent, statements are judged, it goes down."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.text import Text

from testbed.cli.completing import complete_scenarios
from testbed.cli.options import Format, OutputFile, lab_option, output_option, settings
from testbed.cli.output import is_document, show, show_document
from testbed.cli.progress import progress
from testbed.emulation.errors import EmulationError, InterruptedByUserError, MachineLacksError
from testbed.observe.last_run import write_last_run
from testbed.observe.verdicts import Check, Report
from testbed.operations.errors import BadRequestError, NotAppliedError
from testbed.report.paths import render_paths
from testbed.report.results import render_junit, render_report, report_document

if TYPE_CHECKING:
    from testbed.scenario import Scenario
    from testbed.scenario.runner import Options

DEMO_SCENARIO, DEMO_MODEL = "in_cluster", "tunnel"

_DEMO_STORY = (
    "The demo lab (topologies/demo.yaml): a VPC with a cluster of two nodes and six pods, a server, and an internet "
    f"host. Its scenario ({DEMO_SCENARIO}): who reaches whom, by which way, and whose address is seen."
)

DATAPATH = click.option("--datapath", type=click.Choice(["auto", "kernel", "userspace"]), default="auto")
KEEP = click.option("--keep", is_flag=True, help="Leave the lab up for a look around.")
JUNIT = click.option("--junit", type=OutputFile(), help="Write JUnit XML to this file as well.")


@click.command()
@click.argument("name", required=False, shell_complete=complete_scenarios)
@click.option("--model", type=click.Choice(["tunnel", "vpc", "eni", "all"]), help="Network model; default: its first.")
@click.option("--list", "listing", is_flag=True, help="Show which scenarios there are.")
@click.option("--evidence", is_flag=True, help="Show the packets behind each verdict.")
@DATAPATH
@KEEP
@JUNIT
@output_option
@lab_option
def run(
    name: str | None,
    model: str | None,
    listing: bool,
    evidence: bool,
    datapath: str,
    keep: bool,
    junit: str | None,
    output: Format,
) -> None:
    """Run a scenario on a lab of its own and judge it. Exit status 0 when every check held, else 1.

    \b
    Example:
      lab run in_cluster
      lab run in_cluster --evidence
      lab run in_cluster --model all --junit results.xml
    """
    if listing or name is None:
        _list_scenarios(output)
        if name is None and not listing:
            raise click.UsageError("which one? say: lab run NAME", click.get_current_context())
        return
    reports = play(name, model, datapath, keep)
    show_reports(reports, output, junit, evidence)
    for line in () if is_document(output) else what_next(name, reports):
        click.echo(line)
    _exit_by(reports)


@click.command()
@DATAPATH
@KEEP
@output_option
@lab_option
def demo(datapath: str, keep: bool, output: Format) -> None:
    """Show it all: the demo lab comes up, its scenario runs, the verdicts are shown, the lab goes down.

    \b
    Example:
      lab demo
    """
    if not is_document(output):
        show(Text(_DEMO_STORY + "\n"))
    reports = play(DEMO_SCENARIO, DEMO_MODEL, datapath, keep)
    show_reports(reports, output, None, evidence=output is Format.WIDE)
    if not is_document(output):
        show(Text("\nnext: lab up, then lab status, lab get pods -o wide, lab flows n1/br-int, lab graph -o lab.svg"))
    _exit_by(reports)


def play(name: str, model: str | None, datapath: str, keep: bool) -> list[Report]:
    """The scenario in the models asked for. Raises ``BadRequestError`` for a name or model that it does not have."""
    from testbed.scenario import load_scenario
    from testbed.scenario.registry import UnknownScenarioError
    from testbed.scenario.runner import Options

    try:
        wanted = load_scenario(name)
    except UnknownScenarioError as error:
        raise BadRequestError(str(error)) from error
    models = wanted.models if model == "all" else (model or wanted.models[0],)
    if missing := [each for each in models if each not in wanted.models]:
        raise BadRequestError(f"{wanted.name} has nothing to show in {missing[0]}; it has: {', '.join(wanted.models)}")
    reports = []
    for each in models:
        with progress(f"{wanted.name} ({each})") as note:

            def shown(check: Check) -> None:
                note(check.title)

            options = Options(datapath, keep, settings().lab or "", shown, note)
            reports.append(_run_or_say_why_not(wanted, each, options))
    write_last_run(reports)
    return reports


def _run_or_say_why_not(wanted: Scenario, model: str, options: Options) -> Report:
    """A lab that does not come up is a result of its model: the other models are still run, and all are written."""
    from testbed.scenario.runner import run_scenario

    try:
        return run_scenario(wanted, model, options)
    except (MachineLacksError, InterruptedByUserError):
        raise
    except (EmulationError, NotAppliedError) as error:
        why = Check(0, "the lab comes up", model, "it does", str(error), ok=False, error=True)
        return Report(f"{wanted.name} ({model})", (why,), (("model", model),))


def show_reports(reports: Sequence[Report], output: Format, junit: str | None, evidence: bool) -> None:
    if junit:
        Path(junit).write_text(render_junit(reports), encoding="utf-8")
    if is_document(output):
        show_document([report_document(report) for report in reports], output)
        return
    for position, report in enumerate(reports):
        if position:
            click.echo()
        show(render_report(report, evidence=evidence or output is Format.WIDE))
    if len(reports) > 1 and (paths := render_paths(reports)) is not None:
        click.echo()
        show(paths)


def what_next(name: str, reports: Sequence[Report]) -> list[str]:
    """How to look at labs that were left up, and how to have one left up where a check did not hold."""
    kept = [lab for report in reports if (lab := dict(report.facts).get("lab"))]
    lines = [f"next: lab --lab {lab} status, lab --lab {lab} trace ..., then: lab down {lab}" for lab in kept]
    broken = next((dict(report.facts).get("model") for report in reports if not report.ok), None)
    if broken and not kept:
        lines.append(f"next: lab run {name} --model {broken} --keep leaves the lab up, to be looked at")
    return lines


def _list_scenarios(output: Format) -> None:
    from testbed.observe.status_items import Column
    from testbed.report.text import render_table
    from testbed.scenario import find_scenarios, load_scenario

    found = [load_scenario(name) for name in find_scenarios()]
    if is_document(output):
        show_document([{"name": each.name, "title": each.title, "models": list(each.models)} for each in found], output)
        return
    rows = [(each.name, ", ".join(each.models), each.title) for each in found]
    show(render_table((Column("SCENARIO"), Column("MODELS"), Column("SHOWS", flexible=True)), rows))


def _exit_by(reports: Sequence[Report]) -> None:
    if not all(report.ok for report in reports):
        raise click.exceptions.Exit(1)
