"""What kube-proxy has to know: every port of every Service, with the addresses outside the cluster that nodes serve.

A load balancer's addresses and a DNAT rule's elastic IP are in the Service's status, so a node answers its own and its
pods' connections to them itself; the balancer and the gateway never see those.
Source: CCE user guide, "LoadBalancer", pass-through networking; Kubernetes "Virtual IPs and Service Proxies".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address

from testbed.model.desired import NetworkModel, ServicePort
from testbed.model.lab import Lab
from testbed.model.planning.balancers import PlannedBalancer, short_circuit
from testbed.model.planning.dnat import is_dnat
from testbed.model.planning.eips import PlannedEip
from testbed.model.planning.elb import balancer_name
from testbed.model.planning.services import PlannedService, service_ports


def plan_service_ports(
    lab: Lab, services: Sequence[PlannedService], balancers: Sequence[PlannedBalancer], eips: Sequence[PlannedEip]
) -> dict[str, tuple[ServicePort, ...]]:
    """Service ports by cluster."""
    clusters = {cluster.name: cluster for cluster in lab.clusters}
    balanced = {balancer.name: _addresses(balancer, eips) for balancer in balancers}
    ports: dict[str, list[ServicePort]] = defaultdict(list)
    for planned in services:
        cluster = clusters[planned.service.cluster]
        addresses, pods_too = _served_by_nodes(planned, cluster.model, balanced)
        bound = cluster.kube_proxy_mode == "ipvs"
        ports[cluster.name].extend(service_ports(planned, addresses, pods_too, bound))
    return {cluster: tuple(found) for cluster, found in ports.items()}


def _served_by_nodes(
    planned: PlannedService, model: NetworkModel, balanced: Mapping[str, tuple[IPv4Address, ...]]
) -> tuple[tuple[IPv4Address, ...], bool]:
    """Addresses outside the cluster that nodes serve, and whether to their pods too.

    A DNAT Service of policy Local is left to the gateway, whose documentation has in-cluster access fail.
    """
    service = planned.service
    if is_dnat(service):
        cluster_wide = service.external_traffic_policy != "Local"
        return (service.load_balancer_ip,) if service.load_balancer_ip and cluster_wide else (), True
    nodes_too, pods_too = short_circuit(service, model)
    name = balancer_name(service)
    return balanced[name] if name and nodes_too else (), pods_too


def _addresses(balancer: PlannedBalancer, eips: Sequence[PlannedEip]) -> tuple[IPv4Address, ...]:
    return (balancer.address, *(eip.address for eip in eips if eip.bound_to == balancer.owner))
