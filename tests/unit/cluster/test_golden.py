"""Every flow of a small cluster, as text. The files are reviewed by people: see ``golden/README.md``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from controllers.cluster import compile_cluster
from controllers.openflow.render import render_program
from testbed.model.desired import NetworkModel
from tests.unit.cluster import states

GOLDEN = Path(__file__).parent / "golden"
BRIDGES = {"n1-br-ex": states.EX1, "n1-br-int": states.INT1, "n2-br-int": states.INT2}


@pytest.mark.parametrize("bridge", ["n1-br-ex", "n1-br-int"])
@pytest.mark.parametrize("model", list(NetworkModel))
def test_flows_of_services_are_as_reviewed(model: NetworkModel, bridge: str) -> None:
    """Only what Services add to the same cluster without any."""
    plain = set(render_program(compile_cluster(states.state(model))[BRIDGES[bridge]]).splitlines())
    state = states.state(model, services=states.services(model))
    found = render_program(compile_cluster(state)[BRIDGES[bridge]]).splitlines()
    expect_golden(f"{model}-{bridge}-services", "\n".join(line for line in found if line not in plain) + "\n")


@pytest.mark.parametrize("bridge", BRIDGES)
@pytest.mark.parametrize("model", list(NetworkModel))
def test_flows_are_as_reviewed(model: NetworkModel, bridge: str) -> None:
    expect_golden(f"{model}-{bridge}", render_program(compile_cluster(states.state(model))[BRIDGES[bridge]]))


def expect_golden(name: str, found: str) -> None:
    path = GOLDEN / f"{name}.flows"
    if os.environ.get("GOLDEN_WRITE"):
        path.write_text(found, encoding="utf-8")
    assert found == path.read_text(encoding="utf-8")
