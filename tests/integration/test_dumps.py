"""Flow dumps of a running lab by Open vSwitch's own program are readable: tables have names."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator

import pytest

from testbed.emulation.rundir import RunDir
from testbed.model import tables
from testbed.operations import verbs
from testbed.scenario.registry import ROOT
from tests.limits import LIMIT

pytestmark = pytest.mark.root

BRIDGES = {"fabric/vpc": tables.VPC, "node-1/br-ex": tables.BR_EX, "node-1/br-int": tables.BR_INT}


@pytest.fixture(scope="module")
def rundir() -> Iterator[RunDir]:
    lab = RunDir.of(f"test-{secrets.token_hex(4)}")
    try:
        verbs.up((str(ROOT / "topologies/minimal.yaml"),), lab)
        yield lab
    finally:
        if lab.exists:
            verbs.down(lab, lock_limit=LIMIT)


@pytest.mark.parametrize("where", BRIDGES)
def test_dumps_name_tables_as_the_pipeline_does(rundir: RunDir, where: str) -> None:
    host, _, bridge = where.partition("/")
    socket = f"unix:{rundir.ovs(host)}/{bridge}.mgmt"
    command = ("ovs-ofctl", "--names", "--protocols=OpenFlow14", "dump-flows", socket)
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    shown = {line.partition(" table=")[2].partition(",")[0].strip('"') for line in lines if " table=" in line}
    assert shown
    assert shown <= set(BRIDGES[where])
