"""``lab bench services`` on a small lab: what it times happens, and it leaves nothing."""

from __future__ import annotations

import pytest

from testbed.operations.bench_services import measure_services, median_services
from testbed.report.bench_services import ServicesBench, render_services_bench
from tests.integration.emulation_lab import datapath

pytestmark = pytest.mark.root


def test_services_are_measured() -> None:
    run = measure_services(nodes=2, services=6, endpoints=3, model="tunnel", datapath=datapath().value)
    assert run.messages == 2  # one changed endpoint is one message to each node's switch
    assert min(run.plan, run.build, run.change, run.service_rate, run.pod_rate) > 0
    shown = render_services_bench(ServicesBench(2, 3, "tunnel", 1, "userspace", ((6, median_services([run])),)))
    assert "one endpoint changed" in shown
