"""What ``lab trace`` says of each way of access is what real packets find, in every network model."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address

import pytest

from testbed.emulation.rundir import RunDir
from testbed.observe import probes
from testbed.observe.status import View
from testbed.observe.trace.live import confirm
from testbed.observe.trace.naming import read_question
from testbed.observe.trace.results import Question, Trace
from testbed.observe.trace.tracer import tracing
from testbed.observe.verdicts import Verdict
from testbed.operations import verbs
from testbed.scenario import RunningLab
from testbed.scenario.registry import ROOT

pytestmark = pytest.mark.root

SOURCES = ("client-1", "client-3", "web-0", "n1", "n3", "vm-1", "peer-vm", "inet")
"""Pods on a node with an endpoint, on one without, and an endpoint; nodes alike; servers; the internet."""

TIMES = 4
"""Packets to where a choice is made among endpoints: each is judged by itself."""

TIMEOUT = 1.5

Finding = tuple[str, str]
"""Verdict, and the client's address as the server saw it ("" where none was seen)."""


@dataclass(frozen=True)
class Stage:
    lab: RunningLab
    targets: dict[str, tuple[IPv4Address, int]]


@pytest.fixture(scope="module", params=["tunnel", "vpc", "eni"])
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    model: str = request.param
    text = (ROOT / "topologies/services.yaml").read_text().replace("networkModel: tunnel", f"networkModel: {model}")
    path = tmp_path_factory.mktemp("spec") / "lab.yaml"
    path.write_text(text)
    rundir = RunDir.of(f"trace-{secrets.token_hex(4)}")
    try:
        verbs.up((str(path),), rundir)
        lab = RunningLab(rundir, model)
        lab.wait_ready()
        yield Stage(lab, targets(lab))
    finally:
        if rundir.exists:
            verbs.down(rundir, lock_limit=30.0)


def targets(lab: RunningLab) -> dict[str, tuple[IPv4Address, int]]:
    """Every way of access, and what nobody serves."""
    found = {
        "pod": (lab.pod("web-0").address, 8080),
        "ClusterIP": (lab.service("web").cluster_ip, 80),
        "ClusterIP without endpoints": (lab.service("empty").cluster_ip, 80),
        "ClusterIP, endpoints of the node only": (lab.service("inside").cluster_ip, 80),
        "NodePort of a node with the pod": (lab.node("n1").address, 30080),
        "NodePort of a node without": (lab.node("n3").address, 30080),
        "NodePort Local of a node with the pod": (lab.node("n1").address, 30081),
        "NodePort Local of a node without": (lab.node("n3").address, 30081),
        "NodePort by the node's EIP": ("198.51.100.11", 30080),
        "balancer, dedicated": (lab.host("elb-dedicated").address, 80),
        "balancer, shared": (lab.host("elb-shared").address, 80),
        "balancer, a port that it does not serve": (lab.host("elb-dedicated").address, 81),
        "balancer by its EIP": ("198.51.100.30", 80),
        "DNAT": ("198.51.100.20", 80),
        "server": (lab.host("vm-1").address, 8080),
        "internet": (lab.host("inet").address, 80),
    }
    return {name: (IPv4Address(address), port) for name, (address, port) in found.items()}


def test_trace_and_packets_agree_on_every_way_of_access(stage: Stage) -> None:
    view = View(stage.lab.rundir)
    cells = {
        (source, name): read_question(view, source, str(address), "tcp", port, "default")
        for source in SOURCES
        for name, (address, port) in stage.targets.items()
    }
    with tracing(view) as tracer:
        traced = {cell: tracer.trace(question) for cell, question in cells.items()}
    with ThreadPoolExecutor(32) as threads:
        found = threads.map(lambda cell: send(stage.lab, cells[cell], traced[cell]), cells)
        seen = dict(zip(cells, found, strict=True))
    wrong = {cell: (said(traced[cell]), one) for cell, one in seen.items() if not one <= said(traced[cell])}
    assert wrong == {}
    assert {verdict for one in seen.values() for verdict, _ in one} == {"allowed", "refused", "dropped"}


def send(lab: RunningLab, question: Question, traced: Trace) -> set[Finding]:
    namespace = lab.rundir.namespace(question.namespace)
    times = TIMES if traced.others else 1
    seen = [probes.http(namespace, question.address, question.port, timeout=TIMEOUT) for _ in range(times)]
    return {(str(one.verdict), one.client) for one in seen}


def said(traced: Trace) -> set[Finding]:
    """Of each choice."""
    return {
        (str(one.verdict), one.seen_source if one.verdict is Verdict.ALLOWED else "")
        for one in (traced, *traced.others)
    }


@pytest.mark.parametrize(
    ("source", "target"),
    [("client-3", "ClusterIP"), ("vm-1", "NodePort of a node without"), ("inet", "balancer by its EIP")],
)
def test_a_real_packet_passes_where_the_trace_says(stage: Stage, source: str, target: str) -> None:
    address, port = stage.targets[target]
    view = View(stage.lab.rundir)
    question = read_question(view, source, str(address), "tcp", port, "default")
    with tracing(view) as tracer:
        _, confirmation = confirm(view.rundir, tracer.trace(question))
    assert confirmation.differences == ()
    assert len(confirmation.there) >= 3
