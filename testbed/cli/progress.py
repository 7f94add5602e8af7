"""What is being done, on standard error, while it is being done; nothing where nobody watches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(title: str) -> Iterator[Callable[[str], None]]:
    """``title: step`` with a spinner that goes away at the end; the value is called with each step."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    console = Console(stderr=True, highlight=False, markup=False)
    with console.status(f"{title} ...") as status:
        yield lambda step: status.update(f"{title}: {step} ...")
