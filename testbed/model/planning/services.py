"""Services: cluster addresses, node ports, and each port with its endpoints.

Source: Kubernetes "Virtual IPs and Service Proxies": both ranges have a static band at their low end that
automatic allocation uses last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from testbed.model.cloud import Cluster
from testbed.model.desired import Protocol, ServicePort
from testbed.model.kubernetes import KubeServicePort, Service
from testbed.model.lab import Lab
from testbed.model.planning.allocator import Allocator, ExhaustedError
from testbed.model.planning.endpoints import Backend, Endpoints, endpoints_of_port
from testbed.model.planning.faults import PlanFault, told

NODE_PORT_RANGE = (30000, 32767)
NODE_PORT_STATIC_BAND = 86  # min(max(16, 2768 / 32), 128)
DNS_OFFSET = 3 * 256 + 10
"""Cluster DNS answers at this address of the Service range: 10.247.3.10 of 10.247.0.0/16, as on the real nodes."""


@dataclass(frozen=True, slots=True)
class PlannedService:
    """A Service with its addresses. ``cluster_ip`` None: headless or ExternalName."""

    service: Service
    owner: str
    cluster_ip: IPv4Address | None
    node_ports: tuple[int | None, ...]  # by the Service's ports
    backends: tuple[Backend, ...]

    @property
    def key(self) -> str:
        return f"{self.service.namespace}/{self.service.name}"


def plan_services(
    lab: Lab, endpoints: Endpoints, allocator: Allocator, faults: list[PlanFault]
) -> tuple[PlannedService, ...]:
    """Every Service of the lab; addresses and ports that users chose are taken first."""
    clusters = {cluster.name: cluster for cluster in lab.clusters}
    numbers = _Numbers(clusters, lab.services, allocator)
    planned = []
    for service in lab.services:
        with told(faults, service.source, _owner(service, len(clusters) > 1), "", "P105"):
            planned.append(_plan_service(service, numbers, endpoints, len(clusters) > 1))
    return tuple(planned)


def dns_address(service_cidr: IPv4Network) -> IPv4Address:
    """Where cluster DNS answers; the last usable address of a range that is too small for the usual one."""
    offset = DNS_OFFSET if service_cidr.num_addresses > DNS_OFFSET + 1 else service_cidr.num_addresses - 2
    return service_cidr[offset]


def service_ports(
    planned: PlannedService, balanced: tuple[IPv4Address, ...] = (), from_pods: bool = True, bound: bool = False
) -> Iterator[ServicePort]:
    """What kube-proxy has to know about ``planned``, one value per port.

    ``balanced`` are load balancer addresses that the node serves itself, ``from_pods`` also to its pods. ``bound``: it
    has the Service's addresses as a whole (IPVS).
    """
    service = planned.service
    if planned.cluster_ip is None:
        return
    for port, node_port in zip(service.ports, planned.node_ports, strict=True):
        yield ServicePort(
            service=planned.key,
            name=port.name,
            protocol=Protocol(port.protocol.lower()),
            port=port.port,
            endpoints=endpoints_of_port(planned.backends, port),
            owner=planned.owner,
            cluster_ip=planned.cluster_ip,
            node_port=node_port,
            external_addresses=(*service.external_ips, *balanced),
            external_from_pods=from_pods,
            external_local=service.external_traffic_policy == "Local",
            internal_local=service.internal_traffic_policy == "Local",
            affinity_seconds=service.session_affinity_seconds,
            source_ranges=service.source_ranges,
            bound=bound,
        )


def _plan_service(service: Service, numbers: _Numbers, endpoints: Endpoints, qualified: bool) -> PlannedService:
    return PlannedService(
        service,
        _owner(service, qualified),
        numbers.cluster_ip(service),
        tuple(numbers.node_port(service, port) for port in service.ports),
        endpoints.of(service),
    )


def _owner(service: Service, qualified: bool) -> str:
    scope = f"{service.cluster}/" if qualified else ""
    return f"Service/{scope}{service.namespace}/{service.name}"


class _Numbers:
    """Cluster addresses and node ports of one planning run, chosen ones first."""

    def __init__(self, clusters: dict[str, Cluster], services: Sequence[Service], allocator: Allocator) -> None:
        self._ranges = {name: cluster.service_cidr for name, cluster in clusters.items()}
        self._allocator = allocator
        for name, cidr in self._ranges.items():
            allocator.fix(f"service/{name}", "kubernetes", 1)
            allocator.fix(f"service/{name}", "kube-system/kube-dns", int(dns_address(cidr)) - int(cidr.network_address))
        for service in services:
            self._fix(service)

    def _fix(self, service: Service) -> None:
        cidr = self._ranges[service.cluster]
        if service.cluster_ip and service.cluster_ip != "None":
            offset = int(IPv4Address(service.cluster_ip)) - int(cidr.network_address)
            self._allocator.fix(f"service/{service.cluster}", _key(service), offset)
        for port in service.ports:
            if port.node_port is not None:
                self._allocator.fix(f"node-port/{service.cluster}", _port_key(service, port), port.node_port)

    def cluster_ip(self, service: Service) -> IPv4Address | None:
        if service.cluster_ip == "None" or service.type == "ExternalName":
            return None
        cidr = self._ranges[service.cluster]
        last = cidr.num_addresses - 2
        band = min(max(16, cidr.num_addresses // 16), 256)
        first = band + 1 if band < last else 1
        try:
            return cidr[self._allocator.number(f"service/{service.cluster}", _key(service), first, last)]
        except ExhaustedError:
            raise ExhaustedError(f"no free address in {cidr} (Service range)") from None

    def node_port(self, service: Service, port: KubeServicePort) -> int | None:
        balanced = service.type == "LoadBalancer" and service.allocate_node_ports
        if service.type != "NodePort" and not balanced:
            return None
        first, last = NODE_PORT_RANGE
        pool = f"node-port/{service.cluster}"
        return self._allocator.number(pool, _port_key(service, port), first + NODE_PORT_STATIC_BAND, last)


def _key(service: Service) -> str:
    return f"{service.namespace}/{service.name}"


def _port_key(service: Service, port: KubeServicePort) -> str:
    return f"{_key(service)}/{port.protocol}/{port.port}"
