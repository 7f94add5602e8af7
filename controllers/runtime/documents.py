"""The controller's files in the run directory: the desired state that it reads, what it applied, its names.

``control/<name>.json`` is written by the lab; ``control/<name>.applied.json`` and
``control/<name>.names.json`` (cookie -> the user's object, table names: what decodes a live dump) are
written here, whole or not at all.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controllers.openflow.program import Program
from controllers.runtime.fleet import Desired, Fleet

Compile = Callable[[Path], Desired]
"""Reads and compiles the document. Raises on a document that can't be read or compiled."""


@dataclass(slots=True)
class Watch:
    """The desired state's document, compiled again each time it is another one."""

    path: Path
    compile: Compile
    problem: str = ""
    """Why the newest document isn't in force; empty when it is."""
    _seen: tuple[int, int, int] | None = field(default=None, repr=False)

    def poll(self) -> Desired | None:
        """The new desired state, or None when there is no other one, or it is unusable (then see
        ``problem``)."""
        seen = self._signature()
        if seen is None or seen == self._seen:
            return None
        self._seen = seen
        try:
            desired = self.compile(self.path)
        except Exception as error:  # whatever is wrong with it, the programs that are in force stay in force
            self.problem = f"{type(error).__name__}: {error}"
            return None
        self.problem = ""
        return desired

    def _signature(self) -> tuple[int, int, int] | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return (found.st_ino, found.st_mtime_ns, found.st_size)


def applied_document(fleet: Fleet, problem: str) -> dict[str, Any]:
    """What is in force, per switch and in all. ``generation`` is what every connected switch has."""
    programs = fleet.desired.programs if fleet.desired else {}
    return {
        "generation": fleet.generation,
        "wanted": fleet.desired.generation if fleet.desired else 0,
        "pid": os.getpid(),
        "problem": problem,
        "messages_sent": fleet.sent,
        "refused": fleet.refused,
        "switches": {
            f"{datapath_id:016x}": _switch(fleet, datapath_id, program)
            for datapath_id, program in sorted(programs.items())
        },
    }


def _switch(fleet: Fleet, datapath_id: int, program: Program) -> dict[str, Any]:
    session = fleet.sessions.get(datapath_id)
    installed = session.installed if session else None
    return {
        "bridge": program.bridge or program.pipeline.role,
        "connected": session is not None,
        "generation": session.generation if session else 0,
        "flows": len(installed.flows) if installed else 0,
        "groups": len(installed.groups) if installed else 0,
        "state": session.phase.value if session else "away",
        "errors": list(session.errors) if session else [],
    }


def names_document(desired: Desired) -> dict[str, Any]:
    """``cookies``: cookie as in a dump -> [owner, note]. ``tables``: datapath id -> table names in order."""
    cookies: dict[int, tuple[str, str]] = {}
    for program in desired.programs.values():
        cookies.update(program.cookies)
    return {
        "generation": desired.generation,
        "cookies": {f"{cookie:#x}": names for cookie, names in cookies.items()},
        "tables": {f"{number:016x}": program.pipeline.names for number, program in desired.programs.items()},
    }


def write_document(path: Path, document: dict[str, Any]) -> None:
    """Replace the file as a whole: a reader sees the old one or the new one."""
    scratch = path.with_name(f".{path.name}.new")
    scratch.write_text(json.dumps(document, separators=(",", ":")), encoding="utf-8")
    scratch.replace(path)
