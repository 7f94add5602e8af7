"""Roles of a lab that is compared: the same for the same workload, whatever its network model."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.emulation.errors import EmulationError
from testbed.model.planning.ledger import Ledger
from testbed.model.planning.plan import Plan, plan_lab
from testbed.observe.cast import choose_cast, plan_paths
from testbed.operations.loading import load_sources
from testbed.operations.models import MODELS, with_model
from testbed.operations.sources import SourceText
from tests.unit.cli.test_edits import remember

TOPOLOGIES = Path(__file__).resolve().parents[3] / "topologies"


def planned(name: str, model: str) -> tuple[Plan, tuple[SourceText, ...]]:
    sources = (SourceText(f"{name}.yaml", with_model((TOPOLOGIES / f"{name}.yaml").read_text(), model)),)
    return plan_lab(load_sources(sources).lab, Ledger(), 1, "userspace", 0.0), sources


@pytest.mark.parametrize("model", MODELS)
def test_everybody_has_a_role(model: str) -> None:
    plan, sources = planned("services", model)
    cast = choose_cast(remember(sources))
    assert cast.near is not None
    assert cast.far is not None
    assert (cast.client.node, cast.near.node, cast.far.node) == ("n1", "n1", "n2")
    assert cast.server is not None
    assert cast.server.name == "vm-1"
    titles = [path.title for path in plan_paths(cast, plan.fabric, plan.clusters)]
    assert {"pod to pod on one node", "pod to pod on another node", "VPC server to pod"} <= set(titles)


def test_a_lab_without_pods_can_not_be_compared() -> None:
    _, sources = planned("cloud", "tunnel")
    with pytest.raises(EmulationError, match="add a Deployment or a Pod"):
        choose_cast(remember(sources))
