"""What people call an address."""

from __future__ import annotations

from pathlib import Path

from testbed.observe.subjects import names_of_addresses
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
