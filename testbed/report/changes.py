"""What a change does, by the object of the user's that it is for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from testbed.emulation.changes import Action, Change

_STYLES = {Action.ADD: "green", Action.REMOVE: "red", Action.CHANGE: "yellow"}


def render_changes(lines: Sequence[Change]) -> Table | Text:
    """One line an object: ``+ Pod/default/web-0  address, link, pod, port, 2 routes``."""
    if not lines:
        return Text("nothing to change")
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", no_wrap=False)
    table.add_column(overflow="fold")
    for owner, changes in by_owner(lines).items():
        action = _joint_action(changes)
        table.add_row(Text(action.value, style=_STYLES[action]), owner, _things(changes))
    return table


def by_owner(lines: Iterable[Change]) -> dict[str, list[Change]]:
    groups: dict[str, list[Change]] = {}
    for line in lines:
        groups.setdefault(line.owner, []).append(line)
    return groups


def change_documents(lines: Iterable[Change]) -> list[dict[str, Any]]:
    words = {Action.ADD: "add", Action.REMOVE: "remove", Action.CHANGE: "change"}
    return [
        {"action": words[line.action], "what": line.what, "owner": line.owner, "reason": line.reason} for line in lines
    ]


def summary_of(lines: Sequence[Change]) -> str:
    """``12 objects added, 1 changed, 2 removed``."""
    actions = [_joint_action(changes) for changes in by_owner(lines).values()]
    words = {Action.ADD: "added", Action.CHANGE: "changed", Action.REMOVE: "removed"}
    parts = [f"{actions.count(action)} {word}" for action, word in words.items() if action in actions]
    return ", ".join(parts) or "nothing to change"


def _joint_action(changes: Iterable[Change]) -> Action:
    actions = {change.action for change in changes}
    return actions.pop() if len(actions) == 1 else Action.CHANGE


def _things(changes: Iterable[Change]) -> str:
    counts: dict[str, int] = {}
    for change in changes:
        word = change.what.split(" ")[0] if not change.what.startswith(("tunnel", "tx")) else change.what[:6].strip()
        word = {"tunnel": "tunnel neighbour", "tx off": "offload"}.get(word, word)
        counts[word] = counts.get(word, 0) + 1
    return ", ".join(word if count == 1 else f"{count} {_plural(word)}" for word, count in sorted(counts.items()))


def _plural(word: str) -> str:
    return word + ("es" if word.endswith(("s", "ch")) else "s")
