"""Which sender, receiver and port the words of a user mean: names of all kinds, and addresses."""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from ipaddress import AddressValueError, IPv4Address
from typing import NamedTuple

from testbed.observe.status import View
from testbed.observe.trace.names import Known, known_targets
from testbed.observe.trace.results import Question, Request
from testbed.operations.errors import BadRequestError
from testbed.operations.hosts import find_host
from testbed.operations.kinds import find_kind

_HOSTS = ("Pod", "Deployment", "StatefulSet", "Node", "Server", "InternetHost")


class Target(NamedTuple):
    """``ports``: (protocol, port) that are served there, the usual one first. ``service``: it is for these only."""

    address: IPv4Address
    ports: tuple[tuple[str, int], ...] = ()
    service: bool = False
    request: Request | None = None


def read_question(
    view: View,
    source: str,
    target: str,
    protocol: str,
    port: int,
    namespace: str,
    request: Request | None = None,
) -> Question:
    """``protocol`` "" and ``port`` 0: not given. TCP when there is a port or the target is a service, else an echo.

    An Ingress is asked for its first host and path, unless ``request`` says what; a request without a host is for that
    of the Ingress, or for what the target is called. Raises ``BadRequestError`` for a
    word that names nothing.
    """
    host = find_source(view, source, namespace)
    found = find_target(view, target, namespace)
    if request and not request.host:
        request = replace(request, host=found.request.host if found.request else target.rpartition("/")[2])
    request = request or found.request
    if request and not protocol:
        protocol, port = "tcp", port or next((number for kind, number in found.ports if kind == "tcp"), 80)
    protocol = protocol or _usual_protocol(found, port)
    if protocol == "icmp":
        if port:
            raise BadRequestError("ICMP has no ports; say --proto tcp or udp with --port")
        return Question(source, host, target, found.address, protocol)
    served = next((number for kind, number in found.ports if kind == protocol), 0)
    return Question(
        source, host, target, found.address, protocol, port or served or _no_port(target, protocol), request
    )


def _usual_protocol(target: Target, port: int) -> str:
    if port:
        return next((kind for kind, number in target.ports if number == port), "tcp")
    return target.ports[0][0] if target.service and target.ports else "icmp"


def _no_port(target: str, protocol: str) -> int:
    raise BadRequestError(f"{target} declares no {protocol.upper()} port; say which: --port N")


def find_source(view: View, word: str, namespace: str = "default") -> str:
    """The namespace that a name, or who has an address, sends from. Raises ``BadRequestError``."""
    address = _address(word)
    if address is not None:
        return _owner_of(view, address)
    try:
        host = find_host(view.memory, *_in_namespace(word, namespace))
    except BadRequestError as error:
        if (known := _look_up(view, word, namespace)) is None:
            raise _unknown(view, word, namespace, error) from None
        if not known.host:
            raise BadRequestError(
                f"{known.kind} {known.name} sends nothing of its own; name a pod, node, server or host"
            ) from None
        host = known.host
    if host == "fabric":
        raise BadRequestError("the fabric is the cloud itself and sends nothing; name a pod, node, server or host")
    return host


def find_target(view: View, word: str, namespace: str = "default") -> Target:
    """An address as it is; ``svc/web``, ``eip/for-n1``, ``elb/shop``, ``ing/shop``, or a host; or one's bare name.

    Raises ``BadRequestError``.
    """
    address = _address(word)
    if address is not None:
        found = next((one for one in known_targets(view) if one.address == address), None)
        return Target(address, found.ports if found else (), False)
    known = find_known(view, word, namespace)
    return Target(known.address, known.ports, known.service, known.request)


def find_known(view: View, word: str, namespace: str = "default") -> Known:
    """What a name stands for. Raises ``BadRequestError`` with the nearest name."""
    known = _look_up(view, word, namespace)
    if known is None:
        raise _unknown(view, word, namespace)
    return known


def _look_up(view: View, word: str, namespace: str) -> Known | None:
    """By kind and name, or by name alone: then what comes first in the order of ``known_targets``.

    A Deployment means its first pod.
    """
    word, namespace = _in_namespace(word, namespace)
    kind, _, name = word.rpartition("/")
    wanted = find_kind(kind).name if kind else ""
    if wanted in ("Deployment", "StatefulSet"):
        host = find_host(view.memory, word, namespace)
        return next((one for one in known_targets(view) if one.host == host), None)
    for known in known_targets(view):
        same = known.name == name and known.namespace in ("", namespace)
        if (same or (not wanted and known.host == name)) and wanted in ("", known.kind):
            return known
    return None


def _unknown(view: View, word: str, namespace: str, error: BadRequestError | None = None) -> BadRequestError:
    word, namespace = _in_namespace(word, namespace)
    kind, _, name = word.rpartition("/")
    wanted = find_kind(kind).name if kind else ""
    if error is not None and wanted in _HOSTS:
        return error
    if wanted in ("", "Pod") and (pending := _pending(view, name, namespace)) is not None:
        return BadRequestError(f"pod {name} is Pending and has no address: {pending}")
    if wanted in ("", "Service") and any(one.name == name for one in view.memory.lab.services):
        return BadRequestError(f"Service {name} has no address of its own (headless); name one of its pods")
    near = get_close_matches(name, _names(view, wanted), n=1)
    hint = f"did you mean {near[0]}?" if near else "see: lab get all -A"
    if not wanted:
        return BadRequestError(f"there is no pod, node, server, host, Service, balancer or elastic IP {name}; {hint}")
    where = f" in namespace {namespace}" if find_kind(kind).namespaced else ""
    return BadRequestError(f"there is no {wanted} {name} with an address{where}; {hint}")


def _pending(view: View, name: str, namespace: str) -> str | None:
    """Why the pod of this name runs nowhere; None for one that does, and where there is none."""
    pods = (pod for pod in view.memory.pods if (pod.namespace, pod.name) == (namespace, name))
    return next((pod.pending for pod in pods if pod.address is None or pod.node is None), None)


def _names(view: View, kind: str) -> list[str]:
    return [known.name for known in known_targets(view) if kind in ("", known.kind)]


def _owner_of(view: View, address: IPv4Address) -> str:
    hosts = list(dict.fromkeys(one.host for one in known_targets(view) if one.address == address and one.host))
    if len(hosts) == 1:
        return hosts[0]
    if hosts:
        raise BadRequestError(f"{' and '.join(hosts)} have the address {address}; say which by its name")
    raise BadRequestError(f"nobody in the lab has the address {address}; see: lab get all -A")


def _address(word: str) -> IPv4Address | None:
    try:
        return IPv4Address(word)
    except AddressValueError:
        return None


def _in_namespace(word: str, namespace: str) -> tuple[str, str]:
    """``pod/shop/web-0`` -> ``pod/web-0`` in ``shop``."""
    parts = word.split("/")
    return (f"{parts[0]}/{parts[2]}", parts[1]) if len(parts) == 3 else (word, namespace)
