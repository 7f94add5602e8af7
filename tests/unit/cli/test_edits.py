"""apply, delete and scale as pure functions of what a lab remembers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from testbed.model.codec import from_plain, to_plain
from testbed.model.planning.ledger import Ledger
from testbed.model.planning.plan import plan_lab
from testbed.operations import edits
from testbed.operations.errors import BadRequestError
from testbed.operations.hosts import find_host
from testbed.operations.loading import load_sources, read_sources
from testbed.operations.memory import Memory
from testbed.operations.sources import SourceText, read_refs

NEW = Ledger()
DEMO = Path(__file__).resolve().parents[3] / "topologies" / "demo.yaml"


def remember(sources: tuple[SourceText, ...], ledger: Ledger = NEW) -> Memory:
    plan = plan_lab(load_sources(sources).lab, ledger, 1, "userspace", 0.0)
    return Memory(
        1, 1, "userspace", sources, plan.lab, plan.nodes, plan.pods, plan.hosts, plan.eips, plan.ledger, 0.0, 0.0, 0.0
    )


@pytest.fixture(scope="module")
def demo() -> Memory:
    return remember(read_sources((str(DEMO),)))


def again(memory: Memory, edit: edits.Edit) -> Memory:
    return remember(edit.sources, edit.ledger)


def names(memory: Memory) -> set[str]:
    return {pod.name for pod in memory.pods if pod.namespace != "kube-system"}


def test_memory_survives_its_file(demo: Memory) -> None:
    assert from_plain(Memory, to_plain(demo)) == demo


def test_deleting_a_deployment_takes_its_pods_and_leaves_the_others_where_they_are(demo: Memory) -> None:
    after = again(demo, edits.plan_delete(demo, edits.read_targets(("deploy/web",), "default")))
    assert names(after) == {"db-0", "db-1"}
    kept = {*names(after), "kube-dns-n1", "kube-dns-n2"}
    assert [pod for pod in demo.pods if pod.name in kept] == list(after.pods)


def test_deleting_a_pod_of_a_deployment_makes_another_one(demo: Memory) -> None:
    victim = next(pod.name for pod in demo.pods if pod.name.startswith("web-"))
    after = again(demo, edits.plan_delete(demo, edits.read_targets(("pod", victim), "default")))
    assert victim not in names(after)
    assert len(names(after) - names(demo)) == 1


def test_deleting_a_pod_of_a_stateful_set_makes_it_anew_under_its_name(demo: Memory) -> None:
    after = again(demo, edits.plan_delete(demo, edits.read_targets(("pod/db-0",), "default")))
    assert names(after) == names(demo)
    uids = [{pod.name: pod.uid for pod in memory.pods} for memory in (demo, after)]
    assert {name for name in uids[0] if uids[0][name] != uids[1][name]} == {"db-0"}


def test_scaling(demo: Memory) -> None:
    (target,) = edits.read_targets(("sts/db",), "default")
    assert names(again(demo, edits.plan_scale(demo, target, 4))) >= {"db-0", "db-1", "db-2", "db-3"}


def test_a_namespace_goes_with_all_that_is_in_it(demo: Memory) -> None:
    text = """
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Pod
metadata: {name: till, namespace: shop}
spec: {containers: [{name: echo, image: echo}]}
"""
    with_shop = again(demo, edits.plan_apply(demo, [SourceText("shop.yaml", text)]))
    assert "till" in names(with_shop)
    without_shop = again(with_shop, edits.plan_delete(with_shop, edits.read_targets(("ns/shop",), "default")))
    assert names(without_shop) == names(demo)
    assert read_refs(without_shop.sources) == read_refs(demo.sources)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("pod/nosuch",), "the lab has no pod nosuch in namespace default"),
        (("deploy/wep",), "did you mean web?"),
        (("dploy/web",), "there is no kind 'dploy'; did you mean deploy?"),
        (("node/n1",), "node n1 is made by the lab itself; change node pool node of its Cluster and apply that"),
        (("svc/kube-dns",), "the lab has no service kube-dns in namespace default"),
        (("pod",), "which pod? say: pod NAME, or pod/NAME"),
        (("pod/",), "'pod/' is not KIND/NAME"),
    ],
)
def test_what_is_not_there_is_said_with_what_is(demo: Memory, words: tuple[str, ...], message: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        edits.plan_delete(demo, edits.read_targets(words, "default"))
    assert message in str(caught.value)


def test_an_object_of_another_namespace_is_pointed_to(demo: Memory) -> None:
    with pytest.raises(BadRequestError, match="there is one in namespace default: -n default"):
        edits.plan_delete(demo, edits.read_targets(("deploy/web",), "shop"))


def test_only_controllers_are_scaled(demo: Memory) -> None:
    (target,) = edits.read_targets(("pod/db-0",), "default")
    with pytest.raises(BadRequestError, match="a Pod can't be scaled"):
        edits.plan_scale(demo, target, 2)


@pytest.mark.parametrize(
    ("word", "host"),
    [("db-0", "db-0"), ("pod/db-0", "db-0"), ("sts/db", "db-0"), ("n1", "n1"), ("node/n1", "n1"), ("fabric", "fabric")],
)
def test_words_for_hosts(demo: Memory, word: str, host: str) -> None:
    assert find_host(demo, word) == host


def test_a_pending_pod_is_no_host(demo: Memory) -> None:
    pods = tuple(replace(pod, node=None, pending="no room") if pod.name == "db-0" else pod for pod in demo.pods)
    with pytest.raises(BadRequestError, match="pod db-0 is Pending: no room"):
        find_host(replace(demo, pods=pods), "db-0")
    with pytest.raises(BadRequestError, match="did you mean db-1"):
        find_host(demo, "db-11")


@pytest.mark.parametrize("words", ["svc/kube-dns", "pod/kube-dns-n1"])
def test_what_a_cluster_brings_with_it_says_how_to_leave_it_out(demo: Memory, words: str) -> None:
    with pytest.raises(BadRequestError, match="was made for Cluster/demo; `dns: false` in that leaves it out"):
        edits.plan_delete(demo, edits.read_targets((words,), "kube-system"))
