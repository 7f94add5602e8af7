"""Whether what is to be compared was measured under equal conditions. Pure.

Unequal ones are refused: no median makes up for them. Doubtful ones are marked and shown with the result.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from testbed.operations.errors import BadRequestError
from testbed.perf.results import FIGURES_OF, Cell, Conditions, Result, SubjectConditions
from testbed.perf.statistics import WIDE, value

BUSY = 0.5
"""Load for each processor at the start above which a run is doubtful."""

STEAL = 2.0
"""Percent of time that the hypervisor took."""

FOREIGN = 0.25
"""Processors that others kept busy, as the median of a cell's samples."""

FEW_ROUNDS = 5


class UnequalError(BadRequestError):
    """Conditions that differ; the message says which, and what would make them equal."""


def expect_equal(subjects: Sequence[SubjectConditions]) -> None:
    """Raises ``UnequalError`` naming everything that differs. A pod's MTU may: the wire's is what they share."""
    faults = [text for name in _SAME for text in _unequal(name, subjects)]
    if faults:
        raise UnequalError(f"conditions are unequal, nothing was measured: {'; '.join(faults)}")


_SAME = {
    "datapath": ("datapath", "give one with --datapath"),
    "wire_mtu": ("MTU of the wire", "set the same for all"),
    "offloads": ("offloads", "--offloads off makes them equal, or leave a model out with --model"),
    "congestion": ("congestion control", "the kernel has to offer one that all can use"),
    "settling": ("seconds before a stream", "give one --datapath"),
}

_SAME_AS_BEFORE = {**{field: title for field, (title, _) in _SAME.items()}, "retags": "VLAN tags"}


def _unequal(field: str, subjects: Sequence[SubjectConditions]) -> Iterator[str]:
    groups: dict[str, list[str]] = {}
    for item in subjects:
        groups.setdefault(_say(getattr(item, field)), []).append(item.subject)
    if len(groups) > 1:
        title, remedy = _SAME[field]
        said = [f"{value} ({', '.join(who)})" for value, who in groups.items()]
        yield f"{title}: {', '.join(said)}; {remedy}"


def _say(value: object) -> str:
    return {True: "on", False: "off"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def expect_comparable(old: Conditions, new: Conditions) -> None:
    """Whether two runs may stand side by side. Raises ``UnequalError`` naming everything that differs."""
    faults = [
        f"{title}: {getattr(old, field)} before, {getattr(new, field)} now"
        for field, title in (("kernel", "kernel"), ("openvswitch", "Open vSwitch"), ("processors", "processors"))
        if getattr(old, field) != getattr(new, field)
    ]
    before = {item.subject: item for item in old.subjects}
    for item in new.subjects:
        earlier = before.get(item.subject)
        for field, title in _SAME_AS_BEFORE.items() if earlier else ():
            was, now = _say(getattr(earlier, field)), _say(getattr(item, field))
            if was != now:
                faults.append(f"{title} of {item.subject}: {was} before, {now} now")
    if faults:
        raise UnequalError(f"these runs can't be compared: {'; '.join(faults)}; measure both under the same conditions")


def find_doubts(result: Result) -> tuple[str, ...]:
    """What makes a result less than it seems, worst first."""
    return (*_doubts_of_machine(result), *_doubts_of_cells(result))


def _doubts_of_machine(result: Result) -> Iterator[str]:
    conditions = result.conditions
    if conditions.load > BUSY * conditions.processors:
        yield (
            f"the machine was busy at the start: load {conditions.load:.2f} on {conditions.processors} processors "
            f"(above {BUSY:g} each)"
        )
    if conditions.steal > STEAL:
        yield f"the hypervisor took {conditions.steal:.1f} % of the time (above {STEAL:g} %)"
    if result.rounds < FEW_ROUNDS:
        yield f"{result.rounds} rounds: a median wants {FEW_ROUNDS}"


def _doubts_of_cells(result: Result) -> Iterator[str]:
    cells = result.cells
    disturbed = [cell for cell in cells if foreign(result, cell) > FOREIGN]
    if disturbed:
        worst = max(disturbed, key=lambda cell: foreign(result, cell))
        yield (
            f"{len(disturbed)} of {len(cells)} cells while others kept more than {FOREIGN:g} processors busy "
            f"(most: {foreign(result, worst):.2f}, {worst})"
        )
    wide = [cell for cell in cells if is_wide(result, cell)]
    if wide:
        yield f"{len(wide)} of {len(cells)} cells spread over more than {WIDE:.0%} of their median (marked ~)"


def foreign(result: Result, cell: Cell) -> float:
    """Processors that others kept busy: the median over the cell's rounds."""
    found = sorted(sample.foreign for sample in result.of(cell))
    return found[len(found) // 2] if found else 0.0


def is_wide(result: Result, cell: Cell) -> bool:
    """Judged by the measure's first figure."""
    found = value(result, cell, FIGURES_OF[cell.measure][0])
    return found is not None and found.spread > WIDE
