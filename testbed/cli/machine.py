"""``lab doctor``, ``completion``, ``schema``: the machine and the tools around the lab."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from testbed.cli.options import Format, output_option
from testbed.cli.output import is_document, show, show_document

SHELLS = ("bash", "zsh", "fish")


@click.command()
@output_option
def doctor(output: Format) -> None:
    """Check what the machine has and lacks for labs. Exit status 3 when no lab can work here.

    \b
    Example:
      sudo lab doctor
    """
    from testbed.emulation.doctor import examine, is_fit
    from testbed.report.doctor import findings_document, render_findings

    findings = examine()
    if is_document(output):
        show_document(findings_document(findings), output)
    else:
        show(render_findings(findings))
    if not is_fit(findings):
        raise click.exceptions.Exit(3)


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print shell completion: of verbs, options, and the names in the running lab.

    \b
    Example:
      eval "$(lab completion bash)"
      lab completion fish > ~/.config/fish/completions/lab.fish
    """
    from testbed.cli import main

    found = get_completion_class(shell)
    assert found is not None, "click has all three"
    click.echo(found(main, {}, "lab", "_LAB_COMPLETE").source())


@click.command()
@click.option("-o", "--output", type=click.Choice(["json", "yaml"]), default="json", help="json is the default.")
def schema(output: str) -> None:
    """The JSON schema of the lab's own kinds, for editors.

    \b
    Example:
      lab schema > lab.schema.json
    """
    from testbed.spec.editor import build_schema

    show_document(build_schema(), Format(output))
