"""A container runtime that can't start: its reason reaches the user who waits for the lab."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.emulation.rundir import RunDir
from testbed.emulation.teardown import tear_down
from testbed.operations.errors import NotAppliedError
from testbed.operations.programs import Gate, start_kubelet
from testbed.operations.waiting import wait_in_force
from testbed.workloads import channel

pytestmark = pytest.mark.root


@pytest.fixture
def rundir(tmp_path: Path) -> Iterator[RunDir]:
    made = RunDir.of(f"w-{secrets.token_hex(4)}", tmp_path)
    made.make()
    try:
        yield made
    finally:
        tear_down(made)


def reason(rundir: RunDir) -> str:
    """Of a wait for a lab whose kubelet can do nothing."""
    gate = Gate(rundir, lambda _: None, {"kubelet": start_kubelet(rundir)})
    with pytest.raises(NotAppliedError) as raised:
        wait_in_force(rundir, 1, gate, limit=30)
    return str(raised.value)


def test_its_socket_can_not_be_made(rundir: RunDir) -> None:
    socket = rundir.path / channel.SOCKET_NAME
    socket.mkdir()
    said = reason(rundir)
    assert said.startswith("kubelet died: ")
    assert said.endswith(f"the container runtime did not start: Is a directory ({socket})")
