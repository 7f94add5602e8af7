"""What a probe saw and what a check concludes from it, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Verdict(StrEnum):
    """What became of a connection attempt or a packet.

    ``REFUSED`` is an answer that says no (TCP reset, ICMP unreachable), ``DROPPED`` is silence until the time limit,
    ``ERROR`` means that the probe itself could not be made: it says nothing about the network and is never a drop.
    """

    ALLOWED = "allowed"
    REFUSED = "refused"
    DROPPED = "dropped"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Check:
    """One statement about the lab and whether it held.

    ``assertion`` is the number of the statement, 0 for one that has none; ``model`` the network model, empty where
    it does not matter; ``expected`` and ``seen`` are short texts that can be compared by eye (``allowed, source
    10.1.0.7``); ``evidence`` are the lines that prove it (of a capture, of a server's log). ``error``: the check
    could not be made.
    """

    assertion: int
    title: str
    model: str
    expected: str
    seen: str
    ok: bool
    evidence: tuple[str, ...] = ()
    seconds: float = 0.0
    error: bool = False
    path: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """The checks of one scenario on one lab. ``facts`` says under which conditions (datapath, versions)."""

    name: str
    checks: tuple[Check, ...] = ()
    facts: tuple[tuple[str, str], ...] = field(default=())

    @property
    def failed(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if not check.ok)

    @property
    def ok(self) -> bool:
        """False also for a report without checks: nothing was shown."""
        return bool(self.checks) and not self.failed

    @property
    def exit_status(self) -> int:
        """0 when every check held, else 1."""
        return 0 if self.ok else 1
