"""What is being done, on standard error, while it is being done; nothing where nobody watches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SPINNER = 3


@contextmanager
def progress(title: str) -> Iterator[Callable[[str], None]]:
    """``title: step`` in one line, with a spinner that goes away at the end; the value is called with each step."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    console = Console(stderr=True, highlight=False, markup=False)
    with console.status(_in_one_line(f"{title} ...", console.width)) as status:
        yield lambda step: status.update(_in_one_line(f"{title}: {step} ...", console.width))


def _in_one_line(text: str, width: int) -> str:
    """Cut where it has to be: in two lines it would flicker."""
    room = max(1, width - _SPINNER)
    return text if len(text) <= room else f"{text[: room - 1]}…"
