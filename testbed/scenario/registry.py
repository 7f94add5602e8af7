"""Scenarios by name: files of ``scenarios/`` with a function that ``@scenario`` marks."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testbed.scenario.checks import Checks
    from testbed.scenario.running import RunningLab

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "scenarios"
ALL_MODELS = ("tunnel", "vpc", "eni")

Body = Callable[["RunningLab", "Checks"], None]


@dataclass(frozen=True, slots=True)
class Scenario:
    """``topology`` is a path below the project; ``models`` are those it has something to show in, the default first."""

    name: str
    title: str
    topology: Path
    models: tuple[str, ...]
    body: Body


class UnknownScenarioError(LookupError):
    """There is no such scenario; the text says which there are."""


_MARKED: dict[str, Scenario] = {}


def scenario(topology: str, models: tuple[str, ...] = ALL_MODELS) -> Callable[[Body], Body]:
    """Mark the function that is a scenario; its name is the scenario's, its docstring's first line the title."""

    def mark(body: Body) -> Body:
        title = (inspect.getdoc(body) or body.__name__).partition("\n")[0].rstrip(".")
        name = body.__module__.rpartition(".")[2]
        _MARKED[name] = Scenario(name, title, ROOT / topology, models, body)
        return body

    return mark


def find_scenarios() -> tuple[str, ...]:
    """Names of the scenarios that there are."""
    return tuple(sorted(path.stem for path in FOLDER.glob("[a-z]*.py")))


def load_scenario(name: str) -> Scenario:
    """Raises :class:`UnknownScenarioError`."""
    name = Path(name).stem
    if name not in find_scenarios():
        raise UnknownScenarioError(f'no scenario "{name}"; there are: {", ".join(find_scenarios())}')
    importlib.import_module(f"scenarios.{name}")
    return _MARKED[name]
