"""Documents: JSON for everybody, and Services' ports known again by their line."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

from testbed.model.codec import from_plain, to_plain
from testbed.model.desired import (
    ClustersState,
    ClusterState,
    NetworkModel,
    Protocol,
    ServiceEndpoint,
    ServicePort,
    load_state,
)
from testbed.model.document import render_document


def port(number: int, endpoints: int = 2) -> ServicePort:
    there = tuple(
        ServiceEndpoint(IPv4Address(f"10.0.{number}.{last}"), 8080, "n1", f"Pod/default/p{last}")
        for last in range(1, endpoints + 1)
    )
    return ServicePort(f"default/s{number}", "http", Protocol.TCP, 80, there, f"Service/default/s{number}")


def state(*services: ServicePort) -> ClustersState:
    one = ClusterState("c1", NetworkModel.TUNNEL, 4097, (), "Cluster/c1", services=services)
    return ClustersState(7, (one, replace(one, name="c2", services=()), replace(one, name="c3", services=services[:1])))


def load(path: Path, wanted: ClustersState) -> ClustersState:
    path.write_text(render_document(wanted), encoding="utf-8")
    return load_state(ClustersState, path)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    for wanted in (state(), state(port(1)), state(port(1), port(2), port(3, endpoints=0))):
        assert load(tmp_path / "cluster.json", wanted) == wanted


def test_it_is_json_for_any_reader() -> None:
    wanted = state(port(1), port(2))
    assert json.loads(render_document(wanted)) == to_plain(wanted)
    assert from_plain(ClustersState, json.loads(render_document(wanted))) == wanted


def test_ports_that_stay_are_the_same_objects(tmp_path: Path) -> None:
    path = tmp_path / "cluster.json"
    before = load(path, state(port(1), port(2))).clusters[0].services
    after = load(path, state(port(1), port(2, endpoints=1))).clusters[0].services
    assert after[0] is before[0]
    assert after[1] != before[1]
