"""``lab watch`` when the lab goes meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.cli import watching
from testbed.emulation.rundir import RunDir
from testbed.operations.errors import OperationError


def test_a_lab_that_goes_ends_it_and_is_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with watching._until_gone(RunDir.of("away", tmp_path)):
        raise OperationError("its files can't be read")
    assert capsys.readouterr().out == "lab away is gone\n"


def test_what_fails_in_a_lab_that_stays_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_GOING", 0.05)
    rundir = RunDir.of("here", tmp_path)
    rundir.make()
    with pytest.raises(OperationError, match="no answer"), watching._until_gone(rundir):
        raise OperationError("no answer")
