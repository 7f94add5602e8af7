"""The conversation with one switch, without I/O: told what arrives, it says what to send.

::

    connect ── read flows and groups ── compare with the program ──┬── nothing differs ─────────────┐
                    ▲                                              └── bundle, commit, barrier ── applied
                    │                                                        │                      │
                    └── wait (1 s, 2 s, ... 30 s) ◀── the switch refused ◀───┘      a new program, or the flow
                                                                                    count or an audit differs

What was installed is remembered, so a new program is compared with it and only the difference is sent.
After an error nothing is believed: the switch is read again first. Open vSwitch commits a bundle as a
whole, but leaves out messages that it can't parse; then the rest is in force and the generation isn't
counted as applied.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

from controllers.openflow import messages as m
from controllers.openflow.decode import DecodeError, Found, read_flows, read_groups
from controllers.openflow.diff import Changes, plan_changes, plan_repair
from controllers.openflow.flows import Answers
from controllers.openflow.program import Program

COUNT_SECONDS = 4.0
"""How often a switch's number of flows is compared with the program's: cheap, finds flows that somebody
deleted."""

AUDIT_SECONDS = 60.0
"""How often all flows and groups are read back."""

FIRST_RETRY = 1.0
LAST_RETRY = 30.0

FORGET_AGAIN = (0.5, 2.0)
"""Seconds after which tracked connections that ended are forgotten again: until Open vSwitch has revalidated what it
had cached, a packet may still choose what no group lists any more, and is then in a connection with it for good."""

MOST_ERRORS = 20
"""Errors kept per switch; the rest is a number."""

_TABLE = struct.Struct("!B3xIQQ")


class Connection(Protocol):
    """The way to one switch."""

    def send(self, data: bytes) -> None: ...

    def close(self) -> None: ...


class Phase(StrEnum):
    IDLE = "idle"
    READING = "reading"
    SENDING = "sending"
    REFUSED = "refused"


def _count(body: bytes, program: Program) -> int:
    """How many flows more than the program's the switch has, not counting tables that it fills itself."""
    learned = {number for number, table in enumerate(program.pipeline.tables) if table.learned}
    skipped = sum(1 for flow in program.flows.values() if program.pipeline.ids[flow.table] in learned) if learned else 0
    active: int = sum(row[1] for row in _TABLE.iter_unpack(body) if row[0] < 254 and row[0] not in learned)
    return active - (len(program.flows) - skipped)


