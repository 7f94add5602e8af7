"""Pods and their templates against the rest of the lab."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from testbed.model.cloud import Cluster
from testbed.model.desired import NetworkModel
from testbed.model.kubernetes import Template
from testbed.model.planning.pod_groups import selects
from testbed.spec.codes import Code
from testbed.spec.document import Cursor
from testbed.spec.faults import show
from testbed.spec.index import Index
from testbed.spec.rules.groups import check_groups

GROUPS = "yangtse.io/security-group-ids"
MORE_GROUPS = "yangtse.io/additional-security-group-ids"
EIP_ID = "yangtse.io/eip-id"
ENI_ONLY = (GROUPS, MORE_GROUPS, EIP_ID, "yangtse.io/pod-with-eip")
HOSTNAME = "kubernetes.io/hostname"


@dataclass(frozen=True, slots=True)
class Placed:
    """A template with where it was written and the cluster that it is for."""

    kind: str
    namespace: str
    name: str
    template: Template
    cluster: Cluster
    holder: Cursor


def templates(index: Index) -> Iterator[Placed]:
    """Every pod template of the lab."""
    clusters = {cluster.name: cluster for cluster in index.lab.clusters}
    for lab_field in ("pods", "deployments", "stateful_sets"):
        for item in getattr(index.lab, lab_field):
            root = index.cursor(lab_field, item)
            holder = root if lab_field == "pods" else root.at("spec", "template")
            if item.cluster in clusters:
                kind = index.kind_of(lab_field)
                yield Placed(kind, item.namespace, item.name, item.template, clusters[item.cluster], holder)


def check_workloads(index: Index) -> None:
    for placed in templates(index):
        _check_node(index, placed)
        _check_node_selector(placed)
        _check_annotations(index, placed)
    _check_pod_names(index)


def _check_node(index: Index, placed: Placed) -> None:
    index.node(placed.holder["spec"]["nodeName"], placed.template.spec.node_name, placed.cluster.name)


def _check_node_selector(placed: Placed) -> None:
    wanted = dict(placed.template.spec.node_selector)
    if not wanted:
        return
    for pool in placed.cluster.pools:
        for node in pool.node_names:
            labels = {**dict(pool.labels), HOSTNAME: node}
            known = all(labels.get(key) == value for key, value in wanted.items() if not _is_system(key))
            if known:
                return
    what = f"no node of cluster {show(placed.cluster.name)} has these labels"
    hint = "give a node pool the labels; the pods will wait"
    placed.holder["spec"]["nodeSelector"].warn(Code.SELECTOR_EMPTY, what, hint, on_key=True)


def _is_system(key: str) -> bool:
    """Labels that Kubernetes itself puts on nodes."""
    return key.endswith(("kubernetes.io/os", "kubernetes.io/arch"))


def _check_annotations(index: Index, placed: Placed) -> None:
    annotations = dict(placed.template.annotations)
    cursor = placed.holder["metadata"]["annotations"]
    model = placed.cluster.model
    fits = model is NetworkModel.ENI or index.model_chosen
    for key in ENI_ONLY:
        if key in annotations and not fits and annotations[key] not in ("", "false"):
            what = f'{key} needs the eni network model; this cluster uses "{model.value}"'
            cursor[key].fault(Code.MODEL_MISMATCH, what, on_key=True)
    if model is not NetworkModel.ENI:
        return
    groups, more = names_in(annotations.get(GROUPS, "")), names_in(annotations.get(MORE_GROUPS, ""))
    check_groups(index, cursor[GROUPS], groups, placed.cluster.vpc)
    if more:
        standing = [groups] if groups else _standing_groups(index, placed)
        besides = max(len(set(names) - set(more)) for names in standing)
        check_groups(index, cursor[MORE_GROUPS], more, placed.cluster.vpc, besides)
    index.elastic_ip(cursor[EIP_ID], annotations.get(EIP_ID))


def _standing_groups(index: Index, placed: Placed) -> list[tuple[str, ...]]:
    """What a pod may carry that names no groups itself: its policy's, else its node pool's or cluster's."""
    labels = dict(placed.template.labels)
    for policy in index.lab.security_group_policies:
        here = (policy.cluster, policy.namespace) == (placed.cluster.name, placed.namespace)
        if here and selects(policy.selector, labels):
            return [policy.security_groups]
    usual = placed.cluster.eni_security_groups or (f"{placed.cluster.name}-cce-eni",)
    return [pool.pod_security_groups or usual for pool in placed.cluster.pools]


def names_in(text: str) -> tuple[str, ...]:
    """The names of a comma-separated annotation."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _check_pod_names(index: Index) -> None:
    """A bare pod may not have the name of a StatefulSet's."""
    pods = {(pod.cluster, pod.namespace, pod.name): pod for pod in index.lab.pods}
    for item in index.lab.stateful_sets:
        for ordinal in range(item.replicas):
            name = f"{item.name}-{ordinal}"
            pod = pods.get((item.cluster, item.namespace, name))
            if pod is not None:
                what = f"the name {show(name)} is already that of a pod of StatefulSet {show(item.name)}"
                index.cursor("pods", pod)["metadata"]["name"].fault(Code.NAME_DUPLICATE, what)
