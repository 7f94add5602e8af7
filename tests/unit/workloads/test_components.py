"""The lab's own components: who of them starts as root."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from testbed.model.components import DNS_IMAGE, PROXY_IMAGE, proxy_container, version_of
from testbed.model.kubernetes import Container
from testbed.model.workloads import Workload
from testbed.workloads.components import is_privileged


def workload(owner: str, *containers: Container) -> Workload:
    return Workload("elb", "elb", owner, "1", IPv4Address("192.168.1.2"), containers)


def test_only_a_load_balancer_s_proxy_starts_as_root() -> None:
    assert is_privileged(PROXY_IMAGE, workload("LoadBalancer/elb", proxy_container()))
    assert not is_privileged(DNS_IMAGE, workload("LoadBalancer/elb"))


@pytest.mark.parametrize("owner", ["Pod/default/elb", "Server/elb", "InternetHost/elb"])
def test_nobody_gets_rights_by_writing_the_image_s_name(owner: str) -> None:
    assert not is_privileged(PROXY_IMAGE, workload(owner, Container("c", PROXY_IMAGE, command=("sh",))))


def test_a_version_tells_configurations_apart_whatever_their_order() -> None:
    assert version_of({"a": "1", "b": "2"}) == version_of({"b": "2", "a": "1"})
    assert version_of({"a": "1", "b": "2"}) != version_of({"a": "2", "b": "1"})
    assert 0 <= int(version_of({})) < 2**32
