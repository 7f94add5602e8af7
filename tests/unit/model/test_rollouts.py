"""A Deployment's pods are replaced step by step: never too many, never too few ready, and to the end."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.model.desired import NetworkModel
from testbed.model.kubernetes import Deployment
from testbed.model.planning import Ledger, Plan, plan_lab
from testbed.model.planning.observed import Observed
from testbed.model.planning.replica_sets import ReplicaSet
from testbed.model.planning.rollouts import bounds_of, is_rolling, plan_ordered_step, plan_step
from tests.unit.model.labs import deployment, lab, stateful_set, template

Pods = set[tuple[str, int]]


def pods_of(sets: tuple[ReplicaSet, ...]) -> Pods:
    return {(item.revision, ordinal) for item in sets for ordinal in item.ordinals}


def counts(sets: tuple[ReplicaSet, ...]) -> dict[str, int]:
    return {item.revision: len(item.ordinals) for item in sets}


def roll(wanted: Deployment, sets: tuple[ReplicaSet, ...]) -> list[dict[str, int]]:
    """Counts of each step when every pod is ready before the next."""
    steps = []
    while is_rolling(wanted, sets) or sets[0].revision != "new":
        sets = step(wanted, sets, pods_of(sets))
        steps.append(counts(sets))
    return steps


def step(wanted: Deployment, sets: tuple[ReplicaSet, ...], ready: Pods) -> tuple[ReplicaSet, ...]:
    return plan_step(wanted, "new", sets, lambda item, ordinal: (item.revision, ordinal) in ready)


def old(replicas: int) -> tuple[ReplicaSet, ...]:
    return (ReplicaSet("old", template(), tuple(range(replicas))),)


@pytest.mark.parametrize(
    ("written", "replicas", "most", "available"),
    [
        (("25%", "25%"), 4, 5, 3),
        (("25%", "25%"), 3, 4, 3),  # surge is rounded up, unavailable down
        (("25%", "25%"), 10, 13, 8),
        ((2, 0), 3, 5, 3),
        (("1%", "1%"), 1, 2, 1),
        (("0%", "1%"), 5, 5, 4),
        ((0, 1), 3, 3, 2),
    ],
)
def test_bounds_are_kubernetes(written: tuple[int | str, int | str], replicas: int, most: int, available: int) -> None:
    bounds = bounds_of(replace(deployment("web", replicas), max_surge=written[0], max_unavailable=written[1]))
    assert (bounds.most, bounds.available) == (most, available)


def test_one_at_a_time_with_the_default_shares() -> None:
    assert roll(deployment("web", 3), old(3)) == [
        {"new": 1, "old": 3},
        {"new": 1, "old": 2},
        {"new": 2, "old": 2},
        {"new": 2, "old": 1},
        {"new": 3, "old": 1},
        {"new": 3},
    ]


def test_without_surge_an_old_one_goes_first() -> None:
    wanted = replace(deployment("web", 2), max_surge=0, max_unavailable=1)
    assert roll(wanted, old(2))[0] == {"new": 0, "old": 1}


def test_recreate_takes_all_old_ones_first() -> None:
    wanted = replace(deployment("web", 3), recreate=True)
    assert roll(wanted, old(3)) == [{"new": 0}, {"new": 3}]


def test_new_pods_that_never_become_ready_stop_it() -> None:
    wanted, sets = deployment("web", 4), old(4)
    for _ in range(5):
        sets = plan_step(wanted, "new", sets, lambda item, _: item.revision == "old")
    assert counts(sets) == {"new": 2, "old": 3}


def test_unready_old_pods_go_first() -> None:
    wanted = replace(deployment("web", 4), max_surge=0, max_unavailable=1)
    sets = plan_step(wanted, "new", old(4), lambda _, ordinal: ordinal != 1)
    assert sets[-1].ordinals == (0, 2, 3)


def test_back_to_the_revision_before_is_a_rollout_too() -> None:
    sets = (ReplicaSet("new", template(), (0, 1)), ReplicaSet("old", template(), (0, 1, 2)))
    back = plan_step(deployment("web", 4), "old", sets, lambda *_: True)
    assert counts(back) == {"old": 3}


@given(
    replicas=st.integers(0, 12),
    before=st.integers(0, 12),
    surge=st.one_of(st.integers(0, 5), st.sampled_from(["0%", "10%", "25%", "100%"])),
    missing=st.one_of(st.integers(0, 5), st.sampled_from(["0%", "10%", "25%", "100%"])),
    chance=st.randoms(use_true_random=False),
)
@settings(deadline=None)
def test_never_too_many_never_too_few_and_to_the_end(
    replicas: int, before: int, surge: int | str, missing: int | str, chance: Random
) -> None:
    wanted = replace(deployment("web", replicas), max_surge=surge, max_unavailable=missing)
    bounds, sets = bounds_of(wanted), old(before)
    ready: Pods = set(pods_of(sets))
    for _ in range(200):
        there = pods_of(sets)
        ready = {pod for pod in there if pod in ready or chance.random() < 0.5}
        after = step(wanted, sets, ready)
        left = pods_of(after)
        assert len(left) <= max(bounds.most, len(there))
        if len(ready & there) >= bounds.available:
            assert len(ready & left) >= min(bounds.available, len(ready & there)) or not is_rolling(wanted, after)
        sets = after
        if counts(sets) in ({"new": replicas}, {}):
            return
    raise AssertionError(f"not done: {counts(sets)}")


def test_a_stateful_set_goes_down_its_ordinals_one_by_one() -> None:
    wanted, sets = stateful_set("db", 3), old(3)

    def ordered(sets: tuple[ReplicaSet, ...], ready: Pods) -> tuple[ReplicaSet, ...]:
        return plan_ordered_step(wanted, "new", sets, lambda item, ordinal: (item.revision, ordinal) in ready)

    first = ordered(sets, pods_of(sets))
    assert [(item.revision, item.ordinals) for item in first] == [("new", (2,)), ("old", (0, 1))]
    assert ordered(first, pods_of(sets)) == first  # the new one is not ready yet
    second = ordered(first, pods_of(first))
    assert [(item.revision, item.ordinals) for item in second] == [("new", (1, 2)), ("old", (0,))]
    assert ordered(second, {("new", 2)}) == second
    (third,) = ordered(second, pods_of(second))
    assert third.ordinals == (0, 1, 2)
    assert not is_rolling(wanted, (third,))


def test_a_stateful_set_that_is_scaled_meanwhile_makes_new_pods() -> None:
    sets = (ReplicaSet("new", template(), (2,)), ReplicaSet("old", template(), (0, 1)))
    grown = plan_ordered_step(stateful_set("db", 4), "new", sets, lambda *_: False)
    assert [(item.revision, item.ordinals) for item in grown] == [("new", (2, 3)), ("old", (0, 1))]
    shrunk = plan_ordered_step(stateful_set("db", 1), "new", sets, lambda *_: False)
    assert pods_of(shrunk) == {("new", 0)}  # nobody is in its way


def names(planned: Plan) -> set[str]:
    return {pod.name for pod in planned.pods}


def test_planning_goes_on_from_the_ledger_as_pods_become_ready() -> None:
    def at(before: Plan | None, labels: str, ready: set[str], terminating: frozenset[str] = frozenset()) -> Plan:
        wanted = replace(deployment("web", 2), template=replace(template(), annotations=(("revision", labels),)))
        ledger = before.ledger if before else Ledger()
        pods = before.pods if before else ()
        seen = Observed(frozenset(pod.uid for pod in pods if pod.name in ready), terminating, terminating)
        return plan_lab(lab(NetworkModel.TUNNEL, deployments=(wanted,), stateful_sets=()), ledger, 1, "kernel", 0, seen)

    first = at(None, "1", set())
    assert names(at(first, "1", names(first))) == names(first)
    surged = at(first, "2", names(first))
    assert names(first) < names(surged)
    assert len(surged.pods) == 3
    assert names(at(surged, "2", names(first))) == names(surged)  # the new one is not ready yet
    held = at(surged, "2", names(surged), frozenset({first.pods[0].uid}))
    assert names(held) == names(surged)
    assert first.pods[0].name not in {item.name for item in held.workloads.workloads}
    plan = surged
    for _ in range(6):
        plan = at(plan, "2", names(plan))
    assert len(plan.pods) == 2
    assert not names(plan) & names(first)
