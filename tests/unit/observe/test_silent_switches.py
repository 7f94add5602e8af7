"""Switches that do not run: what was asked of them says so, and what to do. A lab that is only planned has none."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.emulation.errors import EmulationError
from testbed.observe import graph_details
from testbed.observe.flows import read_flows
from testbed.observe.status import View
from testbed.observe.tracked import read_tracked
from tests.unit.observe.views import view_of

NEXT = "lab status says whether it runs, lab up or apply starts it again"


@pytest.fixture
def view(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> View:
    names: dict[str, dict[str, list[str]]] = {"tables": {}, "cookies": {}}
    monkeypatch.setattr("testbed.observe.flows.read_names", lambda *_: names)
    return view_of("demo", "tunnel", tmp_path)


def test_flows_and_connections_of_a_switch_that_does_not_run(view: View) -> None:
    bridge = next(bridge for bridge in view.bridges if bridge.name == "br-int")
    with pytest.raises(EmulationError, match=rf"^{bridge.namespace}/br-int does not answer .*; {NEXT}$"):
        read_flows(view.rundir, bridge)
    with pytest.raises(EmulationError, match=rf"^the Open vSwitch of n1 does not answer .*; {NEXT}$"):
        list(read_tracked(view, "n1"))


def test_a_page_is_made_without_the_flows_of_a_switch_that_does_not_run(view: View) -> None:
    missing: list[str] = []
    found = graph_details._read(view, missing.append)
    assert len(missing) == len(view.bridges)
    assert all(text.endswith(NEXT) for text in missing)
    assert not found.flows
    assert "Node/n1" in found.hosts
