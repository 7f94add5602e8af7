"""The rules over a whole lab. Each takes the index, reports at the user's lines, and changes nothing."""

from __future__ import annotations

from testbed.model.lab import Lab
from testbed.spec.index import Index


def check_rules(index: Index) -> None:
    """All rules, in the order in which their faults are easiest to understand."""


def check_immutable(index: Index, running: Lab) -> None:
    """What can't be changed on a running lab."""
