"""Reading what ``ofproto/trace`` answers: the tables a packet went through, and what the datapath then does.

Only the part up to the first recirculation is read. Where a packet goes through conntrack, the walk itself resumes it
with the connection's true state and translation (``ofproto/trace`` only guesses both).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_BRIDGE = re.compile(r'^bridge\("(?P<name>[^"]+)"\)$')
_TABLE = re.compile(r"^\s*(?P<table>\d+)\. (?P<rest>.*)$")
_FLOW = re.compile(r"^(?:(?P<match>.*), )?priority (?P<priority>\d+)(?:, cookie (?P<cookie>0x[0-9a-f]+))?$")
_RESUMED = re.compile(r"resumed at table (\d+)")
_STATE = re.compile(r"\b((?:reg\d+|metadata|pkt_mark)=0x[0-9a-f]+|in_port=\w+)")
_RULE = "=" * 20


@dataclass(frozen=True, slots=True)
class TableStep:
    """One table: the flow that matched (``match`` "" matches everything), or none. ``notes`` are what actions did."""

    bridge: str
    table: int
    match: str
    priority: int
    cookie: str
    actions: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def missed(self) -> bool:
        return not self.cookie


@dataclass(frozen=True, slots=True)
class Reply:
    """``resumes_at``: the table after conntrack, None when there is none. ``frozen`` are port and registers as they
    are there: of the bridge in which it resumes, which need not be the one where the packet came in.
    """

    steps: tuple[TableStep, ...]
    actions: str
    resumes_at: int | None
    frozen: str
    problem: str = ""


@dataclass(slots=True)
class _Open:
    """A step that is being read."""

    bridge: str
    table: int
    rest: str
    actions: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def close(self) -> TableStep:
        found = _FLOW.match(self.rest)
        if found is None:  # "No match."
            return TableStep(self.bridge, self.table, "", -1, "", tuple(self.actions), (self.rest, *self.notes))
        return TableStep(
            self.bridge,
            self.table,
            found["match"] or "",
            int(found["priority"]),
            found["cookie"] or "0x0",
            tuple(self.actions),
            tuple(self.notes),
        )


def read_reply(text: str) -> Reply:
    """Raises ``ValueError`` for what is no answer of ``ofproto/trace``."""
    lines = list(_first_part(text))
    actions = next((line.partition(": ")[2] for line in lines if line.startswith("Datapath actions: ")), None)
    if actions is None:
        raise ValueError(f"not an answer of ofproto/trace: {text[:200]}")
    resumes = [int(number) for line in lines if (found := _RESUMED.search(line)) for number in found.groups()]
    return Reply(
        steps=tuple(_read_steps(lines)),
        actions=actions,
        resumes_at=resumes[-1] if resumes else None,
        frozen=",".join(_STATE.findall(_resumed_flow(text))),
        problem=next((line for line in lines if line.startswith("Translation failed")), ""),
    )


def _resumed_flow(text: str) -> str:
    _, rule, rest = text.partition(_RULE)
    return next((line for line in rest.splitlines() if line.startswith("Flow: ")), "") if rule else ""


def _first_part(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if line.startswith(_RULE):
            return
        yield line


def _read_steps(lines: list[str]) -> Iterator[TableStep]:
    bridge, step = "", None
    for line in lines:
        if found := _BRIDGE.match(line):
            if step:
                yield step.close()
            bridge, step = found["name"], None
        elif found := _TABLE.match(line):
            if step:
                yield step.close()
            step = _Open(bridge, int(found["table"]), found["rest"])
        elif not line.strip():
            if step:
                yield step.close()
            step = None
        elif step is not None:
            _add(step, line.strip())


def _add(step: _Open, line: str) -> None:
    if line.startswith("-> "):
        step.notes.append(line.removeprefix("-> "))
    elif line != "drop" or not step.actions:  # after ct() it says "drop" of the actions that ct() does not have
        step.actions.append(line)
