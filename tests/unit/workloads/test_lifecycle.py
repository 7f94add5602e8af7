"""Restarts, back-off, phases and probe thresholds as Kubernetes has them."""

from __future__ import annotations

import pytest

from testbed.model.kubernetes import Container, ContainerPort, Probe
from testbed.model.workloads import ContainerStatus
from testbed.workloads.lifecycle import ProbeState, plan_delay, plan_phase, plan_probe_period, plan_restart
from testbed.workloads.probes import plan_port, read_verdict, render_request

WAITING = ContainerStatus("a", "waiting", "ContainerCreating")
CRASHED = ContainerStatus("a", "waiting", "CrashLoopBackOff", exit_code=1, started_at=1.0)
ABSENT = ContainerStatus("a", "waiting", "RunContainerError", exit_code=127)
RUNNING = ContainerStatus("a", "running")
DONE = ContainerStatus("a", "terminated", exit_code=0)
FAILED = ContainerStatus("a", "terminated", exit_code=1)


@pytest.mark.parametrize(
    ("policy", "after_success", "after_failure"),
    [("Always", True, True), ("OnFailure", False, True), ("Never", False, False)],
)
def test_restart_policy(policy: str, after_success: bool, after_failure: bool) -> None:
    assert (plan_restart(policy, 0), plan_restart(policy, 137)) == (after_success, after_failure)


def test_back_off_doubles_up_to_five_minutes() -> None:
    assert [plan_delay(n) for n in (1, 2, 3, 4, 11, 12, 10_000)] == [0, 0.5, 1, 2, 256, 300, 300]


@pytest.mark.parametrize(
    ("containers", "phase"),
    [
        ((WAITING,), "Pending"),
        ((WAITING, RUNNING), "Pending"),
        ((ABSENT,), "Pending"),
        ((RUNNING, CRASHED), "Running"),
        ((DONE, RUNNING), "Running"),
        ((DONE, DONE), "Succeeded"),
        ((DONE, FAILED), "Failed"),
        ((), "Running"),
    ],
)
def test_phase(containers: tuple[ContainerStatus, ...], phase: str) -> None:
    assert plan_phase(containers) == phase


def test_thresholds_count_answers_in_a_row() -> None:
    state = ProbeState(Probe("exec", success_threshold=2, failure_threshold=3), passing=False)
    answers = [True, False, True, True, False, False, True, False, False, False]
    assert [state.record(answer) for answer in answers] == [False] * 3 + [True] + [False] * 5 + [True]
    assert not state.passing


def test_a_probe_is_asked_often_only_until_it_first_passes() -> None:
    probe = Probe("tcpSocket", period=10)
    assert plan_probe_period(probe, ever_passed=True, asked=1) == 10
    waits = [plan_probe_period(probe, ever_passed=False, asked=n) for n in range(1, 40)]
    assert waits[0] < 0.2
    assert waits == sorted(waits)
    assert waits[-1] == 10


def test_probe_ports_by_number_and_by_name() -> None:
    container = Container("c", "nginx", ports=(ContainerPort(8443, name="web"),))
    assert plan_port(Probe("httpGet", "web"), container) == 8443
    assert plan_port(Probe("httpGet", "81"), container) == 81
    with pytest.raises(ValueError, match="no port named 'wbe'"):
        plan_port(Probe("httpGet", "wbe"), container)


def test_http_probe_request_and_verdict() -> None:
    probe = Probe("httpGet", "80", "/ready?full=1", headers=(("Host", "shop.example"),))
    request = render_request(probe, "10.0.0.9", 80)
    assert request.startswith(b"GET /ready?full=1 HTTP/1.1\r\nHost: shop.example\r\n")
    assert request.endswith(b"\r\n\r\n")
    verdicts = {code: read_verdict(b"HTTP/1.1 %d X\r\n" % code)[0] for code in (199, 200, 302, 399, 400, 503)}
    assert verdicts == {199: False, 200: True, 302: True, 399: True, 400: False, 503: False}
    assert read_verdict(b"SSH-2.0-x\r\n") == (False, "malformed HTTP response")
