"""A change of a running lab sends what changed and nothing else, and connections that it does not concern survive."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from testbed.emulation.jsonrpc import JsonRpc
from testbed.emulation.rundir import RunDir
from testbed.observe.verdicts import Verdict
from testbed.operations import verbs
from testbed.operations.waiting import read_status
from testbed.scenario import RunningLab
from testbed.scenario.registry import ROOT
from tests.limits import LIMIT

pytestmark = pytest.mark.root

EIP = """
apiVersion: cnlab.dev/v1
kind: ElasticIP
metadata: {name: for-n2}
spec: {address: 198.51.100.77, boundTo: {node: n2}}
"""

UNBOUND_EIP = """
apiVersion: cnlab.dev/v1
kind: ElasticIP
metadata: {name: for-n2}
spec: {address: 198.51.100.77}
"""

MORE_RULES = """
apiVersion: cnlab.dev/v1
kind: SecurityGroup
metadata: {name: open}
spec:
  vpc: demo
  ingress:
  - {}
  - {protocol: tcp, ports: 9999, cidr: 10.0.0.0/8}
"""

ANOTHER_RULE = MORE_RULES.replace("9999", "9998")

OTHER_ROUTE = """
apiVersion: cnlab.dev/v1
kind: RouteTable
metadata: {name: far-main}
spec: {vpc: far, default: true, routes: []}
"""

MANY = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: many}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: many}}}}
  template:
    metadata: {{labels: {{app: many}}}}
    spec:
      nodeName: n1
      containers: [{{name: pause, image: pause}}]
"""

SMALL_CHANGE = 40
"""Most messages to any switch for a change of one object; the whole fabric program is some hundred flows."""


@pytest.fixture(scope="module", params=["tunnel", "vpc", "eni"])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLab]:
    model: str = request.param
    text = (ROOT / "topologies/peered.yaml").read_text().replace("networkModel: tunnel", f"networkModel: {model}")
    path = tmp_path_factory.mktemp("spec") / "lab.yaml"
    path.write_text(text)
    rundir = RunDir.of(f"test-{secrets.token_hex(4)}")
    try:
        verbs.up((str(path),), rundir)
        running = RunningLab(rundir, model)
        running.wait_ready()
        yield running
    finally:
        if rundir.exists:
            verbs.down(rundir, lock_limit=LIMIT)


def sent(lab: RunningLab) -> int:
    return sum((read_status(lab.rundir, name) or {})["messages_sent"] for name in ("fabric", "cluster"))


@pytest.mark.parametrize(
    ("before", "change"),
    [("", EIP), (EIP, UNBOUND_EIP), ("", MORE_RULES), ("", OTHER_ROUTE)],
    ids=["eip", "no eip", "rule", "no route"],
)
def test_unconcerned_connections_survive_and_little_is_sent(lab: RunningLab, before: str, change: str) -> None:
    if before:
        lab.apply(before)
    pod, distant = lab.pods("app=web", node="n1")[0], lab.pods("app=web", node="n2")[0]
    node, server = lab.node("n1"), lab.host("vm-2")
    with pod.connection(distant.address, 8080) as one, node.connection(server.address, 8080) as other:
        assert one.alive()
        assert other.alive()
        sent_before = sent(lab)
        lab.apply(change)
        assert 0 < sent(lab) - sent_before <= SMALL_CHANGE
        assert one.alive(), one.state
        assert other.alive(), other.state


def test_what_switches_decided_before_a_change_is_forgotten(lab: RunningLab) -> None:
    if lab.memory.datapath != "userspace":
        pytest.skip("the kernel's datapath corrects what it has decided")
    server = lab.host("vm-2")
    assert lab.node("n1").tcp(server.address, 8080).verdict == Verdict.ALLOWED
    assert decided(lab, f"dst={server.address}")
    lab.apply(ANOTHER_RULE)
    assert not decided(lab, f"dst={server.address}")


def decided(lab: RunningLab, what: str) -> list[str]:
    """Lines of all switches' caches."""
    lines: list[str] = []
    for socket in lab.rundir.path.glob("ovs/*/ovs-vswitchd.ctl"):
        with JsonRpc(socket) as control:
            lines += str(control.call("dpctl/dump-flows")).splitlines()
    return [line for line in lines if what in line]


def test_scaling_and_a_new_node_leave_connections_alone(lab: RunningLab) -> None:
    pod, distant = lab.pods("app=web", node="n1")[0], lab.pods("app=web", node="n2")[0]
    with pod.connection(distant.address, 8080) as connection:
        assert connection.alive()
        lab.scale("statefulset", "web", 6)
        assert connection.alive(), connection.state
        lab.set_cluster("nodePools: [{name: node, names: [n1, n2, n3]}]")
        assert connection.alive(), connection.state
        lab.set_cluster("nodePools: [{name: node, names: [n1, n2]}]")
        assert connection.alive(), connection.state
        lab.scale("statefulset", "web", 4)
        assert connection.alive(), connection.state


def test_drained_addresses_leave_connections_alone(lab: RunningLab) -> None:
    """More pods than one block of the tunnel network or one flavour of the eni model has addresses for."""
    pod, distant = lab.pods("app=web", node="n1")[0], lab.pods("app=web", node="n2")[0]
    with pod.connection(distant.address, 8080) as connection:
        assert connection.alive()
        lab.apply(MANY.format(replicas=20))
        assert bool(lab.pending()) == (lab.model == "eni"), lab.pending()
        blocks = len(lab.memory.nodes[0].blocks)
        assert blocks == {"tunnel": 2, "vpc": 1, "eni": 0}[lab.model]
        assert connection.alive(), connection.state
        lab.apply(MANY.format(replicas=0))
        assert connection.alive(), connection.state


def test_applying_the_same_again_sends_nothing(lab: RunningLab) -> None:
    lab.apply(MORE_RULES)
    before = sent(lab)
    lab.apply(MORE_RULES)
    assert sent(lab) == before
