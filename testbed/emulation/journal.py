"""What was about to be done and what was done, since ``state.json`` was last written.

Append-only JSON lines. An intent is on disk before the step that it names touches the machine:

    {"intent": 3, "step": "veths", "add": {...wiring...}, "remove": {...wiring...}}
    {"done": 3}

A process killed in the middle leaves an intent without its ``done``: of those objects nobody knows whether they
exist. They are *doubtful*, and the next command removes them (tolerating that they are absent) before it makes them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from testbed.emulation import fragments
from testbed.emulation.rundir import RunDir, write_atomically
from testbed.emulation.wiring_json import Json, decode_wiring
from testbed.model.codec import to_plain
from testbed.model.wiring import Wiring

NOTHING = Wiring()


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    add: Wiring
    remove: Wiring
    done: bool


class Journal:
    """The open journal of one lab; one writer (the lock sees to that)."""

    def __init__(self, rundir: RunDir) -> None:
        self._rundir = rundir
        self._next = len(read_steps(rundir))

    @contextmanager
    def step(self, name: str, add: Wiring = NOTHING, remove: Wiring = NOTHING) -> Iterator[None]:
        """Around one creation step. The ``done`` line is written only when the body ended without an exception."""
        number = self.begin(name, add, remove)
        yield
        self.end(number)

    def begin(self, name: str, add: Wiring = NOTHING, remove: Wiring = NOTHING) -> int:
        """Write an intent, for a step that ends elsewhere than it begins; its number is for ``end``."""
        number = self._next
        self._next += 1
        self._append({"intent": number, "step": name, "add": to_plain(add), "remove": to_plain(remove)})
        return number

    def end(self, number: int) -> None:
        self._append({"done": number})

    def clear(self) -> None:
        """Forget everything: the caller has just written a ``state.json`` that includes it."""
        write_atomically(self._rundir.journal, "")
        self._next = 0

    def _append(self, line: Json) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(self._rundir.journal, flags, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(json.dumps(line, separators=(",", ":")) + "\n")
            file.flush()
            os.fdatasync(file.fileno())


def read_steps(rundir: RunDir) -> tuple[Step, ...]:
    """The steps in order. A last line without its end was never acted upon and is left out."""
    try:
        text = rundir.journal.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ()
    steps: dict[int, Step] = {}
    for line in text.split("\n")[:-1]:
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # torn by a full disk; the intent was not acted upon because writing it failed
        if "done" in entry and entry["done"] in steps:
            step = steps[entry["done"]]
            steps[entry["done"]] = Step(step.name, step.add, step.remove, done=True)
        elif "intent" in entry:
            steps[entry["intent"]] = Step(
                entry["step"], decode_wiring(entry["add"]), decode_wiring(entry["remove"]), done=False
            )
    return tuple(steps.values())


def replay(start: Wiring, steps: tuple[Step, ...]) -> tuple[Wiring, Wiring]:
    """(what exists for certain, what is doubtful) after ``steps`` on top of ``start``. Pure."""
    found, doubtful = start, NOTHING
    for step in steps:
        if step.done:
            found = fragments.union(fragments.difference(found, step.remove), step.add)
        else:
            touched = fragments.union(step.remove, step.add)
            found = fragments.difference(found, touched)
            doubtful = fragments.union(doubtful, touched)
    return found, fragments.difference(doubtful, found)
