"""What would let a packet through that a Service's rules stopped, or that nobody wanted; and why that was."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

from testbed.model.desired import ServicePort
from testbed.model.planning.elb import balancer_name
from testbed.model.planning.ingress import listener_port
from testbed.observe.status import View
from testbed.observe.trace.names import known_targets
from testbed.observe.trace.packet import Packet
from testbed.observe.trace.results import Decision, Question, Way

_MOST_PORTS = 5
_NODE_PORTS = range(30000, 32768)


def advise_balance(view: View, packet: Packet, node: str) -> str:
    """For what ``node`` dropped when it looked for an endpoint."""
    asked = _asked(view, packet.destination, packet.protocol, packet.destination_port)
    if asked is None:
        return _other_port(view, packet.destination) or f"a Service with the address {packet.destination}; none has it"
    policy = "internalTrafficPolicy" if asked.cluster_ip == packet.destination else "externalTrafficPolicy"
    if not (asked.internal_local if policy.startswith("internal") else asked.external_local):
        return ""
    return f"a ready endpoint of Service {asked.service} on {node}, or {policy}: Cluster"


def explain_refusal(view: View, question: Question, there: Way, reason: str) -> tuple[str, str]:
    """Why it was refused, in the user's words where a Service is behind it, and what would be answered."""
    balance = next((one for one in _decisions(there) if one.what == "balance"), None)
    if balance is not None and balance.owner.startswith("Service/") and balance.why.endswith("refuse"):
        asked = _asked(view, question.address, question.protocol, question.port)
        service = asked.service if asked else balance.owner.partition("/")[2]
        return f"Service {service} has no ready endpoint", _endpoint(view, service)
    if question.port in _NODE_PORTS and any(node.name == there.host for node in view.memory.nodes):
        return f"no Service has node port {question.port}", _node_ports(view, question.protocol)
    return reason, _other_port(view, question.address) or _served(view, question, there)


def advise_no_rule(view: View, proxy: str, port: int) -> str:
    """For a request that no Ingress of the balancer has a rule for."""
    ingresses = [one for one in view.memory.lab.ingresses if balancer_name(one) == proxy]
    rules = [
        f"{rule.host or '*'}{path.path}"
        for ingress in ingresses
        if listener_port(ingress)[0] == port
        for rule in ingress.rules
        for path in rule.paths
    ]
    there_are = f"; there are: {_listed(iter(rules))}" if rules else ""
    return f"a rule for it in an Ingress of {proxy}{there_are}"


def _decisions(way: Way) -> Iterator[Decision]:
    for hop in way.hops:
        yield from hop.decisions


def _ports(view: View) -> Iterator[ServicePort]:
    for cluster in view.clusters.clusters:
        yield from cluster.services


def _asked(view: View, address: IPv4Address, protocol: str, number: int) -> ServicePort | None:
    """The port of a Service that is meant: by one of its addresses, or else by its node port."""
    for port in _ports(view):
        if port.protocol.value == protocol and port.port == number and address in _addresses(port):
            return port
    for port in _ports(view):
        if port.protocol.value == protocol and port.node_port == number:
            return port
    return None


def _addresses(port: ServicePort) -> tuple[IPv4Address, ...]:
    return (*((port.cluster_ip,) if port.cluster_ip else ()), *port.external_addresses)


def _other_port(view: View, address: IPv4Address) -> str:
    """The ports that there are at an address of a Service; "" for other addresses."""
    found = [port for port in _ports(view) if address in _addresses(port)]
    if not found:
        return ""
    return f"a port of Service {found[0].service}: {_listed(f'{one.port}/{one.protocol.value}' for one in found)}"


def _endpoint(view: View, service: str) -> str:
    namespace, _, name = service.rpartition("/")
    for one in view.memory.lab.services:
        if (one.namespace, one.name) == (namespace, name) and one.selector:
            labels = ", ".join(f"{key}={value}" for key, value in one.selector)
            return f"a ready pod with the label {labels}; see: lab get pods -n {namespace}"
    return f"an endpoint; see: lab describe svc/{name} -n {namespace}"


def _node_ports(view: View, protocol: str) -> str:
    found = [port for port in _ports(view) if port.node_port and port.protocol.value == protocol]
    ports = _listed(f"{port.node_port} ({port.service.rpartition('/')[2]})" for port in found)
    return f"one of the node ports that there are: {ports}" if found else f"a Service of type NodePort for {protocol}"


def _served(view: View, question: Question, there: Way) -> str:
    """What a host declares that it serves; "" when it declares nothing."""
    ports = next((one.ports for one in known_targets(view) if one.host == there.host and one.ports), ())
    if not ports:
        return ""
    return f"a port that {there.host} serves: {_listed(f'{number}/{protocol}' for protocol, number in ports)}"


def _listed(words: Iterator[str]) -> str:
    every = list(dict.fromkeys(words))
    more = f" and {len(every) - _MOST_PORTS} more" if len(every) > _MOST_PORTS else ""
    return ", ".join(every[:_MOST_PORTS]) + more
