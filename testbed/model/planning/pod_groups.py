"""Which security groups a pod's ENI carries: the highest priority wins, it is not a union.

Source: CCE user guide, "Configuring a Security Group for a Pod": annotation, SecurityGroup policy, node pool,
cluster default. ``additional-security-group-ids`` adds to what was found. At most five. A policy changes running pods
at once; everything else is for pods that start after it.
"""

from __future__ import annotations

from testbed.model.cloud import Cluster
from testbed.model.kubernetes import LabelSelector
from testbed.model.lab import Lab
from testbed.model.planning.ledger import ChosenGroups
from testbed.model.planning.requests import PodRequest
from testbed.model.planning.resolved import PlannedNode
from testbed.model.planning.security import eni_group, group_names

GROUPS = "yangtse.io/security-group-ids"
MORE_GROUPS = "yangtse.io/additional-security-group-ids"


class PodGroups:
    def __init__(self, lab: Lab) -> None:
        self._policies = lab.security_group_policies
        self._known = group_names(lab)

    def choose(
        self, request: PodRequest, node: PlannedNode, cluster: Cluster, held: ChosenGroups | None
    ) -> ChosenGroups:
        """What the pod has had since it started (``held``), unless one of these groups is gone; else what it gets."""
        if held and self._all_there(held, cluster):
            return held
        annotations = dict(request.template.annotations)
        generated = (eni_group(cluster),)
        return ChosenGroups(
            _names(annotations.get(GROUPS, "")),
            node.pool.pod_security_groups or cluster.eni_security_groups or generated,
            _names(annotations.get(MORE_GROUPS, "")),
        )

    def of(self, request: PodRequest, chosen: ChosenGroups) -> tuple[str, ...]:
        """Group names (of the cluster's VPC) for the pod, as of now."""
        found = chosen.own or self._by_policy(request) or chosen.standing
        return tuple(dict.fromkeys((*found, *chosen.more)))

    def _all_there(self, held: ChosenGroups, cluster: Cluster) -> bool:
        return all((cluster.vpc, name) in self._known for name in (*held.own, *held.standing, *held.more))

    def _by_policy(self, request: PodRequest) -> tuple[str, ...]:
        for policy in self._policies:
            same = (policy.cluster, policy.namespace) == (request.cluster, request.namespace)
            if same and selects(policy.selector, dict(request.template.labels)):
                return policy.security_groups
        return ()


def selects(selector: LabelSelector, labels: dict[str, str]) -> bool:
    """Kubernetes' label selector semantics; an empty selector selects everything."""
    if any(labels.get(key) != value for key, value in selector.match_labels):
        return False
    return all(_term(term.operator, labels.get(term.key), term.values) for term in selector.expressions)


def _term(operator: str, value: str | None, values: tuple[str, ...]) -> bool:
    if operator == "In":
        return value in values
    if operator == "NotIn":
        return value not in values
    return (value is not None) == (operator == "Exists")


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
