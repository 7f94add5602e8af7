"""Two profiles set side by side. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from testbed.observe.profile import Profile

NOTHING = "-"
"""Stands for what one of the two does not have."""


@dataclass(frozen=True, slots=True)
class Row:
    """``values`` are in the order of the profiles."""

    section: str
    what: str
    values: tuple[str, ...]

    @property
    def differs(self) -> bool:
        return len(set(self.values)) > 1


@dataclass(frozen=True, slots=True)
class Comparison:
    names: tuple[str, ...]
    datapaths: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def different(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.differs)


def compare(profiles: Sequence[Profile]) -> Comparison:
    """A row for everything that one of them has, section by section, in the order of the first that has it."""
    return Comparison(
        tuple(profile.name for profile in profiles),
        tuple(profile.datapath for profile in profiles),
        tuple(_rows(profiles)),
    )


def _rows(profiles: Sequence[Profile]) -> Iterator[Row]:
    titles = dict.fromkeys(section.title for profile in profiles for section in profile.sections)
    for title in titles:
        facts = [_facts(profile, title) for profile in profiles]
        for what in _merged([list(each) for each in facts]):
            yield Row(title, what, tuple(each.get(what, NOTHING) for each in facts))


def _facts(profile: Profile, title: str) -> dict[str, str]:
    return {what: value for section in profile.sections if section.title == title for what, value in section.facts}


def _merged(orders: Sequence[Sequence[str]]) -> list[str]:
    """All names, each after those that come before it where it is: what only the second has stays in its place."""
    merged: list[str] = []
    for order in orders:
        at = 0
        for name in order:
            if name in merged:
                at = merged.index(name) + 1
            else:
                merged.insert(at, name)
                at += 1
    return merged
