"""The top of every command: whatever goes wrong becomes a message, a next step and an exit status.

0 fine, 1 a check failed or the lab did not do it, 2 bad usage or bad input, 3 the machine lacks something,
130 Ctrl-C.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from testbed.cli import main
from testbed.cli.options import Settings

FAILED, BAD_INPUT, MACHINE_LACKS, INTERRUPTED = 1, 2, 3, 130


def run(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    chosen = Settings()
    try:
        status = main.main(arguments, prog_name="lab", standalone_mode=False, obj=chosen)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (head, less) has gone; what it wanted it has. Python's own flush at exit must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    except Exception as error:
        status = report(error, chosen)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one must not end in a traceback
        say("interrupted")
        status = INTERRUPTED
    sys.exit(status if isinstance(status, int) else 0)


def report(error: Exception, chosen: Settings) -> int:
    """Say what happened and what to do next; the exit status for it."""
    if chosen.debug and not isinstance(error, click.exceptions.Exit | click.Abort | click.ClickException):
        traceback.print_exc()
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.Abort):
        say("interrupted")
        return INTERRUPTED
    if isinstance(error, click.ClickException):
        return _usage(error)
    status = _known(error)
    if status is None:
        return _unexpected(error, chosen)
    if any(getattr(error, "__notes__", ())) and not chosen.debug:
        say("--debug shows the traceback and what the lab's programs wrote")
    return status


def say(text: str) -> None:
    """One message on standard error, marked as ours."""
    click.echo(f"lab: {text}", err=True)


def _usage(error: click.ClickException) -> int:
    if isinstance(error, click.UsageError):
        hint = f"; see: {error.ctx.command_path} --help" if error.ctx else ""
        say(f"{error.format_message().rstrip('.')}{hint}")
        return BAD_INPUT
    say(error.format_message())
    return error.exit_code


def _known(error: Exception) -> int | None:
    """The exit status of an error that says itself what is wrong; None for all others."""
    if _is_a(error, "testbed.spec.faults:SpecError", "testbed.model.planning.faults:PlanError"):
        return _faults(getattr(error, "faults", ()))
    if _is_a(error, "testbed.emulation.errors:InterruptedByUserError"):
        say(str(error))
        return INTERRUPTED
    for kinds, status in _STATUS_OF:
        if _is_a(error, *kinds):
            say(str(error))
            return status
    if isinstance(error, PermissionError):
        say(f"{_reason(error)}; the lab needs root: sudo ./lab ...")
        return MACHINE_LACKS
    if isinstance(error, OSError):
        say(_reason(error))
        return FAILED
    return None


_STATUS_OF: tuple[tuple[tuple[str, ...], int], ...] = (
    (("testbed.emulation.errors:NoSuchLabError", "testbed.operations.errors:BadRequestError"), BAD_INPUT),
    (("testbed.emulation.errors:MachineLacksError",), MACHINE_LACKS),
    (("testbed.emulation.errors:EmulationError", "testbed.operations.errors:OperationError"), FAILED),
)
"""First match wins, so the special comes before the general."""


def _is_a(error: Exception, *kinds: str) -> bool:
    """Whether ``error`` is of one of ``kinds`` (``module:class``). Imports nothing: who raised it has the module."""
    for kind in kinds:
        module, name = kind.split(":")
        found = getattr(sys.modules.get(module), name, None)
        if found is not None and isinstance(error, found):
            return True
    return False


def _faults(faults: Sequence[object]) -> int:
    for fault in faults:
        click.echo(str(fault), err=True)
    say(f"{len(faults)} {'fault' if len(faults) == 1 else 'faults'}; nothing was changed")
    return BAD_INPUT


def _reason(error: OSError) -> str:
    if error.strerror is None:
        return str(error)
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror


def _unexpected(error: Exception, chosen: Settings) -> int:
    """A defect of ours: the traceback goes to a file, the user gets one line and a way on."""
    what = f"{type(error).__name__}: {error}".splitlines()[0]
    say(f"something went wrong that should not: {what}")
    if chosen.debug:
        return FAILED
    try:
        log = _crash_log(chosen)
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "a", encoding="utf-8") as file:
            file.write(f"$ {' '.join(sys.argv)}\n")
            traceback.print_exception(error, file=file)
        say(f"the traceback is in {log}; --debug shows it at once")
    except OSError:
        say("run it again with --debug to see the traceback")
    return FAILED


def _crash_log(chosen: Settings) -> Path:
    """In the lab's own logs when it is known which lab, else in the user's state directory."""
    if chosen.lab:
        from testbed.emulation.rundir import RunDir

        logs = RunDir.of(chosen.lab).logs
        if logs.is_dir():
            return logs / "crash.log"
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "cnlab" / "crash.log"
