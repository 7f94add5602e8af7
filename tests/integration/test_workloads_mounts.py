"""A lab's runtime starts while another lab, whose mounts it sees, is taken down."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from testbed.emulation import syscalls
from testbed.emulation.mounts import own_mounts
from testbed.workloads import sandbox

pytestmark = pytest.mark.root

MS_BIND = 4096
FILES = range(30)


def child(work: Callable[[], object]) -> int:
    """The pid of a process with mounts of its own that does ``work`` and ends; status 1 when it could not."""
    pid = os.fork()
    if pid == 0:
        try:
            own_mounts()
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return pid


def test_mounts_that_go_while_they_are_hidden_are_no_error(tmp_path: Path) -> None:
    places = [tmp_path / f"namespace-{number}" for number in FILES]

    def come_and_go() -> None:
        while True:
            for place in places:
                place.touch()
            for place in places:
                place.unlink()  # and whatever is mounted there goes, in every mount namespace

    def hide() -> None:
        for place in places:
            if place.exists():
                mount(place)
        sandbox.hide_lab_mounts(tmp_path)

    other = child(come_and_go)
    try:
        assert [os.waitpid(child(hide), 0)[1] for _ in range(10)] == [0] * 10
    finally:
        os.kill(other, signal.SIGKILL)
        os.waitpid(other, 0)


def mount(place: Path) -> None:
    with suppress(FileNotFoundError):
        syscalls.mount("/proc/self/ns/net", str(place), "", MS_BIND)
