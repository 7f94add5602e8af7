"""Guided labs by name: files of ``scenarios/labs`` with a ``GUIDE`` in them."""

from __future__ import annotations

import importlib
from difflib import get_close_matches
from pathlib import Path

from testbed.guide.guides import Guide

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "scenarios" / "labs"


class UnknownGuideError(LookupError):
    """There is no such guided lab; the text says which there are."""


def find_guides() -> tuple[str, ...]:
    """Their names, sorted."""
    return tuple(sorted(path.stem.replace("_", "-") for path in FOLDER.glob("[a-z]*.py")))


def load_guide(name: str) -> Guide:
    """Raises :class:`UnknownGuideError`."""
    names = find_guides()
    if name not in names:
        near = get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(names)}"
        raise UnknownGuideError(f'no guided lab "{name}"; {hint}')
    guide = importlib.import_module(f"scenarios.labs.{name.replace('-', '_')}").GUIDE
    assert isinstance(guide, Guide)
    return guide
