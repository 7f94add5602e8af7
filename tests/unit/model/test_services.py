"""Services get addresses and ports from their ranges, endpoints from ready pods, balancers what their class says."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

import pytest

from testbed.model.cloud import CloudNatGateway, ElasticIp
from testbed.model.desired import FabricLoadBalancer, NetworkModel, ServicePort
from testbed.model.kubernetes import KubeServicePort, Service
from testbed.model.lab import Lab
from testbed.model.planning import Ledger, Plan, plan_lab
from testbed.model.planning.observed import Observed
from tests.unit.model.labs import HERE, lab


def service(name: str = "web", **changes: Any) -> Service:
    values: dict[str, Any] = {
        "namespace": "default",
        "name": name,
        "cluster": "c1",
        "type": "ClusterIP",
        "selector": (("app", "web"),),
        "ports": (KubeServicePort(80, "8080"),),
        "source": HERE,
    }
    return Service(**values | changes)


def plan(wanted: Lab, ready: bool = True) -> Plan:
    first = plan_lab(wanted, Ledger(), 1, "userspace", 0.0)
    seen = Observed(frozenset(pod.uid for pod in first.pods) if ready else frozenset())
    return plan_lab(wanted, first.ledger, 2, "userspace", 0.0, seen)


def only_port(planned: Plan) -> ServicePort:
    (port,) = planned.clusters.clusters[0].services
    return port


def balancer(planned: Plan) -> FabricLoadBalancer:
    (found,) = planned.fabric.load_balancers
    return found


def test_automatic_addresses_leave_the_static_band_alone() -> None:
    port = only_port(plan(lab(NetworkModel.TUNNEL, services=(service(),))))
    assert port.cluster_ip == IPv4Address("10.247.1.1")
    chosen = service(cluster_ip="10.247.0.77")
    assert only_port(plan(lab(NetworkModel.TUNNEL, services=(chosen,)))).cluster_ip == IPv4Address("10.247.0.77")


def test_endpoints_are_ready_pods_at_their_target_port() -> None:
    port = only_port(plan(lab(NetworkModel.TUNNEL, services=(service(),))))
    assert [(str(endpoint.address), endpoint.port, endpoint.ready) for endpoint in port.endpoints] == [
        ("172.16.0.16", 8080, True),
        ("172.16.0.32", 8080, True),
        ("172.16.0.17", 8080, True),
        ("172.16.0.33", 8080, True),
    ]
    unready = only_port(plan(lab(NetworkModel.TUNNEL, services=(service(),)), ready=False))
    assert [endpoint.ready for endpoint in unready.endpoints] == [False] * 4


def test_node_ports_come_from_the_upper_band_and_stay() -> None:
    wanted = lab(NetworkModel.TUNNEL, services=(service(type="NodePort"),))
    assert only_port(plan(wanted)).node_port == 30086
    fixed = service(type="NodePort", ports=(KubeServicePort(80, "8080", node_port=30086),))
    both = plan(replace(wanted, services=(service("first", type="NodePort"), fixed)))
    assert [port.node_port for port in both.clusters.clusters[0].services] == [30087, 30086]


@pytest.mark.parametrize(
    ("model", "elb_class", "members", "keep_client"),
    [
        (NetworkModel.TUNNEL, "performance", "nodes", True),
        (NetworkModel.VPC, "union", "nodes", False),
        (NetworkModel.ENI, "performance", "pods", True),
        (NetworkModel.ENI, "union", "nodes", False),
    ],
)
def test_members_by_model_and_class(model: NetworkModel, elb_class: str, members: str, keep_client: bool) -> None:
    wanted = service(type="LoadBalancer", annotations=(("kubernetes.io/elb.class", elb_class),))
    planned = plan(lab(model, services=(wanted,)))
    (listener,) = balancer(planned).listeners
    pods = {(pod.address, 8080) for pod in planned.pods}
    nodes = {(node.address, only_port(planned).node_port) for node in planned.nodes}
    assert {(member.address, member.port) for member in listener.members} == (pods if members == "pods" else nodes)
    assert listener.keep_client is keep_client


def test_local_policy_keeps_only_nodes_with_a_pod_and_turns_the_short_circuit_off() -> None:
    wanted = service(type="LoadBalancer", external_traffic_policy="Local")
    one_pod = lab(NetworkModel.TUNNEL, services=(wanted,))
    one_pod = replace(one_pod, stateful_sets=(replace(one_pod.stateful_sets[0], replicas=1),))
    planned = plan(one_pod)
    (listener,) = balancer(planned).listeners
    assert [member.owner for member in listener.members] == ["Node/node-1"]
    assert only_port(planned).external_addresses == ()


def test_the_balancers_addresses_are_served_on_the_node() -> None:
    annotations = (("kubernetes.io/elb.autocreate", '{"type": "public", "name": "shop"}'),)
    planned = plan(lab(NetworkModel.TUNNEL, services=(service(type="LoadBalancer", annotations=annotations),)))
    found = balancer(planned)
    assert found.name == "shop"
    assert only_port(planned).external_addresses == (found.address, found.eip)


def test_a_dnat_service_is_a_rule_of_its_gateway() -> None:
    annotations = (("kubernetes.io/elb.class", "dnat"), ("kubernetes.io/natgateway.id", "nat"))
    wanted = service(type="LoadBalancer", annotations=annotations, load_balancer_ip=IPv4Address("198.51.100.9"))
    planned = plan(
        lab(
            NetworkModel.VPC,
            services=(wanted,),
            nat_gateways=(CloudNatGateway("nat", "vpc-1", "nodes", HERE),),
            elastic_ips=(ElasticIp("eip", HERE, IPv4Address("198.51.100.9")),),
        )
    )
    (rule,) = planned.fabric.nat_gateways[0].dnat
    assert (rule.eip, rule.port) == (IPv4Address("198.51.100.9"), 80)
    assert (rule.target, rule.target_port) == (planned.nodes[0].address, only_port(planned).node_port)
    assert planned.fabric.load_balancers == ()
