"""Endpoints of Services: the pods that a selector finds, or the user's own slices, with readiness.

Source: Kubernetes API reference, EndpointSlice: ready = serving and not terminating; publishNotReadyAddresses
makes every address count as ready.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.model.desired import ServiceEndpoint
from testbed.model.kubernetes import EndpointSlice, KubeServicePort, Service
from testbed.model.lab import Lab
from testbed.model.planning.observed import Observed
from testbed.model.planning.resolved import PlannedPod


@dataclass(frozen=True, slots=True)
class Backend:
    """One address behind a Service; ``pod`` None: it is of the user's own slice. ``hostname`` is for DNS."""

    address: IPv4Address
    node: str | None
    ready: bool
    serving: bool
    owner: str
    host_network: bool = False
    hostname: str = ""
    pod: PlannedPod | None = None
    ports: tuple[tuple[str, int], ...] = ()


class Endpoints:
    """Looks up backends by Service; built once per planning run."""

    def __init__(self, lab: Lab, pods: Sequence[PlannedPod], observed: Observed) -> None:
        self._observed = observed
        self._governing = {
            f"StatefulSet/{item.cluster}/{item.namespace}/{item.name}": item.service_name for item in lab.stateful_sets
        }
        self._by_label: Mapping[tuple[str, str, str, str], list[PlannedPod]] = defaultdict(list)
        for pod in pods:
            if pod.node is None:
                continue
            for key, value in pod.template.labels:
                self._by_label[pod.cluster, pod.namespace, key, value].append(pod)
        self._slices: Mapping[tuple[str, str, str], list[EndpointSlice]] = defaultdict(list)
        for item in lab.endpoint_slices:
            self._slices[item.cluster, item.namespace, item.service].append(item)

    def of(self, service: Service) -> tuple[Backend, ...]:
        """Every backend of ``service``, ready or not, in the order of pods."""
        if service.selector:
            return tuple(self._backend(pod, service) for pod in self._selected(service))
        return tuple(
            Backend(
                endpoint.address,
                endpoint.node,
                endpoint.ready and not endpoint.terminating,
                endpoint.serving,
                f"EndpointSlice/{item.namespace}/{item.name}",
                hostname=endpoint.hostname or "",
                ports=tuple((port.name, port.port) for port in item.ports),
            )
            for item in self._slices[service.cluster, service.namespace, service.name]
            for endpoint in item.endpoints
        )

    def _selected(self, service: Service) -> list[PlannedPod]:
        first, *rest = service.selector
        found = self._by_label[service.cluster, service.namespace, *first]
        return [pod for pod in found if set(rest) <= set(pod.template.labels)]

    def _backend(self, pod: PlannedPod, service: Service) -> Backend:
        assert pod.address is not None
        leaving = pod.uid in self._observed.leaving
        serving = pod.uid in self._observed.ready
        spec = pod.template.spec
        named = spec.hostname if spec.subdomain == service.name else None
        stateful = pod.name if self._governing.get(pod.controller) == service.name else ""
        return Backend(
            pod.address,
            pod.node,
            (serving and not leaving) or service.publish_not_ready_addresses,
            serving or service.publish_not_ready_addresses,
            pod.owner,
            pod.host_network,
            named or stateful,
            pod,
        )


def target_port(backend: Backend, port: KubeServicePort) -> int | None:
    """The number that ``port`` means on ``backend``; None when the pod names no such port."""
    if backend.pod is None:
        named = dict(backend.ports)
        return named.get(port.name, port.port)
    if not port.target_port:
        return port.port
    if port.target_port.isdigit():
        return int(port.target_port)
    for container in backend.pod.template.spec.containers:
        for offered in container.ports:
            if offered.name == port.target_port:
                return offered.port
    return None


def endpoints_of_port(backends: Sequence[Backend], port: KubeServicePort) -> tuple[ServiceEndpoint, ...]:
    """The Service's backends as endpoints of one of its ports; those that lack the named port are left out."""
    found = []
    for backend in backends:
        number = target_port(backend, port)
        if number is not None:
            found.append(
                ServiceEndpoint(
                    backend.address,
                    number,
                    backend.node,
                    backend.owner,
                    backend.ready,
                    backend.serving,
                    backend.host_network,
                )
            )
    return tuple(found)
