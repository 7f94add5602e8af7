"""What the documents of a lab promise, worked out without any flow, and how a matrix is shown."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from testbed.model.desired import NetworkModel, Protocol
from testbed.model.kubernetes import (
    KubeServicePort,
    LabelSelector,
    NetworkPolicy,
    PolicyPeer,
    PolicyPort,
    PolicyRule,
    Service,
)
from testbed.model.planning import Ledger, Plan, plan_lab
from testbed.model.planning.observed import Observed
from testbed.observe.matrix.cloud import Traffic
from testbed.observe.matrix.expected import Expectations, Expected, Hope
from testbed.observe.matrix.look import Cell, Matrix
from testbed.observe.matrix.members import choose, find_members, find_services
from testbed.observe.matrix.policies import Policies
from testbed.observe.probes import Seen
from testbed.observe.verdicts import Verdict
from testbed.operations.errors import BadRequestError
from testbed.operations.loading import load_sources
from testbed.operations.sources import SourceText
from testbed.report.matrix import matrix_document, render_matrix
from testbed.report.matrix_html import render_html
from tests.unit.model.labs import HERE, lab, stateful_set

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = Path(__file__).parent / "golden"
PING, WEB = Traffic(Protocol.ICMP), Traffic(Protocol.TCP, 8080)
MARKS = {Hope.ALLOWED: ".", Hope.DENIED: "X", Hope.DEPENDS: "?"}


def planned(topology: str, model: str) -> Plan:
    """Every pod ready."""
    path = f"topologies/{topology}.yaml"
    text = (ROOT / path).read_text().replace("networkModel: tunnel", f"networkModel: {model}")
    wanted = load_sources([SourceText(path, text)]).lab
    first = plan_lab(wanted, Ledger(), 1, "userspace", 0.0)
    ready = frozenset(pod.uid for pod in first.pods)
    return plan_lab(wanted, first.ledger, 2, "userspace", 0.0, Observed(ready))


def expectations(plan: Plan) -> Expectations:
    return Expectations(plan.fabric, plan.clusters, Policies(plan.lab, plan.pods))


def expected_text(plan: Plan, traffic: Traffic) -> str:
    members = find_members(plan)
    hopes = expectations(plan)
    lines = [f"{traffic}, to: {', '.join(one.word for one in members)}"]
    for source in members:
        marks = (MARKS[hopes.one(source, one, traffic).hope] if source != one else "-" for one in members)
        lines.append(f"{source.word:<14}{' '.join(marks)}")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("model", ["tunnel", "vpc", "eni"])
def test_promises_of_a_whole_lab(model: str) -> None:
    plan = planned("peered", model)
    text = expected_text(plan, PING) + expected_text(plan, WEB)
    assert text == (GOLDEN / f"matrix-peered-{model}.txt").read_text()


def service(name: str, app: str, **changes: Any) -> Service:
    ports = (KubeServicePort(80, "8080"),)
    values: dict[str, Any] = {"type": "ClusterIP", "selector": (("app", app),), "ports": ports, "source": HERE}
    return Service(namespace="default", name=name, cluster="c1", **values | changes)


def test_services_are_as_good_as_their_endpoints() -> None:
    """web-0 is the only pod that is chosen; the node of web-1 has none."""
    wanted = lab(
        NetworkModel.VPC,
        stateful_sets=(stateful_set("web", 1, node_name="node-1"), stateful_set("other", 1, node_name="node-2")),
        services=(service("web", "web"), service("here", "web", internal_traffic_policy="Local"), service("none", "x")),
    )
    other = replace(wanted.stateful_sets[1].template, labels=(("app", "other"),))
    wanted = replace(wanted, stateful_sets=(wanted.stateful_sets[0], replace(wanted.stateful_sets[1], template=other)))
    first = plan_lab(wanted, Ledger(), 1, "userspace", 0.0)
    plan = plan_lab(wanted, first.ledger, 2, "userspace", 0.0, Observed(frozenset(pod.uid for pod in first.pods)))
    hopes = expectations(plan)
    sources = {one.word: one for one in find_members(plan)}
    services = {one.word: one for one in find_services(plan.clusters)}

    def hope(source: str, service: str) -> str:
        found = hopes.one(sources[source], services[f"svc/{service}:80"], PING)
        return found.reason or str(found.hope)

    assert [hope(name, "web") for name in ("web-0", "other-0", "node-2")] == ["allowed"] * 3
    assert hope("db", "web") == "cluster addresses are known inside of the cluster only"
    assert hope("web-0", "here") == "allowed"
    assert hope("other-0", "here") == "Service default/here has no ready endpoint on its node"
    assert hope("other-0", "none") == "Service default/none has no ready endpoint"


def test_a_denial_says_why() -> None:
    plan = planned("peered", "vpc")
    hopes = expectations(plan)
    named = {one.word: one for one in find_members(plan)}

    def reason(source: str, target: str) -> str:
        return hopes.one(named[source], named[target], WEB).reason

    assert reason("web-0", "vm-1") == "demo/nodes-only of vm-1 allows no TCP 8080 from 172.16.0.2"
    assert "no route to 172.16.0." in reason("web-0", "peer-vm")


def test_network_policies_isolate_pods_of_the_tunnel_only() -> None:
    only_web = PolicyRule((PolicyPeer(pods=LabelSelector((("app", "web"),))),), (PolicyPort(port="8080"),))
    policy = NetworkPolicy("default", "p", "c1", LabelSelector((("app", "db"),)), HERE, ingress=(only_web,))
    database = stateful_set("db", 1)
    database = replace(database, template=replace(database.template, labels=(("app", "db"),)))
    for model, denied in ((NetworkModel.TUNNEL, True), (NetworkModel.VPC, False)):
        wanted = lab(model, network_policies=(policy,), stateful_sets=(stateful_set("web", 1), database))
        plan = plan_lab(replace(wanted, servers=()), Ledger(), 1, "userspace", 0.0)
        hopes, named = expectations(plan), {one.word: one for one in find_members(plan)}
        assert hopes.one(named["web-0"], named["db-0"], WEB).hope is Hope.ALLOWED
        assert hopes.one(named["db-0"], named["web-0"], PING).hope is Hope.ALLOWED
        assert hopes.one(named["node-1"], named["db-0"], PING).hope is Hope.ALLOWED
        ping = hopes.one(named["web-0"], named["db-0"], PING)
        assert (ping.hope is Hope.DENIED) is denied
        assert ("NetworkPolicy p of db-0 allows no ICMP" in ping.reason) is denied


def test_policies_by_address_leave_out_what_is_excepted() -> None:
    inside, out = IPv4Network("172.16.0.0/16"), IPv4Network("172.16.0.32/28")
    rule = PolicyRule((PolicyPeer(cidr=inside, excepted=(out,)),), ())
    policy = NetworkPolicy("default", "p", "c1", LabelSelector(), HERE, egress=(rule,))
    wanted = lab(NetworkModel.TUNNEL, network_policies=(policy,))
    plan = plan_lab(wanted, Ledger(), 1, "userspace", 0.0)
    hopes, members = expectations(plan), find_members(plan)
    pods = [one for one in members if one.kind == "pod"]
    for one in pods:
        for other in pods:
            if one != other:
                assert (hopes.one(one, other, PING).hope is Hope.DENIED) is (other.address in out)
    server = next(one for one in members if one.kind == "server")
    assert hopes.one(pods[0], server, PING).hope is Hope.DENIED


def sample() -> Matrix:
    """Two pods and a server: one cell of each kind."""
    plan = plan_lab(lab(NetworkModel.TUNNEL), Ledger(), 1, "userspace", 0.0)
    members = choose(find_members(plan), ("web-0", "web-1", "db"))
    allowed, denied = Expected(Hope.ALLOWED, "172.16.0.16"), Expected(Hope.DENIED, reason="no way in")
    found = {"allowed": Seen(Verdict.ALLOWED), "dropped": Seen(Verdict.DROPPED, detail="no answer")}
    cells = {}
    for one in members:
        for other in members:
            if one != other:
                hope = denied if one.word == "db" else allowed
                seen = found["dropped" if "db" in (one.word, other.word) else "allowed"]
                cells[one.word, other.word] = Cell(one, other, WEB, hope, seen)
    return Matrix(members, members, WEB, cells, 2.04)


def test_a_matrix_is_read_at_a_glance_and_each_wrong_cell_has_its_trace() -> None:
    lines = [line.plain for line in render_matrix(sample())]
    assert lines[:5] == [
        "TCP 8080, 2.0 s: 2 wrong of 6",
        "        1 2 3",
        "1 web-0 - . !",
        "2 web-1 . - !",
        "3 db    X X -",
    ]
    assert "  ! web-0 -> db: expected allowed (source 172.16.0.16), seen dropped (no answer)" in lines
    assert "    lab trace web-0 db --proto tcp --port 8080" in lines


def test_many_receivers_stay_within_eighty_columns() -> None:
    matrix = sample()
    many = tuple(replace(matrix.targets[0], word=f"pod-{number}") for number in range(60))
    lines = [line.plain for line in render_matrix(replace(matrix, targets=many))]
    assert max(map(len, lines)) <= 80
    assert "60 pod-59" in lines


def test_a_matrix_for_programs_and_as_a_page() -> None:
    document = matrix_document(sample())
    assert (document["wrong"], document["of"]) == (2, 6)
    marks = {(cell["source"], cell["target"]): cell["mark"] for cell in document["cells"]}
    assert (marks["web-0", "web-1"], marks["db", "web-0"], marks["web-1", "db"]) == (".", "X", "!")
    page = render_html("demo", sample())
    assert page.count('class="wrong"') == 2
    assert "http" not in page
    assert "lab trace web-0 db" in page


def test_a_name_that_is_not_there_is_refused_with_the_nearest() -> None:
    members = sample().sources
    assert [one.word for one in choose(members, ("web-*",))] == ["web-0", "web-1"]
    with pytest.raises(BadRequestError, match="did you mean web-0"):
        choose(members, ("webb-0",))
    services = find_services(planned("services", "tunnel").clusters)
    assert [one.word for one in choose(services, ("svc/web",))] == ["svc/web:80", "svc/web:9000", "svc/web:53/udp"]
    assert [one.word for one in choose(services, ("svc/web:80",))] == ["svc/web:80"]
