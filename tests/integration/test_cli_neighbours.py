"""Several labs at once: what one does is nothing to another."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.test_cli_lab import DEMO, Shell


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Shell, str, str]]:
    name = secrets.token_hex(3)
    shell = Shell(tmp_path, f"a-{name}")
    try:
        yield shell, f"a-{name}", f"b-{name}"
    finally:
        shell("down", "--all", status=None)


def test_a_lab_that_goes_down_leaves_alone_one_that_comes_up_at_that_moment(two: tuple[Shell, str, str]) -> None:
    """The kernel hands out the numbers of the namespaces that are freed again at once, to the other lab's."""
    shell, first, second = two
    shell("up", DEMO, "--lab", first)
    for _ in range(3):
        coming = shell.start("up", DEMO, "--lab", second)
        shell("down", first)
        _, problems = coming.communicate(timeout=60)
        assert coming.returncode == 0, problems
        assert shell.json("status", "--lab", second)["problems"] == []
        first, second = second, first


def test_two_labs_with_the_same_addresses_are_apart(two: tuple[Shell, str, str]) -> None:
    shell, first, second = two
    for name in (first, second):
        shell("up", DEMO, "--lab", name)
    assert "several labs are running" in shell("get", "pods", status=2).stderr
    assert shell("status").stdout.count(" ok ") == 2
    address = shell.json("get", "pod/db-1", "--lab", first)["status"]["podIP"]
    shell("down", first)
    shell("exec", "db-0", "--lab", second, "--", "ping", "-c1", "-W2", address)
