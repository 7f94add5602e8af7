"""Every scenario holds in every model that it names, on a lab of its own, and shows the assertions it claims."""

from __future__ import annotations

import secrets

import pytest

from testbed.observe.verdicts import Report
from testbed.scenario import find_scenarios, load_scenario, run_scenario
from testbed.scenario.runner import Options

pytestmark = [pytest.mark.root, pytest.mark.datapath]

CASES = [(name, model) for name in find_scenarios() for model in load_scenario(name).models]

CLAIMED: dict[tuple[str, str], set[int]] = {
    ("in_cluster", "tunnel"): {1, 2, 3, 4, 5, 6, 20, 21, 24},
    ("pod_network", "tunnel"): {1, 2, 4, 5, 20},
    ("pod_network", "vpc"): {7, 8, 9, 10, 11, 12, 20},
    ("pod_network", "eni"): {14, 15, 16, 17, 18, 19, 20},
    ("pod_security_groups", "eni"): {15, 23, 38, 39, 40},
    ("bare_metal", "eni"): {14, 15, 16, 18, 38, 83},
    ("limits", "tunnel"): {6},
    ("limits", "vpc"): {13},
    ("private_access", "tunnel"): {21, 24, 30, 40},
    ("private_access", "vpc"): {22, 25, 27, 28, 29, 31, 35, 40},
    ("private_access", "eni"): {23, 26, 32, 40},
    ("vpcs", "tunnel"): {33, 34},
    ("vpcs", "vpc"): {33, 34},
    ("vpcs", "eni"): {33, 34},
    ("two_clusters", "tunnel"): {36},
    ("two_clusters", "vpc"): {37},
    ("in_cluster_access", "tunnel"): {41, 42, 43, 44, 45, 46, 61, 62, 63, 65},
    ("in_cluster_access", "vpc"): {41, 42, 43, 44, 45, 46, 61, 62, 63, 65},
    ("in_cluster_access", "eni"): {41, 42, 43, 44, 61, 62, 63, 65},
    ("external_private", "tunnel"): {44, 50, 51, 52, 57, 58, 66},
    ("external_private", "vpc"): {44, 50, 51, 52, 57, 58, 66},
    ("external_private", "eni"): {44, 53, 54, 55, 56, 59, 66},
    ("external_public", "tunnel"): {42, 44, 45, 49, 50, 67, 69},
    ("external_public", "vpc"): {42, 44, 45, 48, 50, 67, 68, 69},
    ("external_public", "eni"): {42, 44, 53, 69},
    ("service_endpoints", "tunnel"): {41, 45, 61, 63, 64},
    ("service_endpoints", "vpc"): {41, 45, 61, 63, 64},
    ("service_endpoints", "eni"): {41, 47, 61, 63, 64},
    ("ipvs", "tunnel"): {41, 43, 45, 46, 49, 52, 58, 60},
    ("ipvs", "vpc"): {41, 43, 45, 46, 48, 52, 58, 60},
    ("ipvs", "eni"): {41, 43, 60},
    ("local_policy", "tunnel"): {45, 46, 48, 49, 52, 58},
    ("local_policy", "vpc"): {45, 46, 48, 52, 58},
    ("balancing", "tunnel"): {57, 58},
    ("balancing", "vpc"): {57, 58},
    ("egress", "tunnel"): {82, 84, 85, 87},
    ("egress", "vpc"): {82, 84, 85, 87},
    ("egress", "eni"): {83, 84, 85, 86, 87},
    ("dns", "tunnel"): {63, 64},
    ("dns", "vpc"): {63, 64},
    ("dns", "eni"): {63, 64},
    ("access_matrix", "tunnel"): {60},
    ("access_matrix", "vpc"): {60},
    ("access_matrix", "eni"): {60},
    ("ingress", "tunnel"): {70, 71, 72, 73, 74, 75, 76},
    ("ingress", "vpc"): {70, 71, 72, 73, 74, 75, 76},
    ("ingress", "eni"): {70, 71, 72, 73, 74, 75, 76},
}
"""Numbers of the assertions that must be among a scenario's checks, whatever else it checks."""


@pytest.mark.parametrize(("name", "model"), CASES, ids=lambda value: value)
def test_scenario_holds(name: str, model: str) -> None:
    report = run_scenario(load_scenario(name), model, Options(lab=f"test-{secrets.token_hex(4)}"))
    assert report.ok, _failures(report)
    shown = {check.assertion for check in report.checks}
    assert CLAIMED.get((name, model), set()) <= shown


def _failures(report: Report) -> str:
    lines = [
        f"{check.assertion} {check.title}: expected {check.expected}, seen {check.seen}" for check in report.failed
    ]
    return "\n".join([report.name, *lines])
