"""Objects whose packets are looked at: where they are in the lab, and their addresses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.observe.status import View
from testbed.observe.trace.names import Known, known_targets
from testbed.observe.trace.naming import find_known
from testbed.operations.errors import BadRequestError


@dataclass(frozen=True, slots=True)
class Subject:
    """``node``: where a pod runs, or the node itself; "" for what has no node. ``addresses``: all that mean it."""

    name: str
    owner: str
    namespace: str
    addresses: tuple[IPv4Address, ...]
    node: str = ""


def find_subjects(view: View, word: str, namespace: str = "default") -> tuple[Subject, ...]:
    """A pod, node, server, host or balancer; of a Service its endpoints, of an elastic IP what it is bound to.

    Raises ``BadRequestError``.
    """
    known = find_known(view, word, namespace)
    everything = list(known_targets(view))
    if known.kind == "Service":
        found = tuple(_endpoints(view, known, everything))
        if not found:
            raise BadRequestError(f"Service {known.name} has no endpoint in the lab; name a pod, node, server or host")
        return found
    if not known.host:
        raise BadRequestError(f"{known.kind} {known.name} has no interface of its own; name what it leads to")
    owner = known if known.kind != "ElasticIP" else next(one for one in everything if one.host == known.host)
    return (_subject(view, owner, everything),)


def addresses_of(view: View, word: str, namespace: str = "default") -> set[IPv4Address]:
    """All addresses that mean an object; of a Service its own only. Raises ``BadRequestError``."""
    known = find_known(view, word, namespace)
    if not known.host:
        return {known.address}
    return {one.address for one in known_targets(view) if one.host == known.host}


def _endpoints(view: View, service: Known, everything: list[Known]) -> Iterator[Subject]:
    key = f"{service.namespace}/{service.name}"
    ports = [port for cluster in view.clusters.clusters for port in cluster.services if port.service == key]
    outside = {address for port in ports for address in port.external_addresses}
    for address in dict.fromkeys(end.address for port in ports for end in port.endpoints):
        for one in everything:
            if one.address == address and one.kind in ("Pod", "Node"):
                yield _subject(view, one, everything, (service.address, *sorted(outside)))
                break


def _subject(view: View, known: Known, everything: list[Known], more: tuple[IPv4Address, ...] = ()) -> Subject:
    named = f"{known.namespace}/{known.name}" if known.namespace else known.name
    addresses = [one.address for one in everything if one.host == known.host and one.kind in (known.kind, "ElasticIP")]
    return Subject(known.name, f"{known.kind}/{named}", known.host, (*addresses, *more), _node_of(view, known.host))


def _node_of(view: View, host: str) -> str:
    if any(node.name == host for node in view.memory.nodes):
        return host
    return next((pod.node or "" for pod in view.memory.pods if pod.host == host), "")


def names_of_addresses(view: View) -> dict[IPv4Address, str]:
    """How people call who has an address: ``web-0``, ``svc/web``, ``eip/for-n1``; a node's address is the node's,
    whatever pods share it.
    """
    short = {"Service": "svc/", "ElasticIP": "eip/", "Ingress": "ing/", "LoadBalancer": "elb/"}
    found = {node.address: node.name for node in view.memory.nodes}
    for known in known_targets(view):
        found.setdefault(known.address, f"{short.get(known.kind, '')}{known.name}")
    return found
