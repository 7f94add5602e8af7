"""Running a guide's commands as the learner would type them, on the running lab."""

from __future__ import annotations

import re
import shlex
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import IO

from testbed.emulation.rundir import RunDir
from testbed.emulation.waiting import WaitedInVainError, until
from testbed.guide.forked import Forked, Main, fork
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


def run_commands(rundir: RunDir, commands: Sequence[Command], lab: Main) -> Iterator[Ran]:
    """Run them in order; those in the background end last. What still runs then is ended.

    ``lab`` is the command line.
    """
    behind: list[_Behind] = []
    try:
        for command in (resolve(rundir, each) for each in commands):
            if command.background:
                behind.append(_start(rundir, command, lab))
            else:
                yield _run(rundir, command, lab)
        for one in behind:
            yield one.finish()
    finally:
        for one in behind:
            one.process.kill()
            one.output.close()


def arguments_of(rundir: RunDir, line: str) -> list[list[str]]:
    """What ``lab`` is given, then the filters behind it. The lab is said: another may run beside it."""
    programs: list[list[str]] = [[]]
    for word in shlex.split(line):
        if word == "|":
            programs.append([])
        else:
            programs[-1].append(word)
    (name, *rest), *filters = programs
    if name != "lab" or any(words[0] not in _FILTERS for words in filters):
        raise ValueError(f"a guide runs lab and {', '.join(_FILTERS)}, not: {line}")
    return [["--lab", rundir.lab, *rest], *filters]


def _run(rundir: RunDir, command: Command, lab: Main) -> Ran:
    arguments, *filters = arguments_of(rundir, command.line)
    text, status = _call(lab, arguments, command.document)
    for words in filters:
        text, status = _filter(words, text)
    return _judge(command, text, status)


def _call(lab: Main, arguments: Sequence[str], text: str) -> tuple[str, int]:
    with _file() as given, _file() as output:
        given.write(text)
        given.seek(0)
        process = fork(lab, arguments, given, output, output)
        try:
            if not process.ended(LIMIT):
                return f"no end after {LIMIT:g} s", 124
        finally:
            process.kill()
        return _read(output), process.status or 0


def _filter(words: Sequence[str], text: str) -> tuple[str, int]:
    done = subprocess.run(
        words, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT, check=False
    )
    return done.stdout, done.returncode


@dataclass
class _Behind:
    """A program in the background, and what it has said."""

    command: Command
    process: Forked
    output: IO[str]

    def finish(self) -> Ran:
        self.process.ended(END_LIMIT)
        self.process.kill()
        return _judge(self.command, _read(self.output), self.process.status or 0)


def _start(rundir: RunDir, command: Command, lab: Main) -> _Behind:
    """Returns when the program has said something: then it is at work."""
    (arguments,) = arguments_of(rundir, command.line)
    log, output = rundir.logs / "guide.log", _file()
    with open(log, "w", encoding="utf-8") as errors, _file() as nothing:
        process = fork(lab, arguments, nothing, output, errors)
    with suppress(WaitedInVainError):  # it may have nothing to say before it is asked
        until(lambda: log.stat().st_size or process.ended(), READY_LIMIT, f"{command.line} to begin")
    return _Behind(command, process, output)


def _file() -> IO[str]:
    return tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")


def _read(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


def _judge(command: Command, text: str, status: int) -> Ran:
    problems = []
    if command.status is not None and status != command.status:
        problems.append(f"exit status {status} instead of {command.status}")
    problems += [f"no {wanted!r} in what it shows" for wanted in command.shows if wanted not in text]
    return Ran(command, text, status, "; ".join(problems))
