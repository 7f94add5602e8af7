"""The example labs load, without a warning."""

from pathlib import Path

import pytest

from testbed.spec import load_lab

TOPOLOGIES = sorted((Path(__file__).parents[3] / "topologies").glob("*.yaml"))


@pytest.mark.parametrize("path", TOPOLOGIES, ids=lambda path: path.stem)
def test_example_loads(path):
    assert load_lab([path]).warnings == ()


def test_demo_has_what_it_says():
    lab = load_lab([p for p in TOPOLOGIES if p.stem == "demo"]).lab
    assert [pool.node_names for pool in lab.clusters[0].pools] == [("n1", "n2")]
    assert lab.deployments[0].replicas + lab.stateful_sets[0].replicas == 6
    assert [server.name for server in lab.servers] == ["vm-1"]
    assert [host.name for host in lab.internet_hosts] == ["inet"]
