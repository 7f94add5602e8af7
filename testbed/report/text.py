"""Tables for people, JSON and YAML for programs. Everything returns text or a rich renderable; nothing prints."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from testbed.observe.status_items import Column

UNLIMITED = 10_000
"""Width of output that is not a terminal: nothing is cut or wrapped, so that grep and awk see whole lines."""

_HANGING, _LEAST_LINE = 2, 20
_LABEL = re.compile(r" *\S.{0,14}?  +(?=\S)")
_LONGEST_WHOLE = len("192.168.100.100:65535")

STYLES = {
    "Running": "green",
    "Ready": "green",
    "ok": "green",
    "Pending": "yellow",
    "Failed": "bold red",
    "FAILED": "bold red",
    "ERROR": "bold red",
    "NotReady": "bold red",
    "CrashLoopBackOff": "bold red",
    "down": "bold red",
}


def make_console(*, stderr: bool = False) -> Console:
    """A console as wide as the terminal; unlimited where the output goes to a file or pipe."""
    console = Console(stderr=stderr, highlight=False, emoji=False, markup=False, soft_wrap=False)
    if not console.is_terminal:
        return Console(stderr=stderr, highlight=False, emoji=False, markup=False, width=UNLIMITED, force_terminal=False)
    return console


def hang(text: Text, console: Console) -> Text:
    """``text`` in lines of the console's width. What does not fit goes on two columns further in than its line began,
    or below what follows a label (``not yet  web-0 to ...``).

    A word is never cut: one that is too long is the terminal's to wrap, and so is all of a text that says ``no_wrap``.
    """
    if text.no_wrap:
        return text
    lines = [part for line in text.split("\n", allow_blank=True) for part in _hung(line, console)]
    return Text("\n").join(lines)


def _hung(line: Text, console: Console) -> Iterator[Text]:
    label = _LABEL.match(line.plain)
    if label is not None and label.end() <= console.width // 2:
        begin = hanging = label.end()
    else:
        begin = len(line.plain) - len(line.plain.lstrip(" "))
        hanging = begin + _HANGING if begin else 0
    body = line[begin:]
    body.overflow = "ignore"
    for number, part in enumerate(body.wrap(console, max(_LEAST_LINE, console.width - hanging))):
        part.rstrip()
        yield Text(" " * hanging).append_text(part) if number else line[:begin].append_text(part)


def render_table(columns: Sequence[Column], rows: Iterable[Sequence[str]], *, wide: bool = False) -> Table:
    """Columns without borders, as ``kubectl get`` shows them.

    Only flexible columns wrap, between words. Where that is not enough, lines are longer than the terminal and it
    wraps them itself: an address or a name is never cut.
    """
    texts = [tuple(row) for row in rows]
    shown = [index for index, column in enumerate(columns) if wide or not column.wide]
    titled = any(columns[index].title for index in shown)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_header=titled)
    for index in shown:
        column = columns[index]
        justify = "right" if column.right else "left"
        table.add_column(
            column.title,
            justify=justify,  # type: ignore[arg-type]  # rich's Literal is not exported
            overflow="fold",
            no_wrap=not column.flexible,
            min_width=_least_width(column, [text[index] for text in (*texts, _titles(columns))]),
        )
    for row in texts:
        table.add_row(*(cell(row[index]) for index in shown))
    return table


def _least_width(column: Column, texts: Sequence[str]) -> int:
    if column.flexible:
        return min(_LONGEST_WHOLE, max(len(word) for text in texts for word in text.split() or [""]))
    return max(map(len, texts))


def _titles(columns: Sequence[Column]) -> tuple[str, ...]:
    return tuple(column.title for column in columns)


def cell(text: str) -> Text:
    """A cell; words that say how something is have their colour."""
    return Text(text, style=STYLES.get(text.split(" ")[0], ""))


def render_json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


class _Dumper(yaml.SafeDumper):
    """Indents lists under their key, as Kubernetes' own files do."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def render_yaml(value: Any) -> str:
    text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=UNLIMITED)
    assert isinstance(text, str)
    return text
