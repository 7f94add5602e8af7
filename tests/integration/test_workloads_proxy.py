"""A layer-7 proxy under the kubelet: whatever comes while it begins anew, in the end it answers by the last files."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from testbed.model.components import PROXY_ALIVE_PORT, VERSION, proxy_container
from testbed.model.planning.haproxy import render_proxy
from testbed.model.planning.proxy import Frontend, PathKind, PathRule, Proxy, ProxyBackend
from testbed.model.workloads import Workload
from tests.integration.workload_lab import WorkloadLab, until, workload, workload_lab
from tests.limits import LIMIT

pytestmark = pytest.mark.root


@pytest.fixture
def lab() -> Iterator[WorkloadLab]:
    with workload_lab() as lab:
        lab.add_namespace("elb")
        lab.start_kubelet()
        yield lab


def proxy(number: int) -> Workload:
    rule = PathRule("", PathKind.EXACT, f"/{number}", "nobody", "")
    files = render_proxy(Proxy((Frontend(80, (rule,)),), (ProxyBackend("nobody", ()),)))
    made = workload("elb", proxy_container(), files=tuple(files.items()))
    return replace(made, owner="LoadBalancer/elb")


def status(lab: WorkloadLab, port: int, path: str) -> str:
    url = f"http://127.0.0.1:{port}{path}"
    return lab.run("elb", "curl", "-s", "-m", "2", "-o", "/dev/null", "-w", "%{http_code}", url)


@pytest.mark.parametrize("pause", [0.0, 0.03, 0.1])
def test_the_last_of_many_configurations_is_in_force(lab: WorkloadLab, pause: float) -> None:
    lab.apply(proxy(0))
    lab.wait("elb", lambda status: status.ready, 30)
    for number in range(1, 12):
        lab.apply(proxy(number))
        time.sleep(pause)  # the moment is the point: while it begins anew for the one before
    version = dict(proxy(11).files)[VERSION]
    until(lambda: status(lab, PROXY_ALIVE_PORT, f"/{version}") == "200", LIMIT, "the last configuration")
    assert status(lab, 80, "/11") == "503"  # a rule, and nobody behind it
    assert status(lab, 80, "/10") == "404"
