"""What the workload controllers want to run: Deployments and StatefulSets expanded to single pods."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from testbed.model.kubernetes import Template
from testbed.model.lab import Lab
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


def plan_requests(lab: Lab, incarnations: Mapping[str, int]) -> tuple[PodRequest, ...]:
    """Every pod of the lab, in the order of the documents: bare pods, StatefulSets, Deployments."""
    return (
        *_bare_pods(lab, incarnations),
        *_stateful_pods(lab, incarnations),
        *_deployment_pods(lab, incarnations),
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


def _deployment_pods(lab: Lab, incarnations: Mapping[str, int]) -> Iterator[PodRequest]:
    for wanted in lab.deployments:
        controller = f"Deployment/{wanted.cluster}/{wanted.namespace}/{wanted.name}"
        revision = _digest(repr(wanted.template), size=9)
        for ordinal in range(wanted.replicas):
            slot = f"{controller}/{revision}/{ordinal}"
            count = incarnations.get(slot, 0)
            name = f"{wanted.name[:40]}-{revision}-{_digest(slot, str(count), size=5)}"
            yield PodRequest(
                wanted.cluster,
                wanted.namespace,
                name,
                slot,
                count,
                controller,
                wanted.template,
                wanted.source,
            )


def _digest(*parts: str, size: int) -> str:
    value = int.from_bytes(hashlib.blake2b("\0".join(parts).encode(), digest_size=8).digest(), "big")
    letters = []
    for _ in range(size):
        value, rest = divmod(value, len(_SAFE))
        letters.append(_SAFE[rest])
    return "".join(letters)
