"""Everything of a lab that a packet can be sent to by its name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.model.kubernetes import Container, Ingress
from testbed.model.planning.elb import balancer_name
from testbed.model.planning.ingress import listener_port
from testbed.observe.status import View
from testbed.observe.trace.results import Request

Ports = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Known:
    """``host``: the namespace that sends and receives by ``address``, "" when none does by itself.

    ``service``: it answers at ``ports`` only, a ping says nothing about it. ``request``: the first that an Ingress is
    for.
    """

    kind: str
    name: str
    address: IPv4Address
    host: str = ""
    namespace: str = ""
    ports: Ports = ()
    service: bool = False
    request: Request | None = None


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
    balancers = {balancer.name: balancer for balancer in view.fabric.load_balancers}
    for ingress in view.memory.lab.ingresses:
        balancer = balancers.get(balancer_name(ingress) or "")
        if balancer is not None:
            ports = (("tcp", listener_port(ingress)[0]),)
            yield Known(
                "Ingress", ingress.name, balancer.address, "", ingress.namespace, ports, True, _first_request(ingress)
            )


def _first_request(ingress: Ingress) -> Request:
    """One that its first rule fits."""
    rule = next(iter(ingress.rules), None)
    host = rule.host.replace("*", "any") if rule else ""
    path = next((path.path for path in rule.paths), "") if rule else ""
    return Request(host or f"{ingress.name}.test", path or "/")


def _declared(containers: tuple[Container, ...]) -> Ports:
    return tuple((port.protocol.lower(), port.port) for container in containers for port in container.ports)
