"""``lab apply``, ``delete``, ``scale``: changes of the running lab."""

from __future__ import annotations

import click

from testbed.cli.choosing import chosen_lab
from testbed.cli.completing import complete_objects
from testbed.cli.lifecycle import show_outcome
from testbed.cli.options import Format, lab_option, output_option
from testbed.cli.progress import progress
from testbed.operations import verbs
from testbed.operations.edits import read_targets

NAMESPACE = click.option("-n", "--namespace", default="default", help="Which namespace; default if not given.")
DRY_RUN = click.option("--dry-run", is_flag=True, help="Show what would change, touch nothing.")
FILES = click.option("-f", "--filename", "files", multiple=True, type=click.Path(), help="A file; - is standard input.")


@click.command()
@FILES
@DRY_RUN
@output_option
@lab_option
def apply(files: tuple[str, ...], dry_run: bool, output: Format) -> None:
    """Add the objects of the files to the running lab, or change those that are there.

    Objects of the lab that the files do not name stay as they are. When it can't be done, nothing is changed.

    \b
    Example:
      lab apply -f more-pods.yaml
      lab apply -f - < rules.yaml
    """
    if not files:
        raise click.UsageError("what? say: -f FILE", click.get_current_context())
    rundir = chosen_lab()
    with progress(f"apply to {rundir.lab}") as note:
        outcome = verbs.apply(files, rundir, dry_run=dry_run, note=note)
    show_outcome(outcome, output, dry_run)


@click.command()
@click.argument("what", nargs=-1, shell_complete=complete_objects)
@FILES
@NAMESPACE
@DRY_RUN
@output_option
@lab_option
def delete(what: tuple[str, ...], files: tuple[str, ...], namespace: str, dry_run: bool, output: Format) -> None:
    """Remove objects of the running lab: KIND NAME..., KIND/NAME..., or those of the files.

    A pod of a Deployment or StatefulSet is replaced by a new one.

    \b
    Example:
      lab delete deploy/web
      lab delete pod db-0 db-1
      lab delete -f more-pods.yaml
    """
    if bool(what) == bool(files):
        raise click.UsageError("say either objects or -f FILE", click.get_current_context())
    rundir = chosen_lab()
    with progress(f"delete in {rundir.lab}") as note:
        if files:
            outcome = verbs.delete_files(files, rundir, dry_run=dry_run, note=note)
        else:
            outcome = verbs.delete(read_targets(what, namespace), rundir, dry_run=dry_run, note=note)
    show_outcome(outcome, output, dry_run)


@click.command()
@click.argument("what", nargs=-1, required=True, shell_complete=complete_objects)
@click.option("--replicas", type=click.IntRange(0, 5000), required=True, help="How many pods there shall be.")
@NAMESPACE
@DRY_RUN
@output_option
@lab_option
def scale(what: tuple[str, ...], replicas: int, namespace: str, dry_run: bool, output: Format) -> None:
    """Set the replicas of a Deployment or StatefulSet.

    \b
    Example:
      lab scale deploy/web --replicas 8
    """
    targets = read_targets(what, namespace)
    if len(targets) != 1:
        raise click.UsageError("one at a time", click.get_current_context())
    rundir = chosen_lab()
    with progress(f"scale in {rundir.lab}") as note:
        outcome = verbs.scale(targets[0], replicas, rundir, dry_run=dry_run, note=note)
    show_outcome(outcome, output, dry_run)
