"""What the running lab reported, as far as planning depends on it: which pods are ready, which members answer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Observed:
    """``ready`` holds the uids of pods that pass their readiness probes, ``leaving`` those that take no new
    connections because they are on their way out, ``terminating`` those of them whose programs have been told to
    end. ``dead_members`` are ``<balancer>/<address>:<port>`` texts that failed their health check.
    """

    ready: frozenset[str] = frozenset()
    leaving: frozenset[str] = frozenset()
    terminating: frozenset[str] = frozenset()
    dead_members: frozenset[str] = frozenset()


NOTHING = Observed()
