"""The kubelet's document: what runs in pods, servers and internet hosts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from ipaddress import IPv4Address

from testbed.model.cloud import Cluster
from testbed.model.lab import Lab
from testbed.model.planning.dns import resolver_of
from testbed.model.planning.resolved import PlannedHost, PlannedPod
from testbed.model.workloads import Workload, WorkloadsState

Files = Mapping[str, tuple[tuple[str, str], ...]]
"""The configuration of the lab's own components, by the key of their pod or the owner of their host."""


def plan_workloads(
    lab: Lab,
    pods: Sequence[PlannedPod],
    hosts: Sequence[PlannedHost],
    files: Files,
    generation: int,
    terminating: Collection[str] = (),
) -> WorkloadsState:
    """Everything that shall run; pods whose uids are ``terminating`` shall end."""
    clusters = {cluster.name: cluster for cluster in lab.clusters}
    staying = [pod for pod in pods if pod.uid not in terminating]
    return WorkloadsState(generation, (*_pods(staying, clusters, files), *_hosts(hosts, files)))


def home_of(pod: PlannedPod) -> str:
    """What the pod's directories and logs are called: its network namespace's name, or one as nobody's can be."""
    return f"{pod.name}.{pod.namespace}.{pod.cluster}" if pod.host_network else pod.host


def _pods(pods: Sequence[PlannedPod], clusters: Mapping[str, Cluster], files: Files) -> Iterator[Workload]:
    for pod in pods:
        if pod.node is None or pod.address is None:
            continue
        spec = pod.template.spec
        nameserver, search = resolver_of(pod, clusters)
        yield Workload(
            name=pod.name,
            host=pod.host,
            owner=pod.owner,
            uid=pod.uid,
            address=pod.address,
            containers=spec.containers,
            namespace=pod.namespace,
            node=pod.node,
            restart_policy=spec.restart_policy,
            termination_grace_seconds=spec.termination_grace_seconds,
            hostname=spec.hostname or pod.name,
            nameserver=nameserver,
            search=search,
            labels=pod.template.labels,
            home=home_of(pod),
            files=files.get(pod.key, ()),
        )


def _hosts(hosts: Sequence[PlannedHost], files: Files) -> Iterator[Workload]:
    for host in hosts:
        if host.containers:
            yield Workload(
                name=host.name,
                host=host.name,
                owner=host.owner,
                uid=f"{host.owner}@{host.eni}",
                address=IPv4Address(host.address),
                containers=host.containers,
                hostname=host.name,
                files=files.get(host.owner, ()),
            )
