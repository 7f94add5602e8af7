"""The Kubernetes objects that a user asked for, as far as the lab emulates them."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from testbed.model.source import Source

Labels = tuple[tuple[str, str], ...]
"""Sorted (key, value) pairs."""


@dataclass(frozen=True, slots=True)
class ContainerPort:
    port: int
    protocol: str = "TCP"
    name: str = ""


@dataclass(frozen=True, slots=True)
class Probe:
    """``kind``: httpGet, tcpSocket or exec. ``port`` may be a container port's name. Times in seconds.

    ``host`` is asked instead of the pod's own address.
    """

    kind: str
    port: str = ""
    path: str = "/"
    command: tuple[str, ...] = ()
    headers: Labels = ()
    initial_delay: float = 0
    period: float = 10
    timeout: float = 1
    success_threshold: int = 1
    failure_threshold: int = 3
    host: str = ""


@dataclass(frozen=True, slots=True)
class Container:
    """``image`` names an entry of the catalogue; ``command`` + ``args`` run as given when there is a command."""

    name: str
    image: str
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: Labels = ()
    ports: tuple[ContainerPort, ...] = ()
    readiness: Probe | None = None
    liveness: Probe | None = None


@dataclass(frozen=True, slots=True)
class PodSpec:
    containers: tuple[Container, ...]
    node_name: str | None = None
    node_selector: Labels = ()
    host_network: bool = False
    hostname: str | None = None
    subdomain: str | None = None
    restart_policy: str = "Always"
    dns_policy: str = "ClusterFirst"
    termination_grace_seconds: int = 30
    anti_affinity_hostname: bool = False  # required podAntiAffinity on kubernetes.io/hostname with own labels
    readiness_gates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Template:
    labels: Labels
    annotations: Labels
    spec: PodSpec


@dataclass(frozen=True, slots=True)
class Namespace:
    name: str
    labels: Labels
    source: Source
    annotations: Labels = ()


@dataclass(frozen=True, slots=True)
class Pod:
    """A bare Pod. ``cluster`` is the name of the lab's cluster that it runs in."""

    namespace: str
    name: str
    cluster: str
    template: Template
    source: Source


@dataclass(frozen=True, slots=True)
class Deployment:
    namespace: str
    name: str
    cluster: str
    replicas: int
    selector: Labels
    template: Template
    source: Source
    max_surge: int | str = "25%"
    max_unavailable: int | str = "25%"
    recreate: bool = False  # strategy Recreate: all old pods go before new ones come


@dataclass(frozen=True, slots=True)
class StatefulSet:
    namespace: str
    name: str
    cluster: str
    replicas: int
    selector: Labels
    template: Template
    service_name: str
    source: Source


@dataclass(frozen=True, slots=True)
class KubeServicePort:
    port: int
    target_port: str  # number or name, as text; empty: same as port
    name: str = ""
    protocol: str = "TCP"
    node_port: int | None = None


@dataclass(frozen=True, slots=True)
class Service:
    namespace: str
    name: str
    cluster: str
    type: str  # ClusterIP, NodePort, LoadBalancer, ExternalName
    selector: Labels
    ports: tuple[KubeServicePort, ...]
    source: Source
    annotations: Labels = ()
    labels: Labels = ()
    cluster_ip: str | None = None  # "None" = headless
    external_name: str | None = None
    external_ips: tuple[IPv4Address, ...] = ()
    session_affinity_seconds: int = 0  # 0: sessionAffinity None
    external_traffic_policy: str = "Cluster"
    internal_traffic_policy: str = "Cluster"
    publish_not_ready_addresses: bool = False
    load_balancer_ip: IPv4Address | None = None
    source_ranges: tuple[IPv4Network, ...] = ()
    allocate_node_ports: bool = True


@dataclass(frozen=True, slots=True)
class SliceEndpoint:
    address: IPv4Address
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    node: str | None = None
    hostname: str | None = None


@dataclass(frozen=True, slots=True)
class EndpointSlice:
    """A user's own slice, for a Service without a selector."""

    namespace: str
    name: str
    cluster: str
    service: str
    endpoints: tuple[SliceEndpoint, ...]
    ports: tuple[ContainerPort, ...]
    source: Source


@dataclass(frozen=True, slots=True)
class IngressBackend:
    service: str
    port: str  # number or name, as text


@dataclass(frozen=True, slots=True)
class IngressPath:
    path: str
    path_type: str
    backend: IngressBackend


@dataclass(frozen=True, slots=True)
class IngressRule:
    host: str
    paths: tuple[IngressPath, ...]


@dataclass(frozen=True, slots=True)
class IngressTls:
    hosts: tuple[str, ...]
    secret: str


@dataclass(frozen=True, slots=True)
class Ingress:
    namespace: str
    name: str
    cluster: str
    rules: tuple[IngressRule, ...]
    source: Source
    default_backend: IngressBackend | None = None
    tls: tuple[IngressTls, ...] = ()
    class_name: str | None = None
    annotations: Labels = ()


@dataclass(frozen=True, slots=True)
class Secret:
    """A TLS secret; the texts are PEM. Never printed."""

    namespace: str
    name: str
    cluster: str
    certificate: str = field(repr=False)
    key: str = field(repr=False)
    source: Source


@dataclass(frozen=True, slots=True)
class SelectorTerm:
    """``operator``: In, NotIn, Exists, DoesNotExist."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LabelSelector:
    match_labels: Labels = ()
    expressions: tuple[SelectorTerm, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicyPeer:
    pods: LabelSelector | None = None
    namespaces: LabelSelector | None = None
    cidr: IPv4Network | None = None
    excepted: tuple[IPv4Network, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicyPort:
    protocol: str = "TCP"
    port: str = ""  # number or name; empty: all
    end_port: int | None = None


@dataclass(frozen=True, slots=True)
class PolicyRule:
    peers: tuple[PolicyPeer, ...]  # empty: everybody
    ports: tuple[PolicyPort, ...]  # empty: all


@dataclass(frozen=True, slots=True)
class NetworkPolicy:
    """``ingress``/``egress`` None: the policy does not isolate that direction."""

    namespace: str
    name: str
    cluster: str
    selector: LabelSelector
    source: Source
    ingress: tuple[PolicyRule, ...] | None = None
    egress: tuple[PolicyRule, ...] | None = None


@dataclass(frozen=True, slots=True)
class SecurityGroupPolicy:
    """CCE's ``SecurityGroup`` custom resource (crd.yangtse.cni/v1): groups for the pods that a selector finds."""

    namespace: str
    name: str
    cluster: str
    selector: LabelSelector
    security_groups: tuple[str, ...]
    source: Source
