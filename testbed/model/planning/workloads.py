"""The kubelet's document: what runs in pods, servers and internet hosts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address

from testbed.model.lab import Lab
from testbed.model.planning.resolved import PlannedHost, PlannedPod
from testbed.model.workloads import Workload, WorkloadsState


def plan_workloads(
    lab: Lab, pods: Sequence[PlannedPod], hosts: Sequence[PlannedHost], generation: int
) -> WorkloadsState:
    return WorkloadsState(generation, (*_pods(pods), *_hosts(hosts)))


def _pods(pods: Sequence[PlannedPod]) -> Iterator[Workload]:
    for pod in pods:
        if pod.node is None or pod.address is None:
            continue
        spec = pod.template.spec
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
            labels=pod.template.labels,
        )


def _hosts(hosts: Sequence[PlannedHost]) -> Iterator[Workload]:
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
            )
