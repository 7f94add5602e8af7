"""What a guided lab is, as a value. Those that there are live in ``scenarios/labs``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.emulation.waiting import WaitedInVainError, until
from testbed.observe.probes import Seen
from testbed.observe.verdicts import Verdict
from testbed.scenario.running import RunningLab


@dataclass(frozen=True, slots=True)
class Command:
    """What the learner would type: ``lab ...``, perhaps ``| grep``, ``head`` or ``tail`` behind it.

    ``{web-0}`` and ``{svc/web}`` stand for addresses. ``document`` is its standard input. ``status`` is the exit
    status that it must have (None: any), ``shows`` what its output must hold: a guide that no longer tells the truth
    is a defect. ``lines``: so many are shown. ``background``: runs while the others of its step run.
    """

    line: str
    document: str = ""
    status: int | None = 0
    shows: tuple[str, ...] = ()
    lines: int = 20
    background: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """``text`` before its commands, ``notice`` after: what to see in their output."""

    text: str
    commands: tuple[Command, ...] = ()
    notice: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the checker looked at. ``do``: what would make it well."""

    ok: bool
    what: str
    do: str = ""


Checker = Callable[[RunningLab], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class Guide:
    """``topology`` is a path below the project. ``prepare`` are documents applied after the lab is up.

    ``questions`` are pairs of question and answer. ``task`` is what the learner does by himself, ``solution`` one way
    of doing it, and ``check`` looks at packets and at the state of the running lab: not at how it was done.
    """

    title: str
    goal: str
    picture: str
    topology: str
    model: str
    steps: tuple[Step, ...]
    questions: tuple[tuple[str, str], ...]
    task: str
    hint: str
    solution: tuple[Command, ...]
    check: Checker


def settle(condition: Callable[[], bool], limit: float) -> None:
    """Give what was just changed at most ``limit`` seconds to be so; whether it is, is for a finding to say."""
    with suppress(WaitedInVainError):
        until(condition, limit, "what was changed to be in force")


def expect(ok: bool, what: str, do: str) -> Finding:
    return Finding(ok, what, "" if ok else do)


def expect_allowed(title: str, seen: Seen, do: str, source: IPv4Address | str = "") -> Finding:
    """It connected, and the server saw ``source`` as the client's address, if that matters."""
    ok = seen.verdict is Verdict.ALLOWED and (not source or seen.client == str(source))
    wanted = f"; wanted: source {source}" if source and not ok else ""
    return expect(ok, f"{title}: {seen}{wanted}", do)


def expect_silent(title: str, seen: Seen, do: str) -> Finding:
    """It did not connect, because packets were dropped."""
    return expect(seen.verdict is Verdict.DROPPED, f"{title}: {seen}", do)
