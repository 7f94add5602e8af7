"""What people call an address."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.observe.subjects import addresses_of, find_subjects, names_of_addresses
from testbed.observe.trace.naming import find_source, find_target
from testbed.operations.errors import BadRequestError
from tests.unit.observe.views import view_of


def test_a_node_keeps_its_name_whatever_pods_share_its_address(tmp_path: Path) -> None:
    """Cluster DNS runs on every node and ``stack`` on n2, with the nodes' addresses."""
    view = view_of("services", "tunnel", tmp_path)
    names = names_of_addresses(view)
    shared = [pod for pod in view.memory.pods if pod.host_network]
    assert {"stack"} < {pod.name for pod in shared}
    for node in view.memory.nodes:
        assert names[node.address] == node.name
    of_their_own = [pod for pod in view.memory.pods if not pod.host_network and pod.address]
    assert all(names[pod.address] == pod.name for pod in of_their_own if pod.address)
    eips = {eip.name: names[eip.address] for eip in view.memory.eips}
    assert eips == {"for-n1": "eip/for-n1", "for-dnat": "eip/for-dnat", "for-elb": "eip/for-elb"}


PENDING = """
---
apiVersion: v1
kind: Pod
metadata: {name: lost}
spec: {nodeSelector: {nobody: has-it}, containers: [{name: echo, image: echo}]}
"""


def test_a_pod_that_waits_is_not_said_not_to_be_there(tmp_path: Path) -> None:
    view = view_of("demo", "tunnel", tmp_path, PENDING)
    asked: tuple[Callable[[], object], ...] = (
        lambda: find_target(view, "lost"),
        lambda: find_source(view, "pod/lost"),
        lambda: find_source(view, "lost"),
        lambda: find_subjects(view, "lost"),
        lambda: addresses_of(view, "lost"),
    )
    for ask in asked:
        with pytest.raises(BadRequestError, match=r"^pod lost is Pending.*: node n1 didn't match"):
            ask()
    with pytest.raises(BadRequestError, match=r"^there is no pod, node"):
        find_target(view, "lost", "elsewhere")
