"""Every guided lab tells the truth, has something to do, knows when it is done, and leaves nothing."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from testbed.guide.registry import find_guides
from tests.integration.test_cli_lab import Shell

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]

LIMIT = 400
"""Seconds for one verb: a guide is some thirty commands, each a program of its own, and others may use the machine."""


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path, "unused")


def told(shell: Shell, *arguments: str, status: int | None = 0) -> str:
    """What ``lab labs ...`` says, however long the machine takes."""
    process = shell.start("labs", *arguments)
    out, err = process.communicate(timeout=LIMIT)
    assert status in (None, process.returncode), f"lab labs {' '.join(arguments)}: {process.returncode}\n{out}\n{err}"
    return out


@pytest.mark.datapath
@pytest.mark.parametrize("name", find_guides())
def test_a_guide_from_its_first_step_to_the_last(shell: Shell, name: str) -> None:
    try:
        assert "Your turn:" in told(shell, "start", name, "--no-pause")
        before = told(shell, "check", name, status=1)
        assert "not yet" in before, "there is something to do"
        assert "hint:" in before
        told(shell, "solve", name)
        assert f"{name}: done" in told(shell, "check", name)
        assert "is gone" in told(shell, "stop", name)
        assert not (Path(shell.environment["CNLAB_RUN_ROOT"]) / name).exists()
    finally:
        shell("down", "--all")


def test_leaving_in_the_middle_keeps_the_lab(shell: Shell) -> None:
    try:
        begun = shell("labs", "start", "vxlan", "--step", stdin="\n\nq\n")
        assert "Step 3." in begun.stdout
        assert "{" not in begun.stdout.partition("Step 1.")[2], "commands to be copied have addresses"
        assert "Your turn" not in begun.stdout
        assert "the lab stays up; lab labs check vxlan looks at your part" in begun.stdout
        listed = {item["name"]: item for item in shell.json("labs")}
        assert listed["vxlan"]["running"]
        again = shell("labs", "start", "vxlan", "--no-pause", status=2)
        assert "vxlan runs already" in again.stderr
    finally:
        shell("down", "--all")


def test_what_the_learner_breaks_is_found_and_said(shell: Shell) -> None:
    """He deletes what the checker wants to look at: it says so, and how to go on."""
    try:
        shell("labs", "start", "vxlan", "--step", stdin="q\n")
        shell("delete", "statefulset/web")
        checked = shell("labs", "check", "vxlan", status=1)
        assert 'nothing called "web-0"' in checked.stdout
        assert "lab labs start" in checked.stdout
        document = json.loads(shell("labs", "check", "vxlan", "-o", "json", status=1).stdout)
        assert document["done"] is False
    finally:
        shell("down", "--all")


def test_a_program_in_the_background_ends_with_its_step(shell: Shell) -> None:
    """tcpdump waits for packets that never come when the learner interrupts: nothing of it stays."""
    process = shell.start("labs", "start", "vxlan", "--no-pause", start_new_session=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("Step 2."):
                break
        os.killpg(process.pid, signal.SIGINT)
        out, _ = process.communicate(timeout=60)
        assert "the lab stays up" in out
        assert process.returncode in (130, -signal.SIGINT)
    finally:
        shell("down", "--all")
