"""``lab labs``: guided labs to learn from."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches

import click
from click.shell_completion import CompletionItem
from rich.text import Text

from testbed.cli.options import Format, lab_option, output_option, settings
from testbed.cli.output import is_document, show, show_document
from testbed.cli.progress import progress
from testbed.emulation.rundir import RunDir, list_labs
from testbed.guide.guides import Command, Guide, Step
from testbed.operations.errors import BadRequestError


def complete_guides(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from testbed.guide.registry import find_guides

    return [CompletionItem(name) for name in find_guides() if name.startswith(incomplete)]


NAME = click.argument("name", shell_complete=complete_guides)


class _Labs(click.Group):
    """A guide's name where a command should be is what people try first."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from testbed.guide.registry import find_guides

        word = args[0]
        if word not in self.commands and not word.startswith("-"):
            near = get_close_matches(word, self.commands, n=1)
            hint = f"say: lab labs start {word}" if word in find_guides() else f"there are: {', '.join(self.commands)}"
            raise click.UsageError(f"no such command: {word}; {f'did you mean {near[0]}?' if near else hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=_Labs, invoke_without_command=True)
@output_option
@click.pass_context
def labs(ctx: click.Context, output: Format) -> None:
    """Guided labs: a lab comes up, you are led through it command by command, then there is something for you to do.

    Without a subcommand they are listed.

    \b
    Example:
      lab labs
      lab labs start vxlan
      lab labs check vxlan
      lab labs stop vxlan
    """
    if ctx.invoked_subcommand is None:
        _list(output)


@labs.command()
@NAME
@click.option("--step/--no-pause", "pauses", default=None, help="Wait for Enter at each step; default: on a terminal.")
@click.option(
    "--datapath", type=click.Choice(["auto", "kernel", "userspace"]), default="auto", help="Whose packet path."
)
@lab_option
def start(name: str, pauses: bool | None, datapath: str) -> None:
    """Bring the lab of NAME up and go through it. It stays up for your part: lab labs check NAME, lab labs stop NAME.

    Exit status 1 when a command did not do what the guide says.

    \b
    Example:
      lab labs start vxlan
      lab labs start vxlan --no-pause
    """
    from testbed.guide.play import bring_up
    from testbed.report.guides import render_opening, render_task

    guide, rundir = _load(name), _rundir(name)
    if rundir.exists:
        raise BadRequestError(f"{name} runs already; lab labs check {name}, or begin again: lab labs stop {name}")
    _show(*render_opening(name, guide))
    with progress(f"lab {rundir.lab}") as note:
        bring_up(guide, rundir, datapath, note)
    pausing = sys.stdin.isatty() if pauses is None else pauses
    with _stays_up(name):
        well = [_take_step(rundir, number, step, pausing) for number, step in enumerate(guide.steps, 1)]
        _ask(guide, pausing)
    _show(*render_task(name, guide))
    if not all(well):
        raise click.exceptions.Exit(1)


@labs.command()
@NAME
@output_option
@lab_option
def check(name: str, output: Format) -> None:
    """Is your part of NAME done? Looks at the running lab: its packets and its state. Exit status 1 when it is not.

    \b
    Example:
      lab labs check vxlan
    """
    from testbed.guide.play import check as look
    from testbed.report.guides import findings_document, render_findings

    guide, rundir = _load(name), _running(name)
    with progress(f"check {name}"):
        findings = look(guide, rundir)
    if is_document(output):
        show_document(findings_document(name, findings), output)
    else:
        _show(*render_findings(name, findings))
    if not findings or not all(finding.ok for finding in findings):
        if not is_document(output):
            click.echo(f"hint: {' '.join(guide.hint.split())}")
        raise click.exceptions.Exit(1)


@labs.command()
@NAME
@lab_option
def solve(name: str) -> None:
    """Show one way to do your part of NAME, and do it.

    \b
    Example:
      lab labs solve vxlan
    """
    guide, rundir = _load(name), _running(name)
    if not _run(rundir, guide.solution):
        raise click.exceptions.Exit(1)
    click.echo(f"\nnext: lab labs check {name}")


@labs.command()
@NAME
@lab_option
def stop(name: str) -> None:
    """Remove the lab of NAME, whatever has been made of it.

    \b
    Example:
      lab labs stop vxlan
    """
    from testbed.operations import verbs

    _load(name)
    rundir = _running(name)
    with progress(f"down {rundir.lab}"):
        gone = verbs.down(rundir, lock_limit=30.0)
    click.echo(f"{name} is gone: {gone.namespaces} namespaces, {gone.processes} processes in {gone.seconds:.1f} s")


def _list(output: Format) -> None:
    from testbed.guide.registry import find_guides
    from testbed.observe.status_items import Column
    from testbed.report.text import render_table

    running = set(list_labs())
    guides = [(name, _load(name)) for name in find_guides()]
    if is_document(output):
        fields = [
            {"name": name, "title": guide.title, "model": guide.model, "goal": guide.goal, "running": name in running}
            for name, guide in guides
        ]
        show_document(fields, output)
        return
    rows = [(name, guide.model, "running" if name in running else "", guide.title) for name, guide in guides]
    show(render_table((Column("LAB"), Column("MODEL"), Column("STATE"), Column("SHOWS", flexible=True)), rows))
    click.echo("\nnext: lab labs start NAME")


def _load(name: str) -> Guide:
    from testbed.guide.registry import UnknownGuideError, load_guide

    try:
        return load_guide(name)
    except UnknownGuideError as error:
        raise BadRequestError(str(error)) from error


def _rundir(name: str) -> RunDir:
    return RunDir.of(settings().lab or name)


def _running(name: str) -> RunDir:
    rundir = _rundir(name)
    if not rundir.exists:
        raise BadRequestError(f"{name} does not run; begin it: lab labs start {name}")
    return rundir


def _take_step(rundir: RunDir, number: int, step: Step, pausing: bool) -> bool:
    """Tell it, run it, say what to notice; whether its commands did what the guide says."""
    from testbed.report.guides import render_notice, render_step

    _show(*render_step(number, step))
    _show_typed(rundir, step.commands, pausing)
    _pause(pausing, "Enter runs it" if step.commands else "Enter")
    well = _run(rundir, step.commands)
    _show(*render_notice(step))
    return well


def _run(rundir: RunDir, commands: Sequence[Command]) -> bool:
    from testbed.cli.errors import run
    from testbed.guide.running import run_commands
    from testbed.report.guides import render_ran

    well = True
    for ran in run_commands(rundir, commands, run):
        _show(*render_ran(ran, _named(rundir)))
        well = well and not ran.problem
    return well


def _show_typed(rundir: RunDir, commands: Sequence[Command], pausing: bool) -> None:
    """Where somebody waits, what will be run: he may want to guess what comes of it."""
    from testbed.report.guides import render_typed

    if pausing:
        _show(*(render_typed(_resolved(rundir, command), _named(rundir), "cyan") for command in commands))


def _resolved(rundir: RunDir, command: Command) -> Command:
    """With addresses, to be copied; as it is where an object comes into being only by a command before it."""
    from testbed.guide.running import resolve

    try:
        return resolve(rundir, command)
    except BadRequestError:
        return command


def _named(rundir: RunDir) -> str:
    """The lab's name where a command has to say it: when it is not the only one."""
    return "" if list_labs() == (rundir.lab,) else rundir.lab


def _ask(guide: Guide, pausing: bool) -> None:
    for number, (question, answer) in enumerate(guide.questions, 1):
        show(Text.assemble((f"Question {number}. ", "bold"), question.strip()))
        _pause(pausing, "Enter shows the answer")
        show(Text(f"  {' '.join(answer.split())}\n", style="green"))


def _pause(pausing: bool, what: str) -> None:
    if not pausing:
        return
    answer = click.prompt(f"\n[{what}, q leaves]", default="", show_default=False, prompt_suffix=" ")
    if answer.strip().lower().startswith("q"):
        raise _Left


class _Left(Exception):  # noqa: N818 - no error: the learner has had enough
    pass


@contextmanager
def _stays_up(name: str) -> Iterator[None]:
    """Whoever leaves in the middle is told what becomes of the lab."""
    end = f"the lab stays up; lab labs check {name} looks at your part, lab labs stop {name} removes the lab"
    try:
        yield
    except _Left:
        click.echo(end)
        raise click.exceptions.Exit(0) from None
    except (KeyboardInterrupt, click.Abort):
        click.echo(f"\n{end}")
        raise


def _show(*parts: object) -> None:
    for part in parts:
        show(part)  # type: ignore[arg-type]  # what the renderers yield
