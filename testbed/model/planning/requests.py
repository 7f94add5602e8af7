"""What the workload controllers want to run: Deployments and StatefulSets expanded to single pods."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from testbed.model.kubernetes import Deployment, StatefulSet, Template
from testbed.model.lab import Lab
from testbed.model.planning.ledger import Ledger
from testbed.model.planning.observed import NOTHING, Observed
from testbed.model.planning.replica_sets import ReplicaSet
from testbed.model.planning.rollouts import is_rolling, plan_ordered_step, plan_step
from testbed.model.source import Source

_SAFE = "bcdfghjklmnpqrstvwxz2456789"  # Kubernetes' alphabet for generated names: no vowels, no bad words


@dataclass(frozen=True, slots=True)
class PodRequest:
    """One pod that should exist. ``slot`` names what it fills, ``incarnation`` counts the times it was deleted."""

    cluster: str
    namespace: str
    name: str
    slot: str
    incarnation: int
    controller: str
    template: Template
    source: Source
    stateful: bool = False

    @property
    def key(self) -> str:
        return f"{self.cluster}/{self.namespace}/{self.name}"

    @property
    def slot_group(self) -> str:
        """What the scheduler spreads: the controller's pods, or bare pods of the same labels."""
        return self.controller or f"{self.cluster}/{self.namespace}/{self.template.labels}"

    @property
    def uid(self) -> str:
        return _digest(self.key, repr(self.template), str(self.incarnation), size=12)


@dataclass(frozen=True, slots=True)
class PlannedRequests:
    pods: tuple[PodRequest, ...]
    replica_sets: dict[str, tuple[ReplicaSet, ...]]


def plan_requests(lab: Lab, ledger: Ledger, observed: Observed = NOTHING) -> PlannedRequests:
    """Every pod of the lab, in the order of the documents: bare pods, StatefulSets, Deployments.

    Nothing is replaced while pods are leaving: that lab is the one of before, in which they end.
    """
    incarnations = ledger.incarnations
    sets = {_controller(wanted): _replica_sets(wanted, ledger, observed) for wanted in _controllers(lab)}
    pods = (
        *_bare_pods(lab, incarnations),
        *(
            _pod_of(wanted, item, ordinal, incarnations)
            for wanted in _controllers(lab)
            for item, ordinal in _in_order(wanted, sets[_controller(wanted)])
        ),
    )
    return PlannedRequests(pods, sets)


def rolling(lab: Lab, ledger: Ledger) -> tuple[str, ...]:
    """Controllers whose pods are being replaced."""
    return tuple(
        _controller(wanted)
        for wanted in _controllers(lab)
        if is_rolling(wanted, ledger.replica_sets.get(_controller(wanted), ()))
    )


def _controllers(lab: Lab) -> tuple[Deployment | StatefulSet, ...]:
    return (*lab.stateful_sets, *lab.deployments)


def _controller(wanted: Deployment | StatefulSet) -> str:
    return f"{type(wanted).__name__}/{wanted.cluster}/{wanted.namespace}/{wanted.name}"


def _replica_sets(wanted: Deployment | StatefulSet, ledger: Ledger, observed: Observed) -> tuple[ReplicaSet, ...]:
    found = ledger.replica_sets.get(_controller(wanted), ())
    if observed.leaving and found:
        return found

    def ready(item: ReplicaSet, ordinal: int) -> bool:
        return _pod_of(wanted, item, ordinal, ledger.incarnations).uid in observed.ready

    revision = _digest(repr(wanted.template), size=9)
    if isinstance(wanted, StatefulSet):
        return plan_ordered_step(wanted, revision, found, ready)
    return plan_step(wanted, revision, found, ready)


def _in_order(wanted: Deployment | StatefulSet, sets: Sequence[ReplicaSet]) -> list[tuple[ReplicaSet, int]]:
    """A StatefulSet's pods by their ordinals, a Deployment's set by set."""
    pods = [(item, ordinal) for item in sets for ordinal in item.ordinals]
    return sorted(pods, key=lambda pod: pod[1]) if isinstance(wanted, StatefulSet) else pods


def _pod_of(
    wanted: Deployment | StatefulSet, item: ReplicaSet, ordinal: int, incarnations: Mapping[str, int]
) -> PodRequest:
    controller = _controller(wanted)
    stateful = isinstance(wanted, StatefulSet)
    slot = f"{controller}/{ordinal}" if stateful else f"{controller}/{item.revision}/{ordinal}"
    count = incarnations.get(slot, 0)
    own = f"{item.revision}-{_digest(slot, str(count), size=5)}"
    name = f"{wanted.name}-{ordinal}" if stateful else f"{wanted.name[:40]}-{own}"
    return PodRequest(
        wanted.cluster, wanted.namespace, name, slot, count, controller, item.template, wanted.source, stateful
    )


def _bare_pods(lab: Lab, incarnations: Mapping[str, int]) -> Iterator[PodRequest]:
    for pod in lab.pods:
        slot = f"Pod/{pod.cluster}/{pod.namespace}/{pod.name}"
        count = incarnations.get(slot, 0)
        yield PodRequest(pod.cluster, pod.namespace, pod.name, slot, count, "", pod.template, pod.source, True)


def _digest(*parts: str, size: int) -> str:
    value = int.from_bytes(hashlib.blake2b("\0".join(parts).encode(), digest_size=8).digest(), "big")
    letters = []
    for _ in range(size):
        value, rest = divmod(value, len(_SAFE))
        letters.append(_SAFE[rest])
    return "".join(letters)
