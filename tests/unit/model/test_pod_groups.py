"""Security groups of pods: which method wins, and what a change reaches."""

from __future__ import annotations

from dataclasses import replace

from testbed.model.cloud import NodePool, SecurityGroup
from testbed.model.desired import NetworkModel
from testbed.model.kubernetes import LabelSelector, SecurityGroupPolicy
from testbed.model.lab import Lab
from testbed.model.planning import Ledger, Plan, plan_lab
from tests.unit.model.labs import HERE, cluster, lab, stateful_set

GROUPS = "yangtse.io/security-group-ids"
MORE_GROUPS = "yangtse.io/additional-security-group-ids"
NAMES = ("own", "policy", "pool", "cluster", "more", "later")


def wanted(
    annotations: tuple[tuple[str, str], ...] = (),
    policy: str = "",
    pool: tuple[str, ...] = (),
    eni: tuple[str, ...] = (),
    names: tuple[str, ...] = NAMES,
) -> Lab:
    nodes = NodePool("node", HERE, 1, pod_security_groups=pool)
    policies: tuple[SecurityGroupPolicy, ...] = ()
    if policy:
        selector = LabelSelector((("app", "web"),))
        policies = (SecurityGroupPolicy("default", "by-label", "c1", selector, (policy,), HERE),)
    return lab(
        NetworkModel.ENI,
        clusters=(cluster(NetworkModel.ENI, pool=nodes, eni_security_groups=eni),),
        security_groups=tuple(SecurityGroup(name, "vpc-1", (), HERE) for name in names),
        security_group_policies=policies,
        stateful_sets=(stateful_set("web", 1, annotations=annotations),),
    )


def plan(asked: Lab, before: Plan | None = None) -> Plan:
    return plan_lab(asked, before.ledger if before else Ledger(), 1, "userspace", 1_000_000.0)


def groups(planned: Plan) -> list[tuple[str, ...]]:
    return [pod.security_groups for pod in planned.pods]


def test_the_highest_priority_wins_and_the_others_count_for_nothing() -> None:
    own = ((GROUPS, "own"),)
    assert groups(plan(wanted(own, "policy", ("pool",), ("cluster",)))) == [("own",)]
    assert groups(plan(wanted((), "policy", ("pool",), ("cluster",)))) == [("policy",)]
    assert groups(plan(wanted((), "", ("pool",), ("cluster",)))) == [("pool",)]
    assert groups(plan(wanted((), "", (), ("cluster",)))) == [("cluster",)]
    assert groups(plan(wanted())) == [("c1-cce-eni",)]


def test_additional_groups_add_to_the_winner() -> None:
    more = ((MORE_GROUPS, "more, policy"),)
    assert groups(plan(wanted(more, "policy"))) == [("policy", "more")]
    assert groups(plan(wanted(more, "", ("pool",)))) == [("pool", "more", "policy")]


def test_a_node_pools_groups_are_for_new_pods() -> None:
    first = plan(wanted(pool=("pool",)))
    changed = wanted(pool=("later",))
    changed = replace(changed, stateful_sets=(stateful_set("web", 2),))
    assert groups(plan(changed, first)) == [("pool",), ("later",)]


def test_a_policy_changes_running_pods() -> None:
    first = plan(wanted(pool=("pool",)))
    second = plan(wanted(pool=("pool",), policy="policy"), first)
    third = plan(wanted(pool=("later",)), second)
    assert [groups(first), groups(second), groups(third)] == [[("pool",)], [("policy",)], [("pool",)]]


def test_a_running_pod_whose_group_is_deleted_gets_the_groups_of_now() -> None:
    first = plan(wanted(pool=("pool",)))
    assert groups(plan(wanted(pool=("later",), names=("later",)), first)) == [("later",)]
