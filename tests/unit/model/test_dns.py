"""Cluster DNS is planned as a Service with static pods in the host network; other pods are told to ask it."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from testbed.model.desired import NetworkModel
from testbed.model.kubernetes import KubeServicePort, Pod, Service
from testbed.model.lab import Lab
from testbed.model.planning import Ledger, Plan, plan_lab
from testbed.model.planning.dns import with_dns
from testbed.model.planning.observed import Observed
from tests.unit.model.labs import HERE, cluster, lab, template

DNS = IPv4Address("10.247.3.10")
HEADLESS = Service(
    "default",
    "web",
    "c1",
    "ClusterIP",
    (("app", "web"),),
    (KubeServicePort(8080, "", "http"),),
    HERE,
    cluster_ip="None",
)


def dns_lab(model: NetworkModel, **changes: object) -> Lab:
    return lab(model, clusters=(replace(cluster(model, nodes=3), dns=True),), services=(HEADLESS,), **changes)


def plan(wanted: Lab, *not_ready: str) -> Plan:
    first = plan_lab(wanted, Ledger(), 1, "userspace", 0.0)
    ready = frozenset(pod.uid for pod in first.pods if pod.name not in not_ready)
    return plan_lab(wanted, first.ledger, 2, "userspace", 0.0, Observed(ready))


def zone(planned: Plan) -> list[str]:
    files = next(dict(item.files) for item in planned.workloads.workloads if item.files)
    return files["zone"].splitlines()


@pytest.mark.parametrize("model", NetworkModel)
def test_servers_are_endpoints_of_the_service_and_take_no_pod_address(model: NetworkModel) -> None:
    planned = plan(dns_lab(model))
    udp, tcp = (port for port in planned.clusters.clusters[0].services if port.service == "kube-system/kube-dns")
    nodes = [node.address for node in planned.nodes]
    for port in (udp, tcp):
        assert port.cluster_ip == DNS
        assert [(endpoint.address, endpoint.ready) for endpoint in port.endpoints] == [(at, True) for at in nodes[:2]]
        assert all(endpoint.host_network for endpoint in port.endpoints)
    without = plan(lab(model, clusters=(cluster(model, nodes=3),)))
    addresses = [pod.address for pod in planned.pods if pod.namespace == "default"]
    assert addresses == [pod.address for pod in without.pods]


def test_pods_have_the_resolver_of_their_policy() -> None:
    pods = (
        Pod("shop", "plain", "c1", template(), HERE),
        Pod("shop", "node", "c1", template(host_network=True), HERE),
        Pod("shop", "host", "c1", template(host_network=True, dns_policy="ClusterFirstWithHostNet"), HERE),
        Pod("shop", "own", "c1", template(dns_policy="Default"), HERE),
    )
    found = {item.name: item for item in plan(dns_lab(NetworkModel.VPC, pods=pods)).workloads.workloads}
    for name in ("plain", "host"):
        assert found[name].nameserver == DNS
        assert found[name].search == ("shop.svc.cluster.local", "svc.cluster.local", "cluster.local")
    assert [found[name].nameserver for name in ("node", "own")] == [None, None]


def test_the_zone_has_ready_pods_only_and_the_governing_service_s_names() -> None:
    name = "web.default.svc.cluster.local."
    lines = zone(plan(dns_lab(NetworkModel.TUNNEL), "web-1"))
    assert f"web-0.{name} A 172.16.0.16" in lines
    assert not any(line.startswith(f"web-1.{name}") for line in lines)
    assert "db. A 192.168.0.5" in lines
    other = replace(HEADLESS, name="other")
    lines = zone(plan(replace(dns_lab(NetworkModel.TUNNEL), services=(other,))))
    assert "172-16-0-16.other.default.svc.cluster.local. A 172.16.0.16" in lines


def test_one_s_own_dns_service_is_left_alone_and_twice_is_once() -> None:
    once = with_dns(dns_lab(NetworkModel.TUNNEL))
    assert with_dns(once) == once
    own = replace(HEADLESS, namespace="kube-system", name="kube-dns")
    with_own = replace(dns_lab(NetworkModel.TUNNEL), services=(own,))
    assert with_dns(with_own) == with_own
    assert with_dns(lab(NetworkModel.TUNNEL)) == lab(NetworkModel.TUNNEL)
