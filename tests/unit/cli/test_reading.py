"""get, describe, status and graph on labs that are only planned: their documents are there, nothing runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from testbed.cli.errors import run
from testbed.emulation.rundir import RunDir
from testbed.model.planning.ledger import Ledger
from testbed.model.planning.plan import plan_lab
from testbed.observe.status_resources import RESOURCES
from testbed.operations.documents import write_plan
from testbed.operations.loading import load_sources, read_sources
from testbed.operations.memory import write_memory
from testbed.operations.sources import SourceText
from tests.unit.cli.test_edits import remember

TOPOLOGIES = sorted((Path(__file__).resolve().parents[3] / "topologies").glob("*.yaml"))

TRAFFIC = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: only-web}
spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop}
spec:
  rules:
  - host: shop.example
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}
"""


def planned(root: Path, sources: tuple[SourceText, ...]) -> None:
    """A lab called ``planned`` in the run root ``root``."""
    rundir = RunDir.of("planned", root)
    rundir.make()
    plan = plan_lab(load_sources(sources).lab, Ledger(), 1, "userspace", 0.0)
    write_plan(rundir, plan)
    write_memory(rundir, remember(sources))


def lab(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        run(list(arguments))
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CNLAB_RUN_ROOT", str(tmp_path / "run"))
    return tmp_path / "run"


@pytest.mark.parametrize("topology", TOPOLOGIES, ids=lambda path: path.stem)
def test_every_kind_of_every_example_is_listed_and_described(
    root: Path, topology: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    planned(root, read_sources((str(topology),)))
    for resource in RESOURCES:
        plural = resource.kind.plural
        assert lab("get", plural, "-A", "-o", "wide") == 0
        table = capsys.readouterr().out.splitlines()
        assert lab("get", plural, "-A", "-o", "json") == 0
        document = json.loads(capsys.readouterr().out)
        items = document["items"] if document.get("kind") == "List" else [document]
        assert len(items) == max(0, len(table) - 1), plural
        for item in items[:3]:
            assert item["kind"] == resource.kind.name
            namespace = item["metadata"].get("namespace", "default")
            assert lab("describe", f"{plural}/{item['metadata']['name']}", "-n", namespace) == 0
            assert capsys.readouterr().out.startswith("Name:")
    assert lab("graph", "--format", "svg") == 0
    assert capsys.readouterr().out.startswith("<svg")


def test_traffic_and_its_rules(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    demo = read_sources((str(next(path for path in TOPOLOGIES if path.stem == "demo")),))
    planned(root, (*demo, SourceText("traffic.yaml", TRAFFIC)))
    assert lab("get", "svc,eps,ing,netpol", "-o", "wide") == 0
    shown = capsys.readouterr().out
    for expected in (
        "service/web",
        "80/TCP",
        "endpointslice/web:http",
        "shop.example/ (Prefix) -> web:80",
        "ingress 1 rules",
    ):
        assert expected in shown


WITH_EIP = """
apiVersion: cnlab.dev/v1
kind: Cluster
metadata: {name: demo}
spec: {networkModel: eni, dns: false, nodePools: [{name: n, count: 1}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, annotations: {yangtse.io/pod-with-eip: "true"}}
spec: {containers: [{name: c, image: echo}]}
"""


def test_a_pods_elastic_ip_is_told_by_annotation(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    planned(root, (SourceText("eip.yaml", WITH_EIP),))
    assert lab("get", "pod", "web", "-o", "json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["metadata"]["annotations"] == {
        "cnlab.dev/source": "eip.yaml:9",
        "yangtse.io/allocated-ipv4-eip": "198.51.100.1",
        "yangtse.io/pod-with-eip": "true",
    }
    assert shown["status"]["securityGroups"] == ["demo-cce-eni"]


def test_a_lab_of_which_nothing_runs_is_not_well(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    planned(root, read_sources((str(TOPOLOGIES[0]),)))
    assert lab("status") == 1
    shown = capsys.readouterr().out
    assert "fabric does not run" in shown
    assert "lab up" in shown


def test_a_lab_that_never_came_up_is_said_so(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    RunDir.of("half", root).make()
    assert lab("get", "pods") == 1
    assert "lab half has not come up (yet)" in capsys.readouterr().err


def test_names_and_words_that_are_not_there(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    planned(root, read_sources((str(TOPOLOGIES[0]),)))
    assert lab("get", "pods", "nosuch") == 2
    assert lab("get", "pood") == 2
    assert lab("describe", "srv/nosuch") == 2
    assert lab("flows", "nosuch") == 2
    shown = capsys.readouterr().err
    assert "there is no pod nosuch in namespace default" in shown
    assert "did you mean" in shown
    assert "there is no switch nosuch; there are: fabric" in shown


def test_an_elastic_ip_says_what_it_is_for(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """NAT gateways are named by their rules: an elastic IP is not bound to one."""
    planned(root, read_sources((str(next(path for path in TOPOLOGIES if path.stem == "services")),)))
    assert lab("get", "eip") == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows == [
        ["NAME", "ADDRESS", "FOR"],
        ["for-n1", "198.51.100.11", "Node/n1"],
        ["for-dnat", "198.51.100.20", "NatGateway/nat"],
        ["for-elb", "198.51.100.30", "LoadBalancer/elb-dedicated"],
    ]
