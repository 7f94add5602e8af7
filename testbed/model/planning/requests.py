"""What the workload controllers want to run: Deployments and StatefulSets expanded to single pods."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from testbed.model.kubernetes import Deployment, Template
from testbed.model.lab import Lab
from testbed.model.planning.ledger import Ledger
from testbed.model.planning.observed import NOTHING, Observed
from testbed.model.planning.replica_sets import ReplicaSet
from testbed.model.planning.rollouts import is_rolling, plan_step
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

    Nothing is replaced while pods are terminating: that lab is the one of before, in which they end.
    """
    incarnations = ledger.incarnations
    sets = {_controller(wanted): _replica_sets(wanted, ledger, observed) for wanted in lab.deployments}
    pods = (
        *_bare_pods(lab, incarnations),
        *_stateful_pods(lab, incarnations),
        *(
            _deployment_pod(wanted, item, ordinal, incarnations)
            for wanted in lab.deployments
            for item in sets[_controller(wanted)]
            for ordinal in item.ordinals
        ),
    )
    return PlannedRequests(pods, sets)


def _replica_sets(wanted: Deployment, ledger: Ledger, observed: Observed) -> tuple[ReplicaSet, ...]:
    found = ledger.replica_sets.get(_controller(wanted), ())
    if observed.terminating and found:
        return found

    def ready(item: ReplicaSet, ordinal: int) -> bool:
        return _deployment_pod(wanted, item, ordinal, ledger.incarnations).uid in observed.ready

    return plan_step(wanted, _digest(repr(wanted.template), size=9), found, ready)


def rolling(lab: Lab, ledger: Ledger) -> tuple[str, ...]:
    """Deployments whose pods are being replaced, as ``namespace/name``."""
    return tuple(
        f"{wanted.namespace}/{wanted.name}"
        for wanted in lab.deployments
        if is_rolling(wanted, ledger.replica_sets.get(_controller(wanted), ()))
    )


def _bare_pods(lab: Lab, incarnations: Mapping[str, int]) -> Iterator[PodRequest]:
    for pod in lab.pods:
        slot = f"Pod/{pod.cluster}/{pod.namespace}/{pod.name}"
        count = incarnations.get(slot, 0)
        yield PodRequest(pod.cluster, pod.namespace, pod.name, slot, count, "", pod.template, pod.source, True)


def _stateful_pods(lab: Lab, incarnations: Mapping[str, int]) -> Iterator[PodRequest]:
    for wanted in lab.stateful_sets:
        controller = f"StatefulSet/{wanted.cluster}/{wanted.namespace}/{wanted.name}"
        for ordinal in range(wanted.replicas):
            name = f"{wanted.name}-{ordinal}"
            slot = f"{controller}/{ordinal}"
            count = incarnations.get(slot, 0)
            yield PodRequest(
                wanted.cluster,
                wanted.namespace,
                name,
                slot,
                count,
                controller,
                wanted.template,
                wanted.source,
                True,
            )


def _controller(wanted: Deployment) -> str:
    return f"Deployment/{wanted.cluster}/{wanted.namespace}/{wanted.name}"


def _deployment_pod(wanted: Deployment, item: ReplicaSet, ordinal: int, incarnations: Mapping[str, int]) -> PodRequest:
    controller = _controller(wanted)
    slot = f"{controller}/{item.revision}/{ordinal}"
    count = incarnations.get(slot, 0)
    return PodRequest(
        wanted.cluster,
        wanted.namespace,
        f"{wanted.name[:40]}-{item.revision}-{_digest(slot, str(count), size=5)}",
        slot,
        count,
        controller,
        item.template,
        wanted.source,
    )


def _digest(*parts: str, size: int) -> str:
    value = int.from_bytes(hashlib.blake2b("\0".join(parts).encode(), digest_size=8).digest(), "big")
    letters = []
    for _ in range(size):
        value, rest = divmod(value, len(_SAFE))
        letters.append(_SAFE[rest])
    return "".join(letters)
