"""Pods of one name keep their directories and logs apart."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from testbed.model.cloud import NodePool
from testbed.model.desired import NetworkModel
from testbed.model.kubernetes import Pod
from testbed.model.planning import Ledger, plan_lab
from tests.unit.model.labs import HERE, cluster, lab, template


def test_no_two_pods_have_one_home() -> None:
    one = cluster(NetworkModel.TUNNEL, nodes=2)
    other = replace(one, name="c2", pools=(NodePool("other", HERE, 2),))
    pods = tuple(
        Pod(namespace, "web", name, template(host_network=hostly), HERE)
        for hostly, namespace in ((False, "default"), (False, "shop"), (True, "host"), (True, "other-host"))
        for name in ("c1", "c2")
    )
    wanted = lab(NetworkModel.TUNNEL, clusters=(one, other), stateful_sets=(), pods=pods)
    planned = plan_lab(wanted, Ledger(), 1, "userspace", 1_000_000.0)
    homes = Counter(item.folder for item in planned.workloads.workloads)
    assert len(homes) == len(pods)
    assert set(homes.values()) == {1}
