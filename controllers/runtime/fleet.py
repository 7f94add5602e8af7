"""All switches of one controller: who is connected, what each should have, how far each is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from controllers.openflow.program import Program
from controllers.runtime.session import Connection, Session

GRACE_SECONDS = 1.0
"""How long a switch that we don't expect may stay: its node may be in the desired state that is being
written, or the connection that it replaces may not have been seen to end."""


@dataclass(frozen=True, slots=True)
class Desired:
    """What the newest readable document asks for. ``programs`` by datapath id."""

    generation: int
    programs: Mapping[int, Program]


@dataclass(slots=True)
class Waiting:
    """A switch that can't be admitted yet."""

    datapath_id: int
    connection: Connection
    until: float


@dataclass(slots=True)
class Fleet:
    """The sessions by datapath id, and those who wait at the door."""

    clock: Callable[[], float]
    desired: Desired | None = None
    sessions: dict[int, Session] = field(default_factory=dict)
    waiting: list[Waiting] = field(default_factory=list)
    refused: int = 0
    sent_before: int = 0
    """Messages of sessions that have ended."""

    def want(self, desired: Desired) -> None:
        """A new desired state: tell each switch; close those that are in it no more."""
        self.desired = desired
        for datapath_id in [known for known in self.sessions if known not in desired.programs]:
            self.sessions[datapath_id].connection.close()
            self._forget(datapath_id)
        for datapath_id, session in self.sessions.items():
            session.want(desired.programs[datapath_id], desired.generation)
        self._admit_waiting()

    def connected(self, datapath_id: int, connection: Connection) -> None:
        """A switch says who it is. One that is unknown, or is there already, waits for a moment and is then
        refused."""
        self.waiting.append(Waiting(datapath_id, connection, self.clock() + GRACE_SECONDS))
        self._admit_waiting()

    def disconnected(self, datapath_id: int, connection: Connection) -> None:
        self.waiting = [each for each in self.waiting if each.connection is not connection]
        session = self.sessions.get(datapath_id)
        if session is not None and session.connection is connection:
            self._forget(datapath_id)
        self._admit_waiting()

    def session_of(self, datapath_id: int, connection: Connection) -> Session | None:
        """The session that a message belongs to; None for a switch that wasn't admitted."""
        session = self.sessions.get(datapath_id)
        return session if session is not None and session.connection is connection else None

    def tick(self) -> None:
        now = self.clock()
        late = [each for each in self.waiting if self.desired is not None and now >= each.until]
        for each in late:
            self.waiting.remove(each)
            self.refused += 1
            each.connection.close()
        for session in tuple(self.sessions.values()):
            session.tick()

    @property
    def generation(self) -> int:
        """The newest generation that every connected switch has; 0 while one has none, or none is there yet."""
        alone = self.desired.generation if self.desired is not None and not self.desired.programs else 0
        return min((session.generation for session in self.sessions.values()), default=alone)

    @property
    def sent(self) -> int:
        return self.sent_before + sum(session.sent for session in self.sessions.values())

    def _admit_waiting(self) -> None:
        if self.desired is None:
            return
        for each in tuple(self.waiting):
            program = self.desired.programs.get(each.datapath_id)
            if program is not None and each.datapath_id not in self.sessions:
                self.waiting.remove(each)
                session = self.sessions[each.datapath_id] = Session(each.datapath_id, each.connection, self.clock)
                session.want(program, self.desired.generation)

    def _forget(self, datapath_id: int) -> None:
        self.sent_before += self.sessions.pop(datapath_id).sent
