"""``kill -9`` in the middle of ``lab up``, ``scale`` and ``down`` of a whole lab, controllers and kubelet included."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.emulation.snapshot import take_snapshot
from tests.integration.emulation_lab import decoys, expect_unchanged
from tests.integration.test_cli_lab import DEMO, ROOT, Shell

pytestmark = pytest.mark.root

PHASES = (
    "plan",
    "start Open vSwitch",
    "links",
    "configure Open vSwitch",
    "firewalls",
    "wait for generation",
)

# Brings the demo up, or scales its StatefulSet; dies by SIGKILL at the beginning of a phase.
CHILD = """
import os, signal, sys
from testbed.emulation.rundir import RunDir
from testbed.operations import edits, verbs

lab, replicas, last = sys.argv[1:]

def note(phase):
    if phase.startswith(last):
        os.kill(os.getpid(), signal.SIGKILL)

if replicas == "0":
    verbs.up(("topologies/demo.yaml",), RunDir.of(lab), note=note)
else:
    (target,) = edits.read_targets(("statefulset/db",), "default")
    verbs.scale(target, int(replicas), RunDir.of(lab), note=note)
"""


@pytest.fixture
def lab() -> Iterator[Shell]:
    with tempfile.TemporaryDirectory(prefix="cnlab-") as folder:  # short: the kernel allows 107 bytes for a socket
        shell = Shell(Path(folder) / "run", f"killed-{secrets.token_hex(3)}")
        try:
            yield shell
        finally:
            shell("down", "--all", status=None)


def die(lab: Shell, phase: str, replicas: int = 0) -> None:
    command = [sys.executable, "-P", "-c", CHILD, lab.name, str(replicas), phase]
    environment = {**lab.environment, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr


def ping(lab: Shell, source: str, target: str) -> None:
    address = lab.json("get", f"pod/{target}")["status"]["podIP"]
    lab("exec", source, "--", "ping", "-c1", "-W2", "-q", address)


def test_killed_in_each_phase_of_up_then_down(lab: Shell, tmp_path: Path) -> None:
    with decoys(tmp_path):
        before = take_snapshot(lab.name)
        for phase in PHASES:
            die(lab, phase)
            lab("down", "--all")
            expect_unchanged(before, lab.name)


@pytest.mark.parametrize("phase", ["links", "wait for generation"])
def test_killed_in_up_then_up(lab: Shell, phase: str) -> None:
    before = take_snapshot(lab.name)
    die(lab, phase)
    lab("up", DEMO, "--lab", lab.name)
    assert lab.json("status")["problems"] == []
    ping(lab, "db-0", "db-1")
    lab("down", lab.name)
    expect_unchanged(before, lab.name)


def test_killed_while_it_changes_then_the_next_change_completes_it(lab: Shell) -> None:
    before = take_snapshot(lab.name)
    lab("up", DEMO, "--lab", lab.name)
    for replicas, phase in ((4, "change Open vSwitch"), (3, "wait for generation")):
        die(lab, phase, replicas)
        ping(lab, "db-0", "db-1")
        lab("scale", "sts/db", "--replicas", str(replicas))
        assert lab.json("status")["problems"] == []
        ping(lab, "db-1", f"db-{replicas - 1}")
    lab("down", lab.name)
    expect_unchanged(before, lab.name)


def test_killed_in_the_middle_of_down_then_down(lab: Shell) -> None:
    before = take_snapshot(lab.name)
    for delay in (0.3, 0.4):
        lab("up", DEMO, "--lab", lab.name)
        process = lab.start("down", lab.name)
        time.sleep(delay)  # the moment is the point
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
        lab("down", "--all", status=None)
        expect_unchanged(before, lab.name)
