"""Which sender, receiver and port the words of a user mean."""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Address

from testbed.model.kubernetes import Container
from testbed.observe.status import View
from testbed.observe.trace.results import Question
from testbed.operations.errors import BadRequestError
from testbed.operations.hosts import find_host
from testbed.operations.memory import Memory

_SERVICE_KINDS = ("service", "services", "svc")


def read_question(view: View, source: str, target: str, protocol: str, port: int, namespace: str) -> Question:
    """``protocol`` "" and ``port`` 0: not given. TCP when there is a port or the target is a Service, else an echo.

    Raises ``BadRequestError`` for a word that names nothing.
    """
    host = find_host(view.memory, *_in_namespace(source, namespace))
    if host == "fabric":
        raise BadRequestError("the fabric is the cloud itself and sends nothing; name a pod, node, server or host")
    address, first_port, is_service = find_target(view, target, namespace)
    protocol = protocol or ("tcp" if port or is_service else "icmp")
    if protocol == "icmp":
        if port:
            raise BadRequestError("ICMP has no ports; say --proto tcp or udp with --port")
        return Question(source, host, target, address, protocol)
    return Question(source, host, target, address, protocol, port or first_port or _no_port(target))


def find_target(view: View, word: str, namespace: str = "default") -> tuple[IPv4Address, int, bool]:
    """Address, first port (0: none declared) and whether it is a Service.

    An address as it is; ``svc/web``; anything that :func:`find_host` knows. A bare word that names no host may name
    a Service.
    """
    try:
        return IPv4Address(word), 0, False
    except AddressValueError:
        pass
    word, namespace = _in_namespace(word, namespace)
    kind, _, name = word.rpartition("/")
    if kind.lower() in _SERVICE_KINDS:
        return (*_service(view, name, namespace), True)
    try:
        host = find_host(view.memory, word, namespace)
    except BadRequestError:
        try:
            return (*_service(view, name, namespace), True)
        except BadRequestError:
            pass
        raise
    return (*_address_of(view.memory, host, word, namespace), False)


def _in_namespace(word: str, namespace: str) -> tuple[str, str]:
    """``pod/shop/web-0`` -> ``pod/web-0`` in ``shop``."""
    parts = word.split("/")
    return (f"{parts[0]}/{parts[2]}", parts[1]) if len(parts) == 3 else (word, namespace)


def _service(view: View, name: str, namespace: str) -> tuple[IPv4Address, int]:
    key = f"{namespace}/{name}"
    for cluster in view.clusters.clusters:
        for port in cluster.services:
            if port.service == key and port.cluster_ip is not None:
                return port.cluster_ip, port.port
    raise BadRequestError(f"there is no Service {name} with an address in namespace {namespace}")


def _address_of(memory: Memory, host: str, word: str, namespace: str) -> tuple[IPv4Address, int]:
    name = word.rpartition("/")[2]
    for pod in memory.pods:
        named = (pod.namespace, pod.name) == (namespace, name)
        if pod.address is not None and (named or (pod.host == host and not pod.host_network)):
            return pod.address, _first_port(pod.template.spec.containers)
    for node in memory.nodes:
        if node.name == host:
            return node.address, 0
    for other in memory.hosts:
        if other.name == host:
            return other.address, _first_port(other.containers)
    raise BadRequestError(f"{word} has no address")


def _first_port(containers: tuple[Container, ...]) -> int:
    return next((port.port for container in containers for port in container.ports), 0)


def _no_port(target: str) -> int:
    raise BadRequestError(f"{target} declares no port; say which: --port N")
