"""Configuration directories of workloads: a program is told (SIGHUP) when its own has changed."""

from __future__ import annotations

from collections.abc import Iterable

from testbed.workloads.rundir import RunDir

VERSION = "version"
"""The file whose replacement means: the other files are complete, read them again."""


class ConfigWatcher:
    def __init__(self, rundir: RunDir) -> None:
        self._rundir = rundir
        self._seen: dict[str, int] = {}

    def read_changed(self, names: Iterable[str]) -> frozenset[str]:
        """Those of ``names`` whose configuration has been replaced since the last call; not when it is first seen."""
        changed = set()
        for name in names:
            try:
                modified = (self._rundir.config(name) / VERSION).stat().st_mtime_ns
            except FileNotFoundError:
                continue
            if self._seen.get(name, modified) != modified:
                changed.add(name)
            self._seen[name] = modified
        return frozenset(changed)
