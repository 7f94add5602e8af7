"""What all tests share: which of them need root, and which of them stay together when several run at once."""

from __future__ import annotations

import fcntl
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

HOST_WATCHERS = ("test_cli_killed", "test_emulation_machine", "test_emulation_roots", "test_leaks")
"""Modules whose tests compare the machine before and after, or put things of a user's on it: one at a time."""

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what runs in the background deaf to Ctrl-C, and every program that a test starts would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--conformance", type=Path, help="folder with expected results that others have published")


@pytest.fixture(scope="session")
def conformance(request: pytest.FixtureRequest) -> Path:
    """The folder of ``--conformance``; without it the test is left out."""
    folder = request.config.getoption("--conformance")
    if folder is None:
        pytest.skip("left out: no --conformance FOLDER")
    assert isinstance(folder, Path)
    return folder


@pytest.fixture(autouse=True)
def machine_to_itself(request: pytest.FixtureRequest) -> Iterator[None]:
    """One watcher of the machine at a time, also among processes that know nothing of each other."""
    if request.path.stem not in HOST_WATCHERS:
        yield
        return
    with (Path(tempfile.gettempdir()) / "cnlab-tests.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.hookimpl(tryfirst=True)  # before xdist writes the groups into the tests' names
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if group := "-".join(_together(item)):
            item.add_marker(pytest.mark.xdist_group(group))
    if os.geteuid() != 0:
        _skip_what_needs_root(items)


def _together(item: pytest.Item) -> Iterator[str]:
    """Names of what a test has in common with others: the machine, or a lab of its module's fixture."""
    if item.path.stem in HOST_WATCHERS:
        yield "machine"
        return
    definitions = getattr(item, "_fixtureinfo").name2fixturedefs  # noqa: B009 - pytest has no other way to ask
    shared = [name for name, found in definitions.items() if found[-1].scope != "function" and found[-1].baseid]
    if shared:
        yield item.path.stem
        parameters = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        yield from (str(parameters[name]) for name in sorted(shared) if name in parameters)


def _skip_what_needs_root(items: list[pytest.Item]) -> None:
    """Without root, the tests that need it are skipped and say so."""
    skip = pytest.mark.skip(reason="needs root")
    for item in items:
        if item.get_closest_marker("root") or "integration" in item.path.parts:
            item.add_marker(skip)
