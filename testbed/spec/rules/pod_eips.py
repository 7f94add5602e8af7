"""Elastic IPs that pods ask for or name by annotation: each has one pod, each pod has one, and the pod has an ENI."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from testbed.model.desired import NetworkModel
from testbed.spec.codes import Code
from testbed.spec.document import Cursor
from testbed.spec.faults import show
from testbed.spec.index import Index
from testbed.spec.rules.workloads import EIP_ID, Placed, templates

WITH_EIP = "yangtse.io/pod-with-eip"
STATIC_IP = "yangtse.io/static-ip"


@dataclass(frozen=True, slots=True)
class Asking:
    """A template whose pods ask for an elastic IP. ``eip`` is the one that they name, if they do."""

    user: str  # Pod/default/web, Deployment/default/web
    pods: tuple[str, ...]  # as ElasticIPs name them, where their names are known
    count: int
    eip: str
    cursor: Cursor
    host_network: bool


def asking_pods(index: Index) -> Iterator[Asking]:
    """Templates of eni clusters with either annotation; in other models the annotations are faults themselves."""
    replicas = {("Deployment", item.namespace, item.name): item.replicas for item in index.lab.deployments}
    replicas |= {("StatefulSet", item.namespace, item.name): item.replicas for item in index.lab.stateful_sets}
    for placed in templates(index):
        annotations = dict(placed.template.annotations)
        eip = annotations.get(EIP_ID, "")
        if placed.cluster.model is not NetworkModel.ENI or not (eip or annotations.get(WITH_EIP) == "true"):
            continue
        count = replicas.get((placed.kind, placed.namespace, placed.name), 1)
        cursor = placed.holder["metadata"]["annotations"][EIP_ID if eip else WITH_EIP]
        user = f"{placed.kind}/{placed.namespace}/{placed.name}"
        yield Asking(user, _names(placed, count), count, eip, cursor, placed.template.spec.host_network)


def _names(placed: Placed, count: int) -> tuple[str, ...]:
    start = f"Pod/{placed.namespace}/{placed.name}"
    if placed.kind == "Pod":
        return (start,)
    return tuple(f"{start}-{i}" for i in range(count)) if placed.kind == "StatefulSet" else ()


def pod_uses(index: Index) -> Iterator[tuple[str, str]]:
    """(elastic IP, the pod or controller that names it)."""
    for asking in asking_pods(index):
        if asking.eip:
            yield asking.eip, asking.pods[0] if len(asking.pods) == 1 else asking.user


def check_pod_eips(index: Index) -> None:
    bound = {eip.bound_to: eip.name for eip in index.lab.elastic_ips if eip.bound_to}
    for asking in asking_pods(index):
        if asking.eip and asking.count > 1:
            what = f"{asking.count} pods would have the elastic IP {show(asking.eip)}"
            hint = "leave it out, and each pod gets one of its own"
            asking.cursor.fault(Code.EIP_BOUND, what, hint, on_key=True)
        for pod in asking.pods:
            if bound.get(pod, asking.eip) != asking.eip:
                what = f"{pod} already has the elastic IP {show(bound[pod])}"
                asking.cursor.fault(Code.EIP_BOUND, what, "one elastic IP for each object", on_key=True)
        if asking.host_network:
            what = "a hostNetwork pod has no ENI of its own and gets no elastic IP"
            asking.cursor.warn(Code.FIELD_IGNORED, what, "bind one to its node", on_key=True)
    _check_static_addresses(index)


def _check_static_addresses(index: Index) -> None:
    for placed in templates(index):
        if placed.kind == "Deployment" and dict(placed.template.annotations).get(STATIC_IP) == "true":
            what = "pods of a Deployment have no lasting names and keep no address"
            cursor = placed.holder["metadata"]["annotations"][STATIC_IP]
            cursor.warn(Code.FIELD_IGNORED, what, "use a StatefulSet", on_key=True)
