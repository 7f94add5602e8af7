"""Verbs as processes of their own: their output, their exit status, their end. No lab."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from testbed.emulation.rundir import RunDir
from testbed.guide import Command, running
from testbed.guide.forked import Forked, fork
from testbed.guide.running import Ran, run_commands

Main = Callable[[list[str]], object]


def said(main: Main, given: str = "") -> tuple[int | None, str]:
    """Exit status and output of ``main``."""
    with tempfile.TemporaryFile("w+") as stdin, tempfile.TemporaryFile("w+") as output:
        stdin.write(given)
        stdin.seek(0)
        process = fork(main, ["get", "pods"], stdin, output, output)
        assert process.ended(20.0)
        output.seek(0)
        return process.status, output.read()


def test_it_reads_and_writes_its_own_files_and_ends_as_it_says() -> None:
    def main(arguments: list[str]) -> None:
        click.echo(f"{arguments} {sys.argv} {sys.stdin.read()}")
        subprocess.run(["echo", "from a program of its own"], check=True)
        click.echo("and a complaint", err=True)
        sys.exit(3)

    status, text = said(main, "a document")
    assert status == 3
    assert text.splitlines() == [
        "['get', 'pods'] ['lab', 'get', 'pods'] a document",
        "from a program of its own",
        "and a complaint",
    ]


@pytest.mark.parametrize(
    ("main", "status"),
    [
        (lambda _: None, 0),
        (lambda _: sys.exit(), 0),
        (lambda _: os.kill(os.getpid(), signal.SIGTERM), 128 + signal.SIGTERM),
        (lambda _: os.execvp("false", ["false"]), 1),  # noqa: S606 - as lab exec does
        (lambda _: 1 / 0, 70),
    ],
)
def test_whatever_becomes_of_it_it_never_returns_into_us(main: Main, status: int) -> None:
    ours = os.getpid()
    assert said(main)[0] == status
    assert os.getpid() == ours


_pressed: list[int] = []


def _press() -> None:
    """To this thread: pytest's workers have others, of which the lab has none when it forks."""
    while _pressed:
        signal.pthread_kill(threading.get_ident(), _pressed.pop())


os.register_at_fork(after_in_parent=_press)


def test_ctrl_c_in_the_middle_of_a_fork_is_not_lost() -> None:
    """What Python calls around a fork may fail without anybody noticing; the signal comes during one of these calls."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        _pressed.append(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            said(lambda _: time.sleep(60))
        assert said(lambda _: sys.exit(4)) == (4, "")
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_runs_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "LIMIT", 0.2)
    (ran,) = run(tmp_path, lambda _: time.sleep(60), Command("lab get pods"))
    assert ran.problem == "exit status 124 instead of 0"
    assert ran.output == "no end after 0.2 s"


def run(root: Path, main: Main, *commands: Command) -> list[Ran]:
    rundir = RunDir.of("x", root)
    rundir.make()
    return list(run_commands(rundir, commands, main))


def test_a_pipe_filters_what_the_verb_says_and_the_background_ends_last(tmp_path: Path) -> None:
    def main(arguments: list[str]) -> None:
        click.echo(" ".join(arguments))
        if arguments[-1] == "listen":
            click.echo("listening", err=True)
            signal.sigtimedwait({signal.SIGUSR1}, 0.1)
            click.echo("heard it")

    first, second = run(
        tmp_path,
        main,
        Command("lab listen", background=True, shows=("heard it",)),
        Command("lab say hello | grep -o hello"),
    )
    assert (first.output, first.problem) == ("hello\n", "")
    assert second.output == "--lab x listen\nheard it\n"
    assert second.problem == ""


def test_the_background_is_ended_when_nobody_wants_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Forked] = []

    def noted(*arguments: object) -> Forked:
        started.append(fork(*arguments))  # type: ignore[arg-type]
        return started[-1]

    monkeypatch.setattr(running, "fork", noted)
    rundir = RunDir.of("x", tmp_path)
    rundir.make()

    def main(arguments: list[str]) -> None:
        click.echo("at work", err=True)
        if arguments[-1] == "listen":
            time.sleep(60)

    rest = run_commands(rundir, [Command("lab listen", background=True), Command("lab get pods")], main)
    next(rest)
    rest.close()  # type: ignore[attr-defined]
    listening, done = started
    assert listening.status == 128 + signal.SIGKILL
    assert done.status == 0
