"""A switch on the other end of a session, in memory: takes OpenFlow bytes, keeps flows and groups, answers."""

from __future__ import annotations

import struct
from collections.abc import Callable

from controllers.openflow import messages as m
from controllers.openflow.decode import canonical_fields
from controllers.openflow.encode import ADD, DELETE, DELETE_STRICT, FLOW_MOD, GROUP_MOD, MODIFY
from controllers.runtime.session import Session

Refuse = Callable[[bytes], str | None]
"""What the switch has against a message: the error's name, or None."""


class ModelSwitch:
    """Answers wait in ``_answers`` until ``deliver`` hands them to the session, as on a real wire."""

    def __init__(self) -> None:
        self.flows: dict[tuple[int, int, bytes], tuple[int, int, bytes]] = {}
        self.groups: dict[int, bytes] = {}
        self.refuse: Refuse = lambda message: None
        self.closed = False
        self.mods = 0
        self.reads = 0
        self.hidden = 0
        self._bundle: list[bytes] = []
        self._answers: list[Callable[[Session], None]] = []

    # the session's connection

    def send(self, data: bytes) -> None:
        while data:
            _, kind, length, xid = struct.unpack_from("!BBHI", data)
            self._take(kind, xid, data[:length])
            data = data[length:]

    def close(self) -> None:
        self.closed = True

    def deliver(self, session: Session) -> None:
        """Hand over every answer, also those that follow from it."""
        while self._answers:
            self._answers.pop(0)(session)

    # the switch

    def _take(self, kind: int, xid: int, message: bytes) -> None:
        if kind == m.BARRIER_REQUEST:
            self._answers.append(lambda session: session.barrier_arrived(xid))
        elif kind == m.MULTIPART_REQUEST:
            self._report(struct.unpack_from("!H", message, 8)[0])
        elif kind == m.BUNDLE_ADD:
            self._add(xid, message[16:])
        elif kind == m.BUNDLE_CONTROL and struct.unpack_from("!H", message, 12)[0] == m.COMMIT:
            for each in self._bundle:
                self._apply(each)
            self._bundle = []

    def _add(self, xid: int, message: bytes) -> None:
        self.mods += 1
        if (name := self.refuse(message)) is not None:
            self._answers.append(lambda session: session.error_arrived(xid, name))
        else:
            self._bundle.append(message)

    def _apply(self, message: bytes) -> None:
        if message[1] == GROUP_MOD:
            self._apply_group(message)
            return
        assert message[1] == FLOW_MOD
        cookie, _, table, command, idle, _, priority = struct.unpack_from("!QQBBHHH", message, 8)
        match_length = struct.unpack_from("!H", message, 50)[0]
        key = (table, priority, canonical_fields(message[52 : 48 + match_length]))
        if command == DELETE_STRICT:
            self.flows.pop(key, None)
        else:
            assert command == ADD
            self.flows[key] = (cookie, idle, message[48 + (match_length + 7) // 8 * 8 :])

    def _apply_group(self, message: bytes) -> None:
        command = struct.unpack_from("!H", message, 8)[0]
        number = struct.unpack_from("!I", message, 12)[0]
        if command == DELETE:
            self.groups.pop(number, None)
            return
        assert (number in self.groups) == (command == MODIFY), (
            "add of a group that is there, or change of one that isn't"
        )
        self.groups[number] = message[10:]

    def _report(self, kind: int) -> None:
        match kind:
            case m.MULTIPART_FLOW:
                self.reads += 1
                body = b"".join(self._flow_entry(*item) for item in self.flows.items())
                self._answers.append(lambda session: session.flows_arrived(body))
            case m.MULTIPART_GROUP_DESC:
                groups = b"".join(struct.pack("!H", 2 + len(each)) + each for each in self.groups.values())
                self._answers.append(lambda session: session.groups_arrived(groups))
            case m.MULTIPART_TABLE:
                counts = struct.pack("!B3xIQQ", 0, len(self.flows) + self.hidden, 0, 0)
                self._answers.append(lambda session: session.counts_arrived(counts))

    @staticmethod
    def _flow_entry(key: tuple[int, int, bytes], what: tuple[int, int, bytes]) -> bytes:
        (table, priority, oxms), (cookie, idle, instructions) = key, what
        match = struct.pack("!HH", 1, 4 + len(oxms)) + oxms + bytes(-(4 + len(oxms)) % 8)
        head = struct.pack(
            "!HBxIIHHHHH2xQQQ",
            48 + len(match) + len(instructions),
            *(table, 0, 0, priority, idle, 0, 0, 0, cookie, 0, 0),
        )
        return head + match + instructions