class Session:
    """One switch while it is connected. ``clock`` returns seconds, monotonic."""

    def __init__(self, datapath_id: int, connection: Connection, clock: Callable[[], float]) -> None:
        self.datapath_id = datapath_id
        self.connection = connection
        self.phase = Phase.IDLE
        self.generation = 0
        """The newest desired state that is in force here; 0 before the first."""
        self.errors: tuple[str, ...] = ()
        self.sent = 0
        """Flow-mods and group-mods sent."""
        self.installed: Program | None = None
        self._clock = clock
        self._wanted: Program | None = None
        self._wanted_generation = 0
        self._sending: tuple[Program, int] | None = None
        self._found = Found()
        self._problems: list[str] = []
        self._purposes: dict[int, str] = {}
        self._xid = 0
        self._bundle = 0
        self._fence = 0
        self._retry_seconds = FIRST_RETRY
        self._retry_at = 0.0
        self._count_at = self._audit_at = clock() + COUNT_SECONDS
        self._hidden = 0
        self._doubted = False
        self._ending: list[tuple[float, Answers]] = []
        connection.send(m.quiet(self._next_xid()))

    def want(self, program: Program, generation: int) -> None:
        """The program that the switch should have from now on; equal objects mean that nothing changed."""
        changed = program is not self._wanted
        self._wanted, self._wanted_generation = program, generation
        if changed and self.phase is Phase.REFUSED:
            self.phase, self._retry_seconds = Phase.IDLE, FIRST_RETRY
        self._advance()

    def tick(self) -> None:
        """Time has passed: retry, count, audit."""
        now = self._clock()
        self._forget_again(now)
        if self.phase is Phase.REFUSED and now >= self._retry_at:
            self.phase = Phase.IDLE
            self._advance()
        elif self.phase is Phase.IDLE and self.installed is not None and now >= self._audit_at:
            self._read()
        elif self.phase is Phase.IDLE and self.installed is not None and now >= self._count_at:
            self._count_at = now + COUNT_SECONDS
            self.connection.send(m.tables_request(self._next_xid()))

    # What arrives

    def flows_arrived(self, body: bytes) -> None:
        self._decode(read_flows, body)

    def groups_arrived(self, body: bytes) -> None:
        self._decode(read_groups, body)

    def counts_arrived(self, body: bytes) -> None:
        """A part of the table statistics. One part holds all tables of Open vSwitch (254 of 24 bytes)."""
        if self.phase is not Phase.IDLE or self.installed is None or len(body) % _TABLE.size:
            return
        hidden = _count(body, self.installed)
        if hidden == self._hidden:
            self._doubted = False
        elif self._doubted:
            self._hidden = hidden  # read back and found right: the switch has rules of its own that it doesn't show
        else:
            self._doubted = True
            self._read()

    def barrier_arrived(self, xid: int) -> None:
        """Everything sent before the barrier has been done, and its errors have arrived."""
        if xid != self._fence:
            return
        if self.phase is Phase.READING:
            self._finish_reading()
        elif self.phase is Phase.SENDING:
            self._finish_sending()

    def error_arrived(self, xid: int, name: str) -> None:
        """``name`` is the error's type and code in words."""
        self._problems.append(f"{self._purposes.get(xid, 'a message of the conversation')}: {name}")

    # What follows

    def _advance(self) -> None:
        """Start on what is wanted when nothing is under way."""
        if self.phase is not Phase.IDLE or self._wanted is None:
            return
        if self.installed is None:
            self._read()
        elif self.installed is self._wanted:
            self.generation = self._wanted_generation
        else:
            self._send(plan_changes(self.installed, self._wanted))

    def _read(self) -> None:
        self.phase, self._found, self._problems = Phase.READING, Found(), []
        self._fence = self._next_xid()
        requests = (m.flows_request(self._next_xid()), m.groups_request(self._next_xid()), m.barrier(self._fence))
        self.connection.send(b"".join(requests))

    def _finish_reading(self) -> None:
        assert self._wanted is not None
        self._audit_at = self._clock() + AUDIT_SECONDS
        if self._problems:
            self._refuse()
            return
        changes = plan_repair(self._found, self._wanted)
        self._found = Found()
        self._doubted = self._doubted and not changes
        self._send(changes)

    def _send(self, changes: Changes) -> None:
        assert self._wanted is not None
        self._sending = (self._wanted, self._wanted_generation)
        self._problems, self._purposes = [], {}
        if not changes:
            self._finish_sending()
            return
        self.phase = Phase.SENDING
        self.sent += len(changes)
        now = self._clock()
        self._ending += ((now + seconds, ended) for ended in changes.ended for seconds in FORGET_AGAIN)
        self._bundle += 1
        bundle = m.encode_bundle(
            self._wanted.pipeline, changes, self._bundle, self._next_xid, self._purposes.__setitem__
        )
        self._fence = self._next_xid()
        self.connection.send(bundle + m.barrier(self._fence))

    def _finish_sending(self) -> None:
        assert self._sending is not None
        if self._problems:
            self._refuse()
            return
        self.installed, self.generation = self._sending
        self.errors, self._purposes, self._retry_seconds = (), {}, FIRST_RETRY
        self.phase = Phase.IDLE
        self._count_at = self._clock() + COUNT_SECONDS
        self._advance()

    def _forget_again(self, now: float) -> None:
        """Unless the endpoint is back."""
        due = [ended for at, ended in self._ending if at <= now]
        if not due or self.installed is None:
            return
        self._ending = [(at, ended) for at, ended in self._ending if at > now]
        back = {each for group in self.installed.groups.values() for each in group.ends}
        sent = [m.forget_connections(ended, self._next_xid()) for ended in due if ended not in back]
        if sent:
            self.connection.send(b"".join(sent))

    def _refuse(self) -> None:
        """Keep what the switch said, believe nothing, and try again later or when something else is
        wanted."""
        shown = self._problems[:MOST_ERRORS]
        rest = len(self._problems) - len(shown)
        self.errors = (*shown, f"and {rest} more") if rest else tuple(shown)
        self.installed = None
        self._retry_at = self._clock() + self._retry_seconds
        self._retry_seconds = min(self._retry_seconds * 2, LAST_RETRY)
        wanted_is_newer = self._sending is not None and self._sending[0] is not self._wanted
        self.phase = Phase.IDLE if wanted_is_newer else Phase.REFUSED
        self._advance()

    def _decode(self, read: Callable[[bytes, Found], None], body: bytes) -> None:
        if self.phase is not Phase.READING:
            return
        try:
            read(body, self._found)
        except DecodeError as error:
            self._problems.append(str(error))

    def _next_xid(self) -> int:
        self._xid += 1
        return self._xid
