"""Ingresses: what the layer-7 proxy of each balancer listens on, decides and forwards to.

The proxy is outside the cluster, in the balancer's own namespace. Its members are those of the balancer's layer-4
listeners: pods for a dedicated balancer of a Cloud Native Network 2.0 cluster, else nodes by their node port.
Source: Kubernetes API reference, Ingress; CCE user guide, "LoadBalancer Ingresses".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from testbed.model.desired import Member, NetworkModel, Protocol
from testbed.model.kubernetes import Ingress, IngressBackend, IngressPath, KubeServicePort
from testbed.model.lab import Lab
from testbed.model.planning.balancers import PlannedBalancer, member_key, members_of, takes_pods
from testbed.model.planning.elb import (
    ELB_AFFINITY,
    ELB_ALGORITHM,
    ELB_ORDER,
    ELB_PORT,
    ELB_RULE_PRIORITY,
    URL_MATCH_MODE,
)
from testbed.model.planning.faults import PlanFault
from testbed.model.planning.haproxy import render_proxy
from testbed.model.planning.health import HealthCheck, checks_of
from testbed.model.planning.observed import Observed
from testbed.model.planning.proxy import (
    Certificate,
    Frontend,
    PathKind,
    PathRule,
    Proxy,
    ProxyBackend,
    ProxyServer,
    by_precedence,
)
from testbed.model.planning.resolved import PlannedNode
from testbed.model.planning.services import PlannedService

_ALGORITHMS = {"LEAST_CONNECTIONS": "leastconn", "SOURCE_IP": "source"}
_MODES = {"EQUAL_TO": PathKind.EXACT, "REGEX": PathKind.PATTERN}
_TYPES = {"Exact": PathKind.EXACT, "Prefix": PathKind.PREFIX}


@dataclass(frozen=True, slots=True)
class PlannedProxies:
    """``files``: the proxy's configuration by the balancer's owner. ``checks`` of every member, dead ones too."""

    files: dict[str, tuple[tuple[str, str], ...]]
    checks: tuple[HealthCheck, ...]


def plan_proxies(
    lab: Lab,
    balancers: Sequence[PlannedBalancer],
    services: Sequence[PlannedService],
    nodes: Sequence[PlannedNode],
    observed: Observed,
    faults: list[PlanFault],
) -> PlannedProxies:
    """What each balancer with Ingresses does. What it can't forward to is a fault."""
    scene = _Scene(lab, services, nodes, observed, faults, [])
    busy = [balancer for balancer in balancers if balancer.ingresses]
    files = {balancer.owner: tuple(render_proxy(scene.proxy(balancer)).items()) for balancer in busy}
    return PlannedProxies(files, tuple(scene.checks))


def listener_port(ingress: Ingress) -> tuple[int, bool]:
    """The port that an Ingress is served on, and whether it speaks TLS there."""
    secure = any(entry.secret for entry in ingress.tls)
    written = dict(ingress.annotations).get(ELB_PORT, "")
    return int(written) if written.isdigit() else 443 if secure else 80, secure


