"""What ``lab trace`` says of each way of access, and what ``lab matrix`` expects, is what real packets find."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from testbed.emulation.rundir import RunDir
from testbed.model.desired import Protocol
from testbed.observe import probes
from testbed.observe.matrix.cloud import Traffic
from testbed.observe.matrix.expected import Expectations
from testbed.observe.matrix.look import Mark, look
from testbed.observe.matrix.members import find_members, find_services
from testbed.observe.matrix.policies import Policies
from testbed.observe.status import View
from testbed.observe.trace.live import confirm
from testbed.observe.trace.naming import read_question
from testbed.observe.trace.results import Question, Request, Trace
from testbed.observe.trace.tracer import tracing
from testbed.observe.verdicts import Verdict
from testbed.operations import verbs
from testbed.scenario import RunningLab
from testbed.scenario.registry import ROOT
from tests.limits import LIMIT

pytestmark = pytest.mark.root

SOURCES = ("client-1", "client-3", "web-0", "n1", "n3", "vm-1", "peer-vm", "inet")
"""Pods on a node with an endpoint, on one without, and an endpoint; nodes alike; servers; the internet."""

TIMES = 4
"""Packets to where a choice is made among endpoints: each is judged by itself."""

TIMEOUT = 1.5

Finding = tuple[str, str]
"""Verdict, and the client's address as the server saw it ("" where none was seen)."""


INGRESS = """
apiVersion: cnlab.dev/v1
kind: LoadBalancer
metadata: {name: elb-http}
spec: {subnet: servers, class: dedicated}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: front
  annotations: {kubernetes.io/elb.id: elb-http}
spec:
  ingressClassName: cce
  rules:
  - host: shop.test
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: node-port, port: {number: 80}}}}]}
"""


@dataclass(frozen=True)
class Stage:
    lab: RunningLab
    targets: dict[str, str]


@pytest.fixture(scope="module", params=["tunnel", "vpc", "eni", "vpc, ipvs"])
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    model, _, proxy = request.param.partition(", ")
    wanted = f"networkModel: {model}\n  kubeProxyMode: {proxy or 'iptables'}"
    text = (ROOT / "topologies/services.yaml").read_text().replace("networkModel: tunnel", wanted)
    path = tmp_path_factory.mktemp("spec") / "lab.yaml"
    path.write_text(text)
    rundir = RunDir.of(f"trace-{secrets.token_hex(4)}")
    try:
        verbs.up((str(path),), rundir)
        lab = RunningLab(rundir, model)
        lab.apply(INGRESS)
        lab.wait_ready()
        yield Stage(lab, targets(lab))
    finally:
        if rundir.exists:
            verbs.down(rundir, lock_limit=LIMIT)


def targets(lab: RunningLab) -> dict[str, str]:
    """Every way of access, and what nobody serves, as a user would say it."""
    return {
        "pod": "web-0",
        "ClusterIP": "svc/web",
        "ClusterIP without endpoints": "svc/empty",
        "ClusterIP, endpoints of the node only": "svc/inside",
        "NodePort of a node with the pod": "n1:30080",
        "NodePort of a node without": "n3:30080",
        "NodePort Local of a node with the pod": "n1:30081",
        "NodePort Local of a node without": "n3:30081",
        "NodePort by the node's EIP": "eip/for-n1:30080",
        "balancer, dedicated": "elb-dedicated",
        "balancer, shared": "elb-shared",
        "balancer, a port that it does not serve": "elb-dedicated:81",
        "balancer by its EIP": "eip/for-elb",
        "DNAT": "for-dnat",
        "Ingress": "ing/front",
        "Ingress, a host without a rule": "ing/front other.test",
        "ping to a pod": "web-0/icmp",
        "ping to a ClusterIP": "svc/web/icmp",
        "ping to a gateway": "192.168.1.1/icmp",
        "server": "vm-1",
        "internet": "inet:80",
    }


def ask(view: View, source: str, target: str) -> Question:
    """``n1:30080``, ``ing/front other.test``, ``web-0/icmp``."""
    if target.endswith("/icmp"):
        return read_question(view, source, target.removesuffix("/icmp"), "icmp", 0, "default")
    word, _, host = target.partition(" ")
    word, _, port = word.partition(":")
    return read_question(view, source, word, "tcp", int(port or 0), "default", Request(host) if host else None)


def test_trace_and_packets_agree_on_every_way_of_access(stage: Stage) -> None:
    view = View(stage.lab.rundir)
    cells = {(source, name): ask(view, source, target) for source in SOURCES for name, target in stage.targets.items()}
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
    servers = traced.relay.servers if traced.relay else ()
    chosen = traced.others or len(servers) > 1 or any(server.others for server in servers)
    if question.protocol == "icmp":
        return {_finding(probes.ping(namespace, question.address, TIMEOUT))}
    wanted = question.request or Request("")
    seen = [
        probes.http(namespace, question.address, question.port, wanted.path, wanted.host, TIMEOUT)
        for _ in range(TIMES if chosen else 1)
    ]
    return {_finding(one) for one in seen}


def _finding(seen: probes.Seen) -> Finding:
    """What a proxy says of its own is a refusal."""
    own = seen.detail.partition(" ")[2][:3] in ("404", "503") and not seen.server
    return (str(Verdict.REFUSED if own else seen.verdict), seen.client)


def said(traced: Trace) -> set[Finding]:
    """Of each choice, those of a proxy among them."""
    ends = [end for one in (traced, *traced.others) for end in (one.relay.servers if one.relay else ()) or (one,)]
    return {
        (str(one.verdict), one.seen_source if one.verdict is Verdict.ALLOWED and one.question.port else "")
        for end in ends
        for one in (end, *end.others)
    }


@pytest.mark.parametrize("traffic", [Traffic(Protocol.ICMP), Traffic(Protocol.TCP, 8080)], ids=str)
def test_what_the_documents_promise_is_what_packets_find(stage: Stage, traffic: Traffic) -> None:
    view = View(stage.lab.rundir)
    expectations = Expectations(view.fabric, view.clusters, Policies(view.memory.lab, view.memory.pods))
    members = find_members(view.memory)
    found = look(view.rundir, expectations, members, (*members, *find_services(view.clusters)), traffic)
    assert {(cell.source.word, cell.target.word): (cell.expected, cell.seen) for cell in found.wrong} == {}
    assert {cell.mark for cell in found.cells.values()} == {Mark.ALLOWED, Mark.DENIED}


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("client-3", "ClusterIP"),
        ("vm-1", "NodePort of a node without"),
        ("inet", "balancer by its EIP"),
        ("peer-vm", "Ingress"),
    ],
)
def test_a_real_packet_passes_where_the_trace_says(stage: Stage, source: str, target: str) -> None:
    view = View(stage.lab.rundir)
    with tracing(view) as tracer:
        _, confirmation = confirm(view.rundir, tracer.trace(ask(view, source, stage.targets[target])))
    assert confirmation.differences == ()
    assert len(confirmation.there) >= 3
