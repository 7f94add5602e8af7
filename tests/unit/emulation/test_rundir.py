from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from testbed.emulation.errors import BadNameError, EmulationError, LabBusyError, NoSuchLabError, NotOursError
from testbed.emulation.lock import locked
from testbed.emulation.rundir import RunDir, list_labs, run_root, write_atomically


@pytest.mark.parametrize("name", ["", "..", "a/b", "-rf", "a;b", "A", "a" * 41, "a\n", "$(id)", "%s", "a\0"])
def test_a_name_that_could_be_a_path_or_an_option_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(EmulationError):
        RunDir.of(name, tmp_path)


@pytest.mark.parametrize("name", ["..", "a/b", "-n", "a;b", "", "a b", "`id`", "x\0", "a..b"])
def test_a_part_that_could_be_a_path_or_an_option_is_refused(name: str, tmp_path: Path) -> None:
    rundir = RunDir.of("lab", tmp_path)
    parts = (rundir.namespace, rundir.config, partial(rundir.container_log, "web-0"))
    for part in parts:
        with pytest.raises(BadNameError, match="can't be part of a path"):
            part(name)


def test_a_program_that_is_given_the_directory_finds_the_same_lab(tmp_path: Path) -> None:
    rundir = RunDir.of("lab", tmp_path)
    assert RunDir.at(rundir.path) == rundir


def test_directories_are_private(tmp_path: Path) -> None:
    rundir = RunDir.of("lab", tmp_path / "root")
    rundir.make()
    rundir.make()
    for path in (rundir.root, rundir.path, rundir.control, rundir.logs, rundir.netns):
        assert path.stat().st_mode & 0o777 == 0o700
    assert list_labs(rundir.root) == ("lab",)


def test_a_link_in_the_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "lab").symlink_to("elsewhere")
    with pytest.raises(NotOursError):
        RunDir.of("lab", tmp_path).make()


def test_the_root_can_be_replaced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CNLAB_RUN_ROOT", str(tmp_path))
    assert run_root() == tmp_path


def test_a_file_for_every_reader_is_one_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_atomically(tmp_path / "hosts", "127.0.0.1 localhost", 0o644)
    finally:
        os.umask(before)
    assert (tmp_path / "hosts").stat().st_mode & 0o777 == 0o644


def test_an_interrupted_write_leaves_the_old_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state"
    write_atomically(path, "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


HOLD = """
import sys, time
from pathlib import Path
from testbed.emulation.lock import locked
from testbed.emulation.rundir import RunDir
with locked(RunDir.of("lab", Path(sys.argv[1]))):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_second_user_is_told_who_the_first_is(tmp_path: Path) -> None:
    rundir = RunDir.of("lab", tmp_path)
    rundir.make()
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(LabBusyError, match=f"process {holder.pid}"), locked(rundir):
            pass
    finally:
        holder.kill()
        holder.wait()
        assert holder.stdout is not None
        holder.stdout.close()
    with locked(rundir):
        pass  # a killed holder holds nothing


def test_a_lock_on_a_removed_lab_is_none(tmp_path: Path) -> None:
    with pytest.raises(NoSuchLabError), locked(RunDir.of("lab", tmp_path)):
        pass
