"""What a trace advises where a Service, or the lack of one, stopped the packet."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

import pytest

from testbed.observe.status import View
from testbed.observe.trace.advice import advise
from testbed.observe.trace.advice_services import advise_balance, advise_no_rule, explain_refusal
from testbed.observe.trace.machine import Machine
from testbed.observe.trace.naming import read_question
from testbed.observe.trace.packet import Packet
from testbed.observe.trace.results import STRANGER, Decision, Hop, HopKind, Outcome, Question, Request, Way
from tests.unit.observe.views import view_of

CLIENT = IPv4Address("192.168.1.4")
NOTHING = "nothing listens on it"


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> View:
    return view_of("services", "tunnel", tmp_path_factory.mktemp("run"))


def address(view: View, service: str) -> IPv4Address:
    (cluster,) = view.clusters.clusters
    return next(port.cluster_ip for port in cluster.services if port.service == service and port.cluster_ip)


def node(view: View, name: str) -> IPv4Address:
    return next(node.address for node in view.memory.nodes if node.name == name)


def advised(view: View, destination: IPv4Address, port: int, protocol: str = "tcp") -> str:
    return advise_balance(view, Packet(protocol, CLIENT, destination, 40000, port), "n3")


def refused(view: View, host: str, to: IPv4Address, port: int, *decisions: Decision) -> tuple[str, str]:
    packet = Packet("tcp", CLIENT, to, 40000, port)
    hop = Hop(f"{host}/br-int", HopKind.SWITCH, "", "", decisions, packet, packet, host)
    way = Way((hop,), Outcome.REFUSED, packet, host, NOTHING)
    return explain_refusal(view, Question("vm-1", "vm-1", "it", to, "tcp", port), way, NOTHING)


def test_a_local_policy_names_the_node_and_the_way_out(view: View) -> None:
    wanted = "a ready endpoint of Service default/node-local on n3, or externalTrafficPolicy: Cluster"
    assert advised(view, node(view, "n3"), 30081) == wanted
    wanted = "a ready endpoint of Service default/inside on n3, or internalTrafficPolicy: Cluster"
    assert advised(view, address(view, "default/inside"), 80) == wanted


def test_a_port_that_a_service_does_not_have_lists_those_that_it_has(view: View) -> None:
    web = address(view, "default/web")
    assert advised(view, web, 443) == "a port of Service default/web: 80/tcp, 9000/tcp, 53/udp"
    assert advised(view, web, 80, "udp") == "a port of Service default/web: 80/tcp, 9000/tcp, 53/udp"
    nobody = IPv4Address("10.247.9.9")
    assert advised(view, nobody, 80) == "a Service with the address 10.247.9.9; none has it"


def test_no_endpoint_is_said_in_the_services_words(view: View) -> None:
    decision = Decision("balance", "tcp 80: its cluster address, refuse", "Service/default/empty")
    reason, advice = refused(view, "n1", address(view, "default/empty"), 80, decision)
    assert reason == "Service default/empty has no ready endpoint"
    assert advice == "a ready pod with the label app=nobody; see: lab get pods -n default"


def test_a_node_port_of_nobody_lists_some_that_there_are(view: View) -> None:
    reason, advice = refused(view, "n3", node(view, "n3"), 30099)
    assert reason == "no Service has node port 30099"
    assert advice.startswith("one of the node ports that there are: 30080 (node-port), 30081 (node-local), ")
    assert advice.endswith(" and 1 more")


def test_a_host_says_what_it_serves(view: View) -> None:
    reason, advice = refused(view, "vm-1", CLIENT, 81)
    assert (reason, advice) == (NOTHING, "a port that vm-1 serves: 8080/tcp")
    assert refused(view, "n1", node(view, "n1"), 81) == (NOTHING, "")


def test_a_flow_of_nobody_has_to_go_and_nobody_else_is_missed(view: View) -> None:
    """The table alone does not say why: a stranger's flow may sit in any."""
    stranger = Decision("remote", f"{STRANGER} (cookie 0xbad)")
    missed = Decision("remote", "no node has this container address")
    web = next(pod.address for pod in view.memory.pods if pod.name == "web-1" and pod.address)
    assert "flow taken away" in stopped(view, web, stranger)
    assert stopped(view, web, missed) == ""
    nobody = IPv4Address("172.16.9.9")
    assert stopped(view, nobody, missed) == "a pod, node or server with the address 172.16.9.9; nobody has it"


def stopped(view: View, to: IPv4Address, decision: Decision) -> str:
    packet = Packet("icmp", CLIENT, to)
    hop = Hop("n1/br-int", HopKind.SWITCH, "", "", (decision,), packet, packet, "n1")
    way = Way((hop,), Outcome.DROPPED, packet, "n1", decision.why)
    return advise(Machine(view), Question("web-0", "web-0", "it", to, "icmp"), way)


def test_a_request_without_a_rule_lists_the_rules_that_there_are(tmp_path: Path) -> None:
    ingress = view_of("ingress", "tunnel", tmp_path)
    assert advise_no_rule(ingress, "elb", 80).startswith(
        "a rule for it in an Ingress of elb; there are: a.test/, near.test/, *.foo.com/, "
    )
    assert advise_no_rule(ingress, "other", 80) == "a rule for it in an Ingress of other"


@pytest.mark.parametrize(
    ("target", "asked", "host"),
    [("ing/hosts", "", "a.test"), ("ing/hosts", "near.test", "near.test"), ("vm-1", "", "vm-1")],
)
def test_a_request_without_a_host_is_for_that_of_the_ingress(
    target: str, asked: str, host: str, tmp_path: Path
) -> None:
    ingress = view_of("ingress", "tunnel", tmp_path)
    question = read_question(ingress, "a-0", target, "", 0, "default", Request(asked, "/x"))
    assert question.request == Request(host, "/x")
