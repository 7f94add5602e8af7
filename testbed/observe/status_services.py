"""Items of Services, in Kubernetes' own shape: ``-o json`` is read by what reads kubectl's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address
from typing import Any

from testbed.model.desired import FabricState, ServicePort
from testbed.model.kubernetes import KubeServicePort, Service
from testbed.model.planning.dnat import is_dnat
from testbed.observe.status import View
from testbed.observe.status_items import NONE, Item, columns, document, listed, resource


def services(view: View) -> Iterator[Item]:
    planned: dict[str, list[ServicePort]] = defaultdict(list)
    for cluster in view.clusters.clusters:
        for port in cluster.services:
            planned[port.owner].append(port)
    several = len(view.memory.lab.clusters) > 1
    for service in view.memory.lab.services:
        scope = f"{service.cluster}/" if several else ""
        owner = f"Service/{scope}{service.namespace}/{service.name}"
        yield _service(service, owner, planned[owner], _addresses_outside(service, owner, view.fabric))


def _service(service: Service, owner: str, planned: Sequence[ServicePort], outside: Sequence[IPv4Address]) -> Item:
    cluster_ip = str(planned[0].cluster_ip) if planned else service.cluster_ip or NONE
    external = [*service.external_ips, *outside]
    node_ports = {(port.protocol.value.upper(), port.port): port.node_port for port in planned}
    ports = [
        f"{port.port}{f':{number}' if (number := node_ports.get((port.protocol, port.port))) else ''}/{port.protocol}"
        for port in service.ports
    ]
    selector = listed(f"{key}={value}" for key, value in service.selector)
    shown = service.external_name or listed(external)
    cells = (service.type, cluster_ip, shown, listed(ports), selector)
    spec = _spec(service, cluster_ip, [_port(p, node_ports.get((p.protocol, p.port))) for p in service.ports])
    status = {
        "loadBalancer": {"ingress": [{"ip": str(address)} for address in outside]} if outside else {},
        "endpoints": [_endpoints(port) for port in planned],
    }
    text = document(
        "Service", service.name, service.source, service.namespace, service.labels, spec=spec, status=status
    )
    return Item(service.name, cells, text, owner, service.namespace, service.source)


def _spec(service: Service, cluster_ip: str, ports: list[dict[str, Any]]) -> dict[str, Any]:
    spec: dict[str, Any] = {"type": service.type}
    if service.type != "ExternalName":
        spec["clusterIP"] = cluster_ip
    spec |= {
        "ports": ports,
        "selector": dict(service.selector),
        "internalTrafficPolicy": service.internal_traffic_policy,
    }
    if service.type in ("NodePort", "LoadBalancer"):
        spec["externalTrafficPolicy"] = service.external_traffic_policy
    spec["sessionAffinity"] = "ClientIP" if service.session_affinity_seconds else "None"
    if service.session_affinity_seconds:
        spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": service.session_affinity_seconds}}
    if service.external_name:
        spec["externalName"] = service.external_name
    if service.external_ips:
        spec["externalIPs"] = [str(address) for address in service.external_ips]
    if service.source_ranges:
        spec["loadBalancerSourceRanges"] = [str(cidr) for cidr in service.source_ranges]
    return spec


def _port(port: KubeServicePort, node_port: int | None) -> dict[str, Any]:
    target: int | str = int(port.target_port) if port.target_port.isdigit() else port.target_port or port.port
    described: dict[str, Any] = {"name": port.name} if port.name else {}
    described |= {"protocol": port.protocol, "port": port.port, "targetPort": target}
    return described | ({"nodePort": node_port} if node_port else {})


def _endpoints(port: ServicePort) -> str:
    """``http: 172.16.0.17:8080,172.16.0.48:8080``; what is not ready in brackets."""
    ready = listed(f"{end.address}:{end.port}" for end in port.endpoints if end.ready)
    waiting = [f"{end.address}:{end.port}" for end in port.endpoints if not end.ready]
    return f"{port.name or port.port}: {ready}{f' (not ready: {listed(waiting)})' if waiting else ''}"


def _addresses_outside(service: Service, owner: str, fabric: FabricState) -> tuple[IPv4Address, ...]:
    """Where a LoadBalancer Service answers outside its cluster: its balancer's addresses, or its DNAT rule's."""
    if is_dnat(service):
        return (service.load_balancer_ip,) if service.load_balancer_ip else ()
    found: list[IPv4Address] = []
    for balancer in fabric.load_balancers:
        if any(listener.owner == owner for listener in balancer.listeners):
            found += [balancer.address, *((balancer.eip,) if balancer.eip else ())]
    return tuple(found)


RESOURCES = (
    resource("services", columns("TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", wide=("SELECTOR",)), services),
)
