"""``lab watch``: the lab as it is now, again and again."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import click

from testbed.cli.choosing import chosen_lab
from testbed.cli.options import Format, lab_option, output_option
from testbed.cli.output import is_document, show, show_document
from testbed.emulation.errors import EmulationError
from testbed.emulation.rundir import RunDir
from testbed.emulation.waiting import WaitedInVainError, until
from testbed.observe.last_run import LastRun, read_last_run
from testbed.observe.rates import Counters, Rate, links_of, plan_rates, read_counters
from testbed.observe.status import View
from testbed.observe.status_summary import Health, read_health
from testbed.operations.errors import OperationError

_GOING = 10.0
"""Seconds that a lab's end takes at most."""

Frame = tuple[Health, tuple[Rate, ...], LastRun | None]


@click.command()
@click.option("--once", is_flag=True, help="One frame, and end; also where the output is not a terminal.")
@click.option("--interval", type=click.FloatRange(0.1, 60), default=1.0, show_default=True, help="Seconds a frame.")
@output_option
@lab_option
def watch(once: bool, interval: float, output: Format) -> None:
    """Watch the lab: nodes, controllers, pods, the busiest links, and what the last scenario found. Ctrl-C ends it.

    \b
    Example:
      lab watch
      lab watch --once -o json
    """
    from testbed.report.watch import frame_document, render_frame

    rundir = chosen_lab()
    if once or is_document(output) or not sys.stdout.isatty():
        frame, _ = _next_frame(rundir, _read(View(rundir)), interval)
        if is_document(output):
            show_document(frame_document(*frame), output)
        else:
            show(render_frame(*frame))
        return
    from rich.live import Live

    counters = _read(View(rundir))
    screen = Live(screen=True, auto_refresh=False, vertical_overflow="crop")
    with _until_gone(rundir), suppress(KeyboardInterrupt), screen as live:
        while True:
            frame, counters = _next_frame(rundir, counters, interval)
            live.update(render_frame(*frame), refresh=True)


@contextmanager
def _until_gone(rundir: RunDir) -> Iterator[None]:
    """What fails because the lab is taken down meanwhile is no failure; other errors are raised."""
    try:
        yield
    except (OSError, EmulationError, OperationError):
        with suppress(WaitedInVainError):
            until(lambda: not rundir.exists, _GOING, f"lab {rundir.lab} to be gone")
        if rundir.exists:
            raise
        click.echo(f"lab {rundir.lab} is gone")


def _next_frame(rundir: RunDir, before: Counters, interval: float) -> tuple[Frame, Counters]:
    """What there is ``interval`` seconds from now, with rates since ``before``."""
    time.sleep(interval)
    view = View(rundir)
    after = _read(view)
    return (read_health(view), plan_rates(before, after), read_last_run()), after


def _read(view: View) -> Counters:
    return read_counters(view.rundir, links_of(view.state.wiring) if view.state else ())
