"""Everything of a lab that a packet can be sent to by its name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.model.kubernetes import Container
from testbed.observe.status import View
from testbed.observe.status_resources import find_resource

Ports = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Known:
    """``host``: the namespace that sends and receives by ``address``, "" when none does by itself.

    ``service``: it answers at ``ports`` only, a ping says nothing about it.
    """

    kind: str
    name: str
    address: IPv4Address
    host: str = ""
    namespace: str = ""
    ports: Ports = ()
    service: bool = False


def known_targets(view: View) -> Iterator[Known]:
    """Hosts first: a name that several have means the first."""
    yield from _hosts(view)
    yield from _services(view)
    yield from _elastic_ips(view)
    yield from _ingresses(view)


def _hosts(view: View) -> Iterator[Known]:
    yield from _pods(view)
    for node in view.memory.nodes:
        yield Known("Node", node.name, node.address, node.name)
    yield from _balancers(view)
    for host in view.memory.hosts:
        if not host.balancer:
            kind = "Server" if host.vpc else "InternetHost"
            yield Known(kind, host.name, host.address, host.name, ports=_declared(host.containers))


def _pods(view: View) -> Iterator[Known]:
    for pod in view.memory.pods:
        if pod.address is not None and pod.node is not None:
            host = pod.node if pod.host_network else pod.host
            ports = _declared(pod.template.spec.containers)
            yield Known("Pod", pod.name, pod.address, host, pod.namespace, ports)


def _balancers(view: View) -> Iterator[Known]:
    for balancer in view.fabric.load_balancers:
        ports = tuple((listener.protocol.value, listener.port) for listener in balancer.listeners)
        host = next((one.name for one in view.memory.hosts if one.address == balancer.address), "")
        yield Known("LoadBalancer", balancer.name, balancer.address, host, ports=ports, service=bool(ports))


def _services(view: View) -> Iterator[Known]:
    found: dict[str, list[tuple[str, int]]] = {}
    addresses: dict[str, IPv4Address] = {}
    for cluster in view.clusters.clusters:
        for port in cluster.services:
            if port.cluster_ip is not None:
                found.setdefault(port.service, []).append((port.protocol.value, port.port))
                addresses[port.service] = port.cluster_ip
    for service, ports in found.items():
        namespace, _, name = service.partition("/")
        yield Known("Service", name, addresses[service], "", namespace, tuple(ports), service=True)


def _elastic_ips(view: View) -> Iterator[Known]:
    """Bound to an interface, of a balancer, or of a NAT gateway's rules."""
    enis = {eni.id: eni for eni in view.fabric.enis}
    by_address = {known.address: known for known in _hosts(view)}
    for eip in view.memory.eips:
        ports: Ports = tuple(
            (rule.protocol.value, rule.port)
            for gateway in view.fabric.nat_gateways
            for rule in gateway.dnat
            if rule.eip == eip.address
        )
        balancer = next((one for one in view.fabric.load_balancers if one.eip == eip.address), None)
        inside = by_address.get(balancer.address) if balancer else None
        if inside is None and eip.eni in enis:
            inside = by_address.get(enis[eip.eni].address)
        ports = ports or (inside.ports if inside else ())
        service = bool(ports) and (inside is None or inside.service)
        host = inside.host if inside else ""
        yield Known("ElasticIP", eip.name, eip.address, host, ports=ports, service=service)


def _ingresses(view: View) -> Iterator[Known]:
    for item in find_resource("ingress").items(view):
        status = item.document["status"]
        for entry in status.get("loadBalancer", {}).get("ingress", [])[:1]:
            ports = (("tcp", int(status["port"])),)
            yield Known("Ingress", item.name, IPv4Address(entry["ip"]), "", item.namespace, ports, service=True)


def _declared(containers: tuple[Container, ...]) -> Ports:
    return tuple((port.protocol.lower(), port.port) for container in containers for port in container.ports)
