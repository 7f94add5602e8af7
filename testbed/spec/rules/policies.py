"""NetworkPolicies and pod security group policies against the pods that they select."""

from __future__ import annotations

from testbed.model.desired import NetworkModel
from testbed.model.kubernetes import NetworkPolicy, PolicyRule
from testbed.spec.codes import Code
from testbed.spec.document import Cursor
from testbed.spec.index import POLICY_FIELD, Index
from testbed.spec.kube.common import selects
from testbed.spec.rules.groups import check_groups
from testbed.spec.rules.workloads import templates

DNS_PORT = 53


def check_policies(index: Index) -> None:
    clusters = {cluster.name: cluster for cluster in index.lab.clusters}
    pods: dict[tuple[str, str], list[tuple[tuple[str, str], ...]]] = {}
    for placed in templates(index):
        pods.setdefault((placed.cluster.name, placed.namespace), []).append(placed.template.labels)
    for policy in index.lab.network_policies:
        spec = index.cursor("network_policies", policy)["spec"]
        labels = pods.get((policy.cluster, policy.namespace), [])
        if not any(selects(policy.selector, item) for item in labels):
            what = f"policy {policy.name} selects no pods"
            spec["podSelector"].warn(Code.SELECTOR_EMPTY, what, on_key=True)
        cluster = clusters.get(policy.cluster)
        if cluster and cluster.model is not NetworkModel.TUNNEL:
            what = f"NetworkPolicies have no effect in the {cluster.model.value} network model"
            spec.warn(Code.MODEL_MISMATCH, what, on_key=True)
        elif cluster:
            what = f"policy {policy.name} is checked but not enforced: no switch of this lab drops anything for it"
            spec.warn(Code.POLICY, what, "lab matrix shows what passes in spite of it", on_key=True)
        _check_dns(spec, policy)
    _check_group_policies(index)


def _check_dns(spec: Cursor, policy: NetworkPolicy) -> None:
    if policy.egress is not None and not any(_allows_dns(rule) for rule in policy.egress):
        what = f"policy {policy.name} lets no DNS query out; names will not resolve"
        spec.warn(Code.POLICY, what, "allow UDP port 53", on_key=True)


def _allows_dns(rule: PolicyRule) -> bool:
    if not rule.ports:
        return True
    for port in rule.ports:
        if port.protocol != "UDP":
            continue
        if not port.port or not port.port.isdigit():
            return True
        if int(port.port) <= DNS_PORT <= (port.end_port or int(port.port)):
            return True
    return False


def _check_group_policies(index: Index) -> None:
    clusters = {cluster.name: cluster for cluster in index.lab.clusters}
    for policy in index.lab.security_group_policies:
        root = index.cursor(POLICY_FIELD, policy)
        cluster = clusters.get(policy.cluster)
        if cluster is None:
            continue
        if cluster.model is not NetworkModel.ENI and not index.model_chosen:
            what = f'securityGroups need the eni network model; this cluster uses "{cluster.model.value}"'
            root["spec"]["securityGroups"].fault(Code.MODEL_MISMATCH, what, on_key=True)
            continue
        check_groups(index, root["spec"]["securityGroups"], policy.security_groups, cluster.vpc)
