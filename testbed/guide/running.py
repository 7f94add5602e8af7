"""Running a guide's commands as the learner would type them, on the running lab."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from testbed.emulation.rundir import RunDir
from testbed.emulation.waiting import WaitedInVainError, until
from testbed.guide.guides import Command
from testbed.observe.status import View
from testbed.observe.trace.naming import find_target

LIMIT = 60.0
"""Seconds that a command may take."""

READY_LIMIT = 10.0
"""Seconds for a program in the background to say that it is ready (tcpdump: ``listening on eth0``)."""

END_LIMIT = 15.0
"""Seconds for a program in the background to end once the others have."""

_FILTERS = ("grep", "head", "tail", "sort", "wc")
_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9.-]*(?:/[a-z0-9.-]+)?)\}")


@dataclass(frozen=True, slots=True)
class Ran:
    """``problem``: how the output differs from what the guide says; "" when it does not."""

    command: Command
    output: str
    status: int
    problem: str = ""


def resolve(rundir: RunDir, command: Command) -> Command:
    """The command with addresses for its placeholders; ``{rundir}`` is the lab's run directory.

    Raises ``BadRequestError`` for what the lab does not have.
    """
    view = View(rundir)

    def value(found: re.Match[str]) -> str:
        return str(rundir.path) if found[1] == "rundir" else str(find_target(view, found[1])[0])

    return replace(command, line=_PLACEHOLDER.sub(value, command.line))


def typed(command: Command, lab: str = "") -> str:
    """The command as it is typed in a shell; ``lab`` is named where several labs run."""
    line = command.line.replace("lab ", f"lab --lab {lab} ", 1) if lab else command.line
    if command.document:
        return f"{line} <<'EOF'\n{command.document.strip()}\nEOF"
    return f"{line} &" if command.background else line


def run_commands(rundir: RunDir, commands: Sequence[Command]) -> Iterator[Ran]:
    """Run them in order; those in the background end last. What still runs then is ended."""
    behind: list[tuple[Command, subprocess.Popen[str]]] = []
    try:
        for command in (resolve(rundir, each) for each in commands):
            if command.background:
                behind.append((command, _start(rundir, command)))
            else:
                yield _run(rundir, command)
        for command, process in behind:
            yield _finish(command, process)
    finally:
        for _, process in behind:
            if process.poll() is None:
                process.kill()
                process.communicate()


def arguments_of(rundir: RunDir, line: str) -> list[list[str]]:
    """The programs of a pipe. The lab is said: another may run beside it."""
    programs: list[list[str]] = [[]]
    for word in shlex.split(line):
        if word == "|":
            programs.append([])
        else:
            programs[-1].append(word)
    (name, *rest), *filters = programs
    if name != "lab" or any(words[0] not in _FILTERS for words in filters):
        raise ValueError(f"a guide runs lab and {', '.join(_FILTERS)}, not: {line}")
    return [[sys.executable, "-P", "-m", "testbed.cli", "--lab", rundir.lab, *rest], *filters]


def _run(rundir: RunDir, command: Command) -> Ran:
    first, *filters = arguments_of(rundir, command.line)
    text, status = _call(first, command.document)
    for words in filters:
        text, status = _call(words, text)
    return _judge(command, text, status)


def _call(words: Sequence[str], text: str) -> tuple[str, int]:
    try:
        done = subprocess.run(
            words, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no end after {LIMIT:g} s", 124
    return done.stdout, done.returncode


def _start(rundir: RunDir, command: Command) -> subprocess.Popen[str]:
    """Returns when the program has said something: then it is at work."""
    (words,) = arguments_of(rundir, command.line)
    log = rundir.logs / "guide.log"
    with open(log, "w", encoding="utf-8") as errors:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True)
    with suppress(WaitedInVainError):  # it may have nothing to say before it is asked
        until(lambda: log.stat().st_size or process.poll() is not None, READY_LIMIT, f"{command.line} to begin")
    return process


def _finish(command: Command, process: subprocess.Popen[str]) -> Ran:
    try:
        text, _ = process.communicate(timeout=END_LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        text, _ = process.communicate()
    return _judge(command, text, process.returncode)


def _judge(command: Command, text: str, status: int) -> Ran:
    problems = []
    if command.status is not None and status != command.status:
        problems.append(f"exit status {status} instead of {command.status}")
    problems += [f"no {wanted!r} in what it shows" for wanted in command.shows if wanted not in text]
    return Ran(command, text, status, "; ".join(problems))
