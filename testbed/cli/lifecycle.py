"""``lab up``, ``down``, ``validate``, ``plan``: a lab as a whole."""

from __future__ import annotations

from typing import Any

import click
from rich.text import Text

from testbed.cli.choosing import chosen_lab, demo_path, lab_for, readable_labs
from testbed.cli.options import Format, lab_option, output_option, settings
from testbed.cli.output import is_document, show, show_document, warn
from testbed.cli.progress import progress
from testbed.emulation.rundir import RunDir
from testbed.operations import verbs
from testbed.operations.change import Outcome
from testbed.report.changes import change_documents, render_changes, summary_of

FILES = click.argument("files", nargs=-1, type=click.Path())
DATAPATH = click.option(
    "--datapath",
    type=click.Choice(["auto", "kernel", "userspace"]),
    default="auto",
    help="Whose packet path; auto takes the kernel's where it has one.",
)


@click.command()
@FILES
@DATAPATH
@click.option("--dry-run", is_flag=True, help="Show what would change, touch nothing.")
@output_option
@lab_option
def up(files: tuple[str, ...], datapath: str, dry_run: bool, output: Format) -> None:
    """Make the lab that FILES describe real; a lab that runs is changed to what they say.

    Without FILES the demo. The lab is called after the first file unless --lab says how. It stays until: lab down.

    \b
    Example:
      lab up topologies/demo.yaml
      lab up cloud.yaml workloads.yaml --lab shop
      lab up topologies/demo.yaml --dry-run
    """
    paths = files or (demo_path(),)
    rundir = lab_for(paths)
    with progress(f"up {rundir.lab}") as note:
        outcome = verbs.up(paths, rundir, datapath, dry_run=dry_run, note=note)
    show_outcome(outcome, output, dry_run)
    if not dry_run and not is_document(output):
        show(Text(_next_steps(outcome)))


@click.command()
@FILES
@DATAPATH
@output_option
@lab_option
def plan(files: tuple[str, ...], datapath: str, output: Format) -> None:
    """Show what ``lab up`` would make or change, and touch nothing.

    \b
    Example:
      lab plan topologies/demo.yaml
      lab plan topologies/demo.yaml -o wide
    """
    paths = files or (demo_path(),)
    show_outcome(verbs.up(paths, lab_for(paths), datapath, dry_run=True), output, dry_run=True)


@click.command()
@FILES
@click.option("--strict", is_flag=True, help="Warnings are faults too.")
@output_option
def validate(files: tuple[str, ...], strict: bool, output: Format) -> None:
    """Check FILES and say every fault with file, line and column. Nothing is created, no root needed.

    \b
    Example:
      lab validate topologies/demo.yaml
      lab validate topologies/demo.yaml -o json
    """
    from testbed.operations.checking import check_files

    paths = files or (demo_path(),)
    if is_document(output):
        raise click.exceptions.Exit(_show_judgement(paths, strict, output))
    checked = check_files(paths)
    warn(map(str, checked.warnings))
    if strict and checked.warnings:
        click.echo(f"lab: {len(checked.warnings)} warnings, and --strict was asked for", err=True)
        raise click.exceptions.Exit(2)
    click.echo(f"valid: {checked.summary}")


def _show_judgement(paths: tuple[str, ...], strict: bool, output: Format) -> int:
    """Every fault and warning as a document; the exit status."""
    from testbed.model.planning.faults import PlanError
    from testbed.operations.checking import check_files, fault_document
    from testbed.spec import SpecError

    faults, warnings, summary = list[dict[str, Any]](), list[dict[str, Any]](), ""
    try:
        checked = check_files(paths)
        warnings, summary = [fault_document(each) for each in checked.warnings], checked.summary
    except SpecError as error:
        faults, warnings = list(map(fault_document, error.faults)), list(map(fault_document, error.warnings))
    except PlanError as error:
        faults = list(map(fault_document, error.faults))
    valid = not faults and not (strict and warnings)
    show_document({"valid": valid, "summary": summary, "faults": faults, "warnings": warnings}, output)
    return 0 if valid else 2


@click.command()
@click.option("--all", "everything", is_flag=True, help="All labs.")
@click.argument("name", required=False)
@lab_option
def down(name: str | None, everything: bool) -> None:
    """Remove the lab: its processes, namespaces, links and files, and nothing that is not its own.

    Works whatever state a crash left the lab in. NAME is the same as --lab NAME.

    \b
    Example:
      lab down
      lab down shop
      lab down --all
    """
    if name is not None:
        settings().lab = name
    rundirs = [RunDir.of(lab) for lab in readable_labs()] if everything else [chosen_lab()]
    for rundir in rundirs:
        with progress(f"down {rundir.lab}"):
            gone = verbs.down(rundir)
        what = f"{gone.namespaces} namespaces, {gone.processes} processes"
        click.echo(f"lab {rundir.lab} is gone: {what} in {gone.seconds:.1f} s")
    if not rundirs:
        click.echo("no lab is running")


def show_outcome(outcome: Outcome, output: Format, dry_run: bool) -> None:
    """What a change did, or would do."""
    warn(outcome.warnings)
    if is_document(output):
        show_document(outcome_document(outcome), output)
    elif output is Format.WIDE:
        for line in outcome.lines:
            click.echo(str(line))
    elif dry_run:
        show(render_changes(outcome.lines))
    if dry_run or is_document(output):
        return
    show(Text(_sentence(outcome)))


def outcome_document(outcome: Outcome) -> dict[str, object]:
    return {
        "lab": outcome.lab,
        "generation": outcome.generation,
        "datapath": outcome.datapath,
        "seconds": round(outcome.seconds, 3),
        "phases": {name: round(seconds, 3) for name, seconds in outcome.phases},
        "changes": change_documents(outcome.lines),
        "warnings": list(outcome.warnings),
    }


def _sentence(outcome: Outcome) -> str:
    plan = outcome.plan
    running = sum(pod.node is not None for pod in plan.pods)
    # Rules and flows are not among the lines: they are the controllers' to compare.
    what = summary_of(outcome.lines) if outcome.lines else "no namespace, link or switch to change"
    return (
        f"lab {outcome.lab}: {what} in {outcome.seconds:.1f} s; generation {outcome.generation} "
        f"is in force: {len(plan.nodes)} nodes, {running} pods, {outcome.datapath} datapath"
    )


def _next_steps(outcome: Outcome) -> str:
    which = f" --lab {outcome.lab}" if len(readable_labs()) > 1 else ""
    verbs_next = ("status", "get pods -o wide", f"exec {_example_host(outcome)} -- ip address", "down")
    return "next: " + ", ".join(f"lab{which} {verb}" for verb in verbs_next)


def _example_host(outcome: Outcome) -> str:
    pods = [pod.name for pod in outcome.plan.pods if pod.node and pod.namespace == "default"]
    names = pods or [host.name for host in outcome.plan.hosts]
    return names[-1] if names else "fabric"
