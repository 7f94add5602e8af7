"""Ingresses become a proxy's ports, rules and members, by the class of their balancer and the network model."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network
from typing import Any

import pytest

from testbed.model.cloud import ElbClass, LoadBalancer, RouteTable
from testbed.model.components import PROXY_IMAGE
from testbed.model.desired import NetworkModel
from testbed.model.kubernetes import Ingress, IngressBackend, IngressPath, IngressRule, IngressTls, Secret
from testbed.model.lab import Lab
from testbed.model.planning import Plan, PlanError, plan_lab
from testbed.model.planning.observed import Observed
from tests.unit.model.labs import HERE, lab
from tests.unit.model.test_services import plan, service

WEB = IngressBackend("web", "80")
ELB = {"kubernetes.io/elb.id": "elb"}


def ingress(name: str = "i", host: str = "", path: str = "/", kind: str = "Prefix", **changes: Any) -> Ingress:
    annotations = tuple((ELB | changes.pop("annotations", {})).items())
    rules = (IngressRule(host, (IngressPath(path, kind, changes.pop("backend", WEB)),)),)
    return Ingress("default", name, "c1", rules, HERE, annotations=annotations, **changes)


def ingress_lab(model: NetworkModel, *ingresses: Ingress, kind: str = "NodePort", **changes: Any) -> Lab:
    elb = LoadBalancer("elb", "vpc-1", "nodes", HERE, changes.pop("elb_class", ElbClass.DEDICATED))
    elb = replace(elb, advanced_forwarding=changes.pop("in_order", False))
    services = changes.pop("services", (service(type=kind),))
    return lab(model, services=services, load_balancers=(elb,), ingresses=ingresses, **changes)


def files(planned: Plan) -> dict[str, str]:
    (proxy,) = (item for item in planned.workloads.workloads if item.containers[0].image == PROXY_IMAGE)
    assert proxy.host == "elb"
    return dict(proxy.files)


def lines(planned: Plan, word: str) -> list[str]:
    found = [line.split() for line in files(planned)["haproxy.cfg"].splitlines()]
    return [" ".join(words[1:]) for words in found if words[:1] == [word]]


def servers(planned: Plan) -> list[str]:
    return [line.split()[1] for line in lines(planned, "server")]


def refusal(wanted: Lab) -> str:
    with pytest.raises(PlanError) as error:
        plan(wanted)
    return str(error.value)


def test_members_are_nodes_or_the_pods_of_a_dedicated_balancer_in_the_eni_model() -> None:
    for model in (NetworkModel.TUNNEL, NetworkModel.VPC):
        planned = plan(ingress_lab(model, ingress()))
        (port,) = (port.node_port for port in planned.clusters.clusters[0].services)
        assert servers(planned) == [f"{node.address}:{port}" for node in planned.nodes]
    planned = plan(ingress_lab(NetworkModel.ENI, ingress(), kind="ClusterIP"))
    assert servers(planned) == [f"{pod.address}:8080" for pod in planned.pods]
    planned = plan(ingress_lab(NetworkModel.ENI, ingress(), elb_class=ElbClass.SHARED))
    assert servers(planned)[0].startswith("192.168.0.")


def test_the_proxy_of_a_shared_balancer_sends_with_an_address_of_its_own_range() -> None:
    planned = plan(ingress_lab(NetworkModel.VPC, ingress(), elb_class=ElbClass.SHARED))
    (elb,) = (host for host in planned.hosts if host.balancer)
    assert elb.sends_as is not None
    assert elb.sends_as in IPv4Network("100.125.0.0/16")
    assert elb.sends_as not in {item.snat_address for item in planned.fabric.load_balancers}
    assert lines(planned, "source") == [str(elb.sends_as)]
    assert {check.source for check in planned.health_checks} == {elb.sends_as}
    (eni,) = (eni for eni in planned.fabric.enis if eni.owner == elb.owner)
    own = IPv4Network(elb.sends_as)
    assert (eni.source_dest_check, eni.sends_for) == (False, (own,))
    back = (route for table in planned.fabric.route_tables for route in table.routes if route.destination == own)
    assert [route.target for route in back] == [eni.id]
    addresses = [str(item.address) for item in planned.wiring.addresses if item.namespace == "elb"]
    assert addresses == [f"{elb.address}/24", f"{elb.sends_as}/32"]


def test_the_proxy_of_a_dedicated_balancer_sends_with_the_balancer_s_address() -> None:
    planned = plan(ingress_lab(NetworkModel.VPC, ingress()))
    assert lines(planned, "source") == []
    assert {check.source for check in planned.health_checks} == {None}


def test_the_way_back_to_a_shared_balancer_is_counted_by_no_quota() -> None:
    wanted = ingress_lab(NetworkModel.VPC, ingress(), elb_class=ElbClass.SHARED)
    full = RouteTable("main", "vpc-1", (), HERE, default=True, quota=2)
    (table,) = plan(replace(wanted, route_tables=(full,))).fabric.route_tables
    assert len(table.routes) == 3


def test_a_cluster_ip_service_is_refused_where_the_balancer_reaches_nodes() -> None:
    for model in (NetworkModel.TUNNEL, NetworkModel.VPC):
        assert "Service/default/web has no node port" in refusal(ingress_lab(model, ingress(), kind="ClusterIP"))
    shared = ingress_lab(NetworkModel.ENI, ingress(), kind="ClusterIP", elb_class=ElbClass.SHARED)
    assert "a shared load balancer" in refusal(shared)


def test_a_backend_that_is_not_there_has_no_members() -> None:
    backend = IngressBackend("nobody", "80")
    assert servers(plan(ingress_lab(NetworkModel.TUNNEL, ingress(backend=backend)))) == []


def test_two_ingresses_on_one_port_are_one_order_of_rules() -> None:
    made = (ingress("first", path="/a"), ingress("second", path="/a", kind="Exact"), ingress("third", path="/a/b"))
    rules = [line.split("'")[1] for line in lines(plan(ingress_lab(NetworkModel.TUNNEL, *made)), "use_backend")]
    assert rules == ["/a", "/a/b/", "/a/"]
    in_order = plan(ingress_lab(NetworkModel.TUNNEL, *made, in_order=True))
    assert [line.split("'")[1] for line in lines(in_order, "use_backend")] == ["/a/", "/a", "/a/b/"]


def test_ingress_order_goes_before_the_time_at_which_they_were_made() -> None:
    made = (
        ingress("first", path="/a"),
        ingress("second", path="/b", annotations={"kubernetes.io/elb.ingress-order": "5"}),
    )
    planned = plan(ingress_lab(NetworkModel.TUNNEL, *made))
    assert [line.split("'")[1] for line in lines(planned, "use_backend")] == ["/b/", "/a/"]


def test_certificates_of_the_earliest_ingress_and_those_of_hosts() -> None:
    secrets = tuple(Secret("default", name, "c1", f"cert {name}", f"key {name}", HERE) for name in ("a", "b", "c"))
    first = ingress("first", tls=(IngressTls(("b.test",), "b"), IngressTls((), "a")))
    second = ingress("second", tls=(IngressTls((), "c"), IngressTls(("c.test", "*.c.test"), "c")))
    found = files(plan(ingress_lab(NetworkModel.TUNNEL, first, second, secrets=secrets)))
    assert found["tls-443.list"].splitlines() == [
        "/srv/tls-443-0.pem",
        "/srv/tls-443-1.pem b.test",
        "/srv/tls-443-2.pem c.test *.c.test",
    ]
    assert found["tls-443-0.pem"] == "cert a\nkey a\n"
    assert "bind :443 ssl crt-list /srv/tls-443.list" in found["haproxy.cfg"]


def test_a_port_has_one_protocol_and_one_user() -> None:
    secrets = (Secret("default", "a", "c1", "cert", "key", HERE),)
    on_80 = {"kubernetes.io/elb.port": "80"}
    mixed = (ingress("plain"), ingress("secure", tls=(IngressTls((), "a"),), annotations=on_80))
    assert "speaks HTTP for Ingress/default/plain" in refusal(ingress_lab(NetworkModel.TUNNEL, *mixed, secrets=secrets))
    balanced = service("lb", type="LoadBalancer", annotations=tuple(ELB.items()))
    services = (service(type="NodePort"), balanced)
    reason = refusal(ingress_lab(NetworkModel.TUNNEL, ingress(), services=services))
    assert "port 80 of LoadBalancer/elb is Service/default/lb's" in reason


def test_another_controller_s_class_gets_nothing_and_none_gets_a_balancer_of_its_own() -> None:
    planned = plan(ingress_lab(NetworkModel.TUNNEL, ingress(class_name="nginx")))
    assert [item for item in planned.workloads.workloads if item.files] == []
    own = replace(ingress(), annotations=(("kubernetes.io/elb.class", "performance"),))
    planned = plan(ingress_lab(NetworkModel.TUNNEL, own))
    made = next(item for item in planned.balancers if item.ingresses)
    assert (made.name, made.elb_class) == ("elb-ingress-default-i", ElbClass.DEDICATED)


def test_annotations_of_the_balancer_s_members() -> None:
    annotations = {
        "kubernetes.io/elb.lb-algorithm": "LEAST_CONNECTIONS",
        "kubernetes.io/elb.session-affinity-mode": "HTTP_COOKIE",
        "kubernetes.io/elb.health-check-option": '{"delay": "2", "timeout": "1", "max_retries": "4"}',
    }
    planned = plan(ingress_lab(NetworkModel.TUNNEL, ingress(annotations=annotations)))
    assert lines(planned, "balance") == ["leastconn"]
    assert {(check.interval, check.timeout, check.retries) for check in planned.health_checks} == {(2, 1, 4)}
    assert any(line.startswith("elb-server insert") for line in lines(planned, "cookie"))
    off = {"kubernetes.io/elb.health-check-flag": "off"}
    planned = plan(ingress_lab(NetworkModel.TUNNEL, ingress(annotations=off)))
    assert planned.health_checks == ()


def test_members_that_do_not_answer_are_left_out_unless_none_does() -> None:
    wanted = ingress_lab(NetworkModel.TUNNEL, ingress())
    first = plan(wanted)
    members = [check.member for check in first.health_checks]
    assert [check.host for check in first.health_checks] == ["elb", "elb"]
    dead = Observed(first.observed.ready, dead_members=frozenset(members[:1]))
    after = plan_lab(wanted, first.ledger, 3, "userspace", 0.0, dead)
    assert servers(after) == servers(first)[1:]
    assert [check.member for check in after.health_checks] == members
    all_dead = replace(dead, dead_members=frozenset(members))
    assert servers(plan_lab(wanted, first.ledger, 3, "userspace", 0.0, all_dead)) == servers(first)
