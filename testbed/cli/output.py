"""Printing in the format that the user chose."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from typing import Any

import click
from rich.console import Group, RenderableType
from rich.measure import Measurement
from rich.text import Text

from testbed.cli.options import Format
from testbed.report.text import UNLIMITED, hang, make_console, render_json, render_yaml

_END = re.compile(r"(?: |\x1b\[[0-9;]*m)+$")
"""Blanks at a line's end, with the codes that end colours among them."""


def show(renderable: RenderableType) -> None:
    """On a terminal with colours and in its width; else as it is. Never with trailing blanks: where a line is longer
    than the terminal, which wraps it then, they would be lines of their own.
    """
    if isinstance(renderable, Group):
        for part in renderable.renderables:
            show(part)
        return
    console = make_console()
    with console.capture() as captured:
        if console.is_terminal and isinstance(renderable, Text):
            console.print(hang(renderable, console), soft_wrap=True)
        else:
            if console.is_terminal:
                needed = Measurement.get(console, console.options.update(max_width=UNLIMITED), renderable).minimum
                console.width = max(console.width, needed)  # longer lines are the terminal's to wrap; nothing is cut
            console.print(renderable)
    sys.stdout.writelines(
        f"{_END.sub(_without_blanks, line)}\n" for line in captured.get().removesuffix("\n").split("\n")
    )


def _without_blanks(end: re.Match[str]) -> str:
    return end[0].replace(" ", "")


def show_document(document: Any, output: Format) -> None:
    """A plain value as JSON or YAML."""
    sys.stdout.write(render_json(document) if output is Format.JSON else render_yaml(document))


def is_document(output: Format) -> bool:
    return output in (Format.JSON, Format.YAML)


def warn(texts: Iterable[str]) -> None:
    for text in texts:
        click.echo(text if text.startswith("warning") else f"warning: {text}", err=True)
