"""What Kubernetes does with a container that ends, and what it calls the state that a pod is in. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from testbed.model.kubernetes import Probe
from testbed.model.workloads import ContainerStatus

BACKOFF_FIRST = 0.5
"""Kubernetes waits 10 s before the second restart. A lab is watched by someone who waits: it starts lower."""
BACKOFF_MOST = 300.0
BACKOFF_FORGET = 600.0
"""A container that ran this long, in seconds, is counted as new when it ends."""


def plan_restart(policy: str, exit_code: int) -> bool:
    """Whether a container that ended with ``exit_code`` is started again. ``policy``: Always, OnFailure, Never."""
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)


def plan_delay(crashes: int) -> float:
    """Seconds before a restart: none for the first crash in a row, then doubling from 0.5 s to 5 minutes."""
    return 0.0 if crashes <= 1 else min(BACKOFF_FIRST * 2.0 ** min(crashes - 2, 32), BACKOFF_MOST)


def plan_phase(containers: Sequence[ContainerStatus]) -> str:
    """Pending until every container has run once, then Running until none will run again."""
    if containers and all(container.state == "terminated" for container in containers):
        return "Succeeded" if all(container.exit_code == 0 for container in containers) else "Failed"
    ever_ran = all(container.state != "waiting" or container.started_at for container in containers)
    return "Running" if ever_ran else "Pending"


class ProbeState:
    """Consecutive answers of one probe, and the verdict that they add up to."""

    __slots__ = ("_run", "passing", "probe")

    def __init__(self, probe: Probe, passing: bool) -> None:
        self.probe, self.passing = probe, passing
        self._run = 0

    def record(self, success: bool) -> bool:
        """Count an answer; True when it turned the verdict."""
        if success == self.passing:
            self._run = 0
            return False
        self._run += 1
        threshold = self.probe.success_threshold if success else self.probe.failure_threshold
        if self._run < threshold:
            return False
        self.passing, self._run = success, 0
        return True


def plan_probe_period(probe: Probe, ever_passed: bool, asked: int) -> float:
    """Seconds until the next question.

    Until a readiness probe passes for the first time it is asked more often than its period says, because a program
    that is up 50 ms after its first probe need not wait ten seconds. A failure means nothing yet at that time.
    """
    return probe.period if ever_passed else min(probe.period, 0.1 * 1.5 ** min(asked, 32))
