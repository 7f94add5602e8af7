"""Cluster DNS: its Service, the pods that answer, what they know, and what other pods have in resolv.conf.

The servers are static pods in the host network of a cluster's first nodes: they take no pod address and no decision
of the scheduler. To everybody else they are a Service of kube-system like any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Address

from testbed.model.cloud import Cluster
from testbed.model.components import dns_container
from testbed.model.kubernetes import KubeServicePort, Namespace, PodSpec, Service, Template
from testbed.model.lab import Lab
from testbed.model.planning.dns_zone import DnsEndpoint, DnsHost, DnsService, plan_zone, render_files, search_list
from testbed.model.planning.resolved import PlannedHost, PlannedNode, PlannedPod
from testbed.model.planning.services import PlannedService, dns_address
from testbed.model.source import Source

NAMESPACE = "kube-system"
SERVICE = "kube-dns"
LABELS = (("k8s-app", "kube-dns"),)
REPLICAS = 2

_PORTS = (KubeServicePort(53, "53", "dns", "UDP"), KubeServicePort(53, "53", "dns-tcp", "TCP"))


def with_dns(lab: Lab) -> Lab:
    """The lab with the DNS Service of each cluster that has none of the user's own. Twice is once."""
    there = {(item.cluster, item.namespace, item.name) for item in lab.services}
    made = [
        _service(cluster) for cluster in lab.clusters if cluster.dns and (cluster.name, NAMESPACE, SERVICE) not in there
    ]
    if not made:
        return lab
    known = any(item.name == NAMESPACE for item in lab.namespaces)
    namespaces = lab.namespaces if known else (*lab.namespaces, _namespace(made[0].source))
    return replace(lab, services=(*lab.services, *made), namespaces=namespaces)


def plan_dns_pods(lab: Lab, nodes: Sequence[PlannedNode]) -> tuple[PlannedPod, ...]:
    """One on each of a cluster's first nodes."""
    pods: list[PlannedPod] = []
    for cluster in lab.clusters:
        if cluster.dns:
            mine = [node for node in nodes if node.cluster == cluster.name][:REPLICAS]
            pods += [_pod(cluster, node, len(lab.clusters) > 1) for node in mine]
    return tuple(pods)


def resolver_of(pod: PlannedPod, clusters: Mapping[str, Cluster]) -> tuple[IPv4Address | None, tuple[str, ...]]:
    """The nameserver and search list of a pod's resolv.conf; None: it has its node's."""
    cluster, policy = clusters[pod.cluster], pod.template.spec.dns_policy
    own = policy == "ClusterFirstWithHostNet" or (policy == "ClusterFirst" and not pod.host_network)
    if not cluster.dns or not own:
        return None, ()
    return dns_address(cluster.service_cidr), search_list(pod.namespace)


def plan_dns_files(
    lab: Lab, pods: Iterable[PlannedPod], services: Sequence[PlannedService], hosts: Sequence[PlannedHost]
) -> dict[str, tuple[tuple[str, str], ...]]:
    """Configuration by the DNS pod's key."""
    names = tuple(_outside(hosts))
    zones = {cluster.name: plan_zone(_known(services, cluster.name), names) for cluster in lab.clusters if cluster.dns}
    files = {}
    for pod in pods:
        assert pod.address is not None
        files[pod.key] = tuple(render_files(zones[pod.cluster], pod.address).items())
    return files


def _known(services: Sequence[PlannedService], cluster: str) -> Iterator[DnsService]:
    for planned in services:
        if planned.service.cluster == cluster:
            ready = (backend for backend in planned.backends if backend.ready)
            endpoints = tuple(DnsEndpoint(backend.address, backend.hostname) for backend in ready)
            yield DnsService(planned.service, planned.cluster_ip, endpoints)


def _outside(hosts: Sequence[PlannedHost]) -> Iterator[DnsHost]:
    """Servers and internet hosts have the names that the user gave them; nothing else is known outside."""
    for host in hosts:
        if host.owner.startswith(("Server/", "InternetHost/")):
            yield DnsHost(host.name, host.address)


def _source(cluster: Cluster) -> Source:
    return Source(f"made for Cluster/{cluster.name}", 0)


def _namespace(source: Source) -> Namespace:
    return Namespace(NAMESPACE, (("kubernetes.io/metadata.name", NAMESPACE),), source)


def _service(cluster: Cluster) -> Service:
    address = str(dns_address(cluster.service_cidr))
    return Service(
        NAMESPACE,
        SERVICE,
        cluster.name,
        "ClusterIP",
        LABELS,
        _PORTS,
        _source(cluster),
        labels=LABELS,
        cluster_ip=address,
    )


def _pod(cluster: Cluster, node: PlannedNode, qualified: bool) -> PlannedPod:
    """A static pod: nobody schedules it, and it is called after its node."""
    name = f"{SERVICE}-{node.name}"
    scope = f"{cluster.name}/{NAMESPACE}" if qualified else NAMESPACE
    key = f"{cluster.name}/{NAMESPACE}/{name}"
    spec = PodSpec((dns_container(),), node_name=node.name, host_network=True, dns_policy="Default")
    return PlannedPod(
        cluster=cluster.name,
        namespace=NAMESPACE,
        name=name,
        key=key,
        owner=f"Pod/{scope}/{name}",
        slot=f"Pod/{key}",
        uid=f"{key}@{node.address}",
        controller="",
        template=Template(LABELS, (), spec),
        source=_source(cluster),
        model=cluster.model,
        host=node.name,
        node=node.name,
        address=node.address,
    )
