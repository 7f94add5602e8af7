"""Where the controllers listen."""

from __future__ import annotations

import contextlib
import stat
from pathlib import Path

import pytest

import controllers.app  # noqa: F401 - it prepares what Ryu needs of eventlet
from controllers.openflow.wire import AlreadyRunningError, listen


def test_a_path_may_be_longer_than_an_address_and_is_taken_once(tmp_path: Path) -> None:
    path = tmp_path / ("long-" * 30) / "fabric.sock"
    path.parent.mkdir()
    path.write_text("left by a crash")
    with contextlib.closing(listen(path)):
        assert stat.S_ISSOCK(path.stat().st_mode)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with pytest.raises(AlreadyRunningError, match=f"another controller listens on {path}"):
            listen(path)
