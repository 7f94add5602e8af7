"""The containers' logs: bounded while they are written, read by ``lab logs``."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

from testbed.emulation.rundir import RunDir

MAX_BYTES = 4 << 20
"""A log longer than this is moved to ``.log.1``, so that a container keeps at most about twice as much."""


def open_log(rundir: RunDir, workload: str, container: str) -> int:
    """A descriptor that appends to the container's log; refuses a symbolic link in its place."""
    rundir.logs.mkdir(mode=0o700, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(rundir.container_log(workload, container), flags, 0o600)


def bound_log(path: Path) -> None:
    """Move what is there to ``.log.1`` when it is too much.

    The writer keeps its descriptor and goes on at the start of the emptied file, because it appends. What it writes
    between the copy and the cut is lost.
    """
    try:
        if path.stat().st_size <= MAX_BYTES:
            return
        shutil.copyfile(path, path.with_name(f"{path.name}.1"))
        os.truncate(path, 0)
    except FileNotFoundError:
        return


def read_log(rundir: RunDir, workload: str, container: str, tail: int | None = None) -> list[str]:
    """The log's lines, oldest first, the rotated part included; the last ``tail`` of them. Empty if there is none."""
    path = rundir.container_log(workload, container)
    lines: list[str] = []
    for part in (path.with_name(f"{path.name}.1"), path):
        if part.exists():
            lines += part.read_text(encoding="utf-8", errors="replace").splitlines()
    return lines if tail is None else lines[len(lines) - min(tail, len(lines)) :]


def follow_log(
    rundir: RunDir, workload: str, container: str, tail: int | None = 10, limit: float | None = None
) -> Iterator[str]:
    """The last ``tail`` lines, then each new one as it is written; ends after ``limit`` seconds, else never."""
    path = rundir.container_log(workload, container)
    position = path.stat().st_size if path.exists() else 0
    yield from read_log(rundir, workload, container, tail)
    end = None if limit is None else monotonic() + limit
    rest = b""
    while end is None or monotonic() < end:
        data, position = _read_from(path, position)
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield line.decode("utf-8", "replace")
        if not data:
            sleep(0.05)


def _read_from(path: Path, position: int) -> tuple[bytes, int]:
    """What stands after ``position``, and the new position; from the start when the log was cut."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(position if position <= size else 0)
            data = file.read(1 << 16)
            return data, file.tell()
    except FileNotFoundError:
        return b"", 0