@dataclass(slots=True)
class _Scene:
    lab: Lab
    services: Sequence[PlannedService]
    nodes: Sequence[PlannedNode]
    observed: Observed
    faults: list[PlanFault]
    checks: list[HealthCheck]

    def proxy(self, balancer: PlannedBalancer) -> Proxy:
        mine = [ingress for ingress in self.lab.ingresses if _key(ingress) in balancer.ingresses]
        by_port: dict[int, list[Ingress]] = defaultdict(list)
        for ingress in mine:
            by_port[listener_port(ingress)[0]].append(ingress)
        self._check_ports(balancer, by_port)
        backends: dict[str, ProxyBackend] = {}
        for ingress in mine:
            for wanted in _backends_of(ingress):
                name = _backend_name(ingress, wanted)
                if name not in backends:
                    backends[name] = self._backend(name, ingress, wanted, balancer)
        frontends = (self._frontend(port, found, balancer) for port, found in sorted(by_port.items()))
        return Proxy(tuple(frontends), tuple(backends.values()))

    def _check_ports(self, balancer: PlannedBalancer, by_port: Mapping[int, Sequence[Ingress]]) -> None:
        """A port is one listener's: of one protocol, and not of a Service too."""
        taken = {
            port.port: planned.owner
            for planned in self.services
            if f"{planned.service.cluster}/{planned.key}" in balancer.services
            for port in planned.service.ports
            if port.protocol == "TCP"
        }
        for number, ingresses in by_port.items():
            first, secure = ingresses[0], listener_port(ingresses[0])[1]
            if number in taken:
                self._refuse(first, f"port {number} of {balancer.owner} is {taken[number]}'s", "another elb.port")
            for other in ingresses[1:]:
                if listener_port(other)[1] != secure:
                    words = ("HTTPS", "HTTP") if secure else ("HTTP", "HTTPS")
                    what = f"port {number} of {balancer.owner} speaks {words[0]} for {_owner(first)}, not {words[1]}"
                    self._refuse(other, what, "another elb.port, or tls for both or none")

    def _refuse(self, ingress: Ingress, what: str, hint: str) -> None:
        self.faults.append(PlanFault(ingress.source, _owner(ingress), what, hint, "P107"))

    def _frontend(self, port: int, ingresses: Sequence[Ingress], balancer: PlannedBalancer) -> Frontend:
        written = balancer.balancer.advanced_forwarding or any(map(_has_order, ingresses))
        ordered = sorted(ingresses, key=_order) if written else ingresses
        rules = [rule for ingress in ordered for rule in _rules(ingress)]
        defaults = (_backend_name(item, item.default_backend) for item in ingresses if item.default_backend)
        return Frontend(
            port,
            tuple(rules) if written else by_precedence(rules),
            tuple(self._certificates(ingresses)),
            host_first=not written,
            default=next(defaults, None),
        )

    def _certificates(self, ingresses: Sequence[Ingress]) -> Iterator[Certificate]:
        """First what is shown to those whom no name fits: the earliest Ingress's, that without hosts if it has one."""
        secrets = {f"{secret.cluster}/{secret.namespace}/{secret.name}": secret for secret in self.lab.secrets}
        entries = [(item, entry) for item in ingresses for entry in item.tls if entry.secret]
        if not entries:
            return
        earliest = [pair for pair in entries if pair[0] is entries[0][0]]
        default = next((pair for pair in earliest if not pair[1].hosts), earliest[0])
        for ingress, entry in (default, *(pair for pair in entries if pair is not default and pair[1].hosts)):
            secret = secrets.get(f"{ingress.cluster}/{ingress.namespace}/{entry.secret}")
            if secret is not None:
                yield Certificate(f"{secret.certificate.strip()}\n{secret.key.strip()}", entry.hosts)

    def _backend(self, name: str, ingress: Ingress, wanted: IngressBackend, balancer: PlannedBalancer) -> ProxyBackend:
        planned = self._service(ingress, wanted)
        if planned is None:
            return ProxyBackend(name, ())
        service = planned.service
        annotations = {**dict(service.annotations), **dict(ingress.annotations)}
        model = next(cluster.model for cluster in self.lab.clusters if cluster.name == ingress.cluster)
        direct = takes_pods(balancer, model)
        if not direct and not any(planned.node_ports):
            self._refuse_cluster_ip(ingress, planned, balancer, model)
        members = tuple(self._members(planned, wanted, direct))
        self.checks += checks_of(balancer, Protocol.TCP, members, annotations)
        alive = [member for member in members if member_key(balancer, member) not in self.observed.dead_members]
        # Where nobody answers the checks, anybody may be asked.
        servers = tuple(
            ProxyServer(f"{member.owner.rpartition('/')[2]}:{member.address}", member.address, member.port)
            for member in alive or members
        )
        algorithm = _ALGORITHMS.get(annotations.get(ELB_ALGORITHM, ""), "roundrobin")
        sticky = annotations.get(ELB_AFFINITY) == "HTTP_COOKIE"
        return ProxyBackend(name, servers, algorithm, sticky, balancer.proxy_address)

    def _members(self, planned: PlannedService, wanted: IngressBackend, direct: bool) -> Iterator[Member]:
        nodes = [node for node in self.nodes if node.cluster == planned.service.cluster]
        for port, node_port in zip(planned.service.ports, planned.node_ports, strict=True):
            if wanted.port in (str(port.port), port.name) and port.protocol == "TCP":
                yield from members_of(planned, port, node_port, direct, nodes)

    def _refuse_cluster_ip(
        self, ingress: Ingress, planned: PlannedService, balancer: PlannedBalancer, model: NetworkModel
    ) -> None:
        what = (
            f"{planned.owner} has no node port, and a {balancer.elb_class} load balancer of the {model} network model "
            "reaches nodes only"
        )
        self._refuse(ingress, what, "type NodePort; or a dedicated load balancer in the eni network model")

    def _service(self, ingress: Ingress, wanted: IngressBackend) -> PlannedService | None:
        key = f"{ingress.namespace}/{wanted.service}"
        found = (item for item in self.services if (item.service.cluster, item.key) == (ingress.cluster, key))
        planned = next(found, None)
        if planned is None or planned.service.type == "ExternalName" or not _has_port(planned.service.ports, wanted):
            return None
        return planned


def _has_port(ports: Sequence[KubeServicePort], wanted: IngressBackend) -> bool:
    return any(wanted.port in (str(port.port), port.name) for port in ports)


def _backends_of(ingress: Ingress) -> Iterator[IngressBackend]:
    if ingress.default_backend:
        yield ingress.default_backend
    yield from (path.backend for rule in ingress.rules for path in rule.paths)


def _rules(ingress: Ingress) -> Iterator[PathRule]:
    mode = dict(ingress.annotations).get(URL_MATCH_MODE, "")
    for rule in ingress.rules:
        for path in rule.paths:
            backend = _backend_name(ingress, path.backend)
            yield PathRule(rule.host.lower(), _kind(path, mode), path.path or "/", backend, _owner(ingress))


def _kind(path: IngressPath, mode: str) -> PathKind:
    """ImplementationSpecific is the balancer's own way: what the path starts with, unless the annotation says else."""
    return _TYPES.get(path.path_type) or _MODES.get(mode, PathKind.START)


def _has_order(ingress: Ingress) -> bool:
    annotations = dict(ingress.annotations)
    return ELB_ORDER in annotations or annotations.get(ELB_RULE_PRIORITY) == "true"


def _order(ingress: Ingress) -> int:
    """The smallest first; those that say nothing come after the largest, 1000."""
    written = dict(ingress.annotations).get(ELB_ORDER, "")
    return int(written) if written.isdigit() else 1001


def _backend_name(ingress: Ingress, wanted: IngressBackend) -> str:
    return f"{ingress.cluster}/{ingress.namespace}/{wanted.service}:{wanted.port}".replace("/", "_")


def _key(ingress: Ingress) -> str:
    return f"{ingress.cluster}/{ingress.namespace}/{ingress.name}"


def _owner(ingress: Ingress) -> str:
    return f"Ingress/{ingress.namespace}/{ingress.name}"
