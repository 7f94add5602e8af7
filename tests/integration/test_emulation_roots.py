"""Roots that people try the lab in: a plain chroot, a ``/dev`` without devices."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from testbed.emulation.snapshot import take_snapshot
from tests.integration.emulation_lab import ROOT, clean, expect_unchanged, unique_lab

PLAIN_CHROOT = """
import os, sys
from testbed.emulation import syscalls
from testbed.emulation.mounts import own_mounts

def mounted():
    with open("/proc/self/mountinfo") as table:
        return [line.split()[4] for line in table if line.split()[4].endswith("/mine")]

child = os.fork()
if child == 0:
    os.chroot(sys.argv[1])
    os.chdir("/folder")
    own_mounts()
    assert os.getcwd() == "/folder", os.getcwd()
    syscalls.mount("tmpfs", "/mine", "tmpfs", 0)
    assert os.path.ismount("/mine")
    assert not os.path.exists("/etc"), "still inside"
    os._exit(0)
_, status = os.waitpid(child, 0)
assert status == 0
assert mounted() == []
"""

BARE_DEV = """
import os, sys
from pathlib import Path
from testbed.emulation import syscalls
from testbed.emulation.changes import plan_changes
from testbed.emulation.mounts import own_mounts
from testbed.emulation.realise import open_session
from testbed.emulation.rundir import RunDir
from testbed.emulation.state import Datapath
from testbed.emulation.synthetic import synthetic_wiring
from testbed.emulation.taps import TUN
from testbed.emulation.teardown import tear_down

own_mounts()
syscalls.mount("tmpfs", "/dev", "tmpfs", 0, "mode=755")
for name, minor in (("null", 3), ("urandom", 9)):
    os.mknod(f"/dev/{name}", 0o20666, os.makedev(1, minor))
assert not os.path.exists(TUN)

rundir = RunDir.of(sys.argv[1], Path(sys.argv[2]))
with open_session(rundir, Datapath.USERSPACE) as session:
    session.apply(plan_changes(synthetic_wiring(2, 4), session.found.wiring))
    session.settle(1, ())
tear_down(rundir)
assert not os.path.exists(TUN)
"""


def run(*command: str) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 0, done.stderr


def test_mounts_stay_private_in_a_root_that_is_no_mount_point(tmp_path: Path) -> None:
    for name in ("proc", "folder", "mine"):
        (tmp_path / name).mkdir()
    shared = ["unshare", "--mount", "--propagation", "shared", "--"]
    run(*shared, sys.executable, "-P", "-c", PLAIN_CHROOT, str(tmp_path))


def test_switches_find_tap_devices_where_dev_has_none(tmp_path: Path) -> None:
    with clean(unique_lab(tmp_path)) as rundir:
        before = take_snapshot(rundir.lab)
        run(sys.executable, "-P", "-c", BARE_DEV, rundir.lab, str(rundir.root))
        expect_unchanged(before, rundir.lab)
