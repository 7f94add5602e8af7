"""Rolling replacement of pods of a Deployment or StatefulSet: one step at a time, from what is ready now.

Each revision of the pod template has a replica set. A step adds pods of the new one and takes away old ones, as far as
maxSurge and maxUnavailable allow; the next is planned when readiness has changed. Source: Kubernetes "Deployments",
"Rolling Update Deployment", and its controller: unready old pods go first, then ready ones while enough are available.
A StatefulSet's pods are replaced one by one, the highest ordinal first, each when those before it are ready.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil, floor

from testbed.model.kubernetes import Deployment, StatefulSet
from testbed.model.planning.replica_sets import ReplicaSet

Ready = Callable[[ReplicaSet, int], bool]
"""Whether the pod with that ordinal is ready."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many pods there may be at most, and how many of them must be ready at least."""

    most: int
    available: int


def bounds_of(wanted: Deployment) -> Bounds:
    surge = _share(wanted.max_surge, wanted.replicas, ceil)
    missing = _share(wanted.max_unavailable, wanted.replicas, floor)
    if surge == 0 and missing == 0:
        missing = 1  # both were rounded to nothing, and it has to go on somehow
    return Bounds(wanted.replicas + surge, wanted.replicas - missing)


def plan_step(wanted: Deployment, revision: str, found: Sequence[ReplicaSet], ready: Ready) -> tuple[ReplicaSet, ...]:
    """The replica sets that there should be now, the new one first; empty old ones are left out."""
    new = next((item for item in found if item.revision == revision), ReplicaSet(revision, wanted.template, ()))
    old = [item for item in found if item.revision != revision and item.ordinals]
    if not old:
        return (_sized(new, wanted.replicas),)
    if wanted.recreate:
        return (_sized(new, 0),)
    bounds = bounds_of(wanted)
    before = len(new.ordinals) + sum(len(item.ordinals) for item in old)
    grown = _sized(new, min(wanted.replicas, len(new.ordinals) + max(0, bounds.most - before)))
    available = sum(ready(item, ordinal) for item in (new, *old) for ordinal in item.ordinals)
    return (grown, *_shrunk(grown, old, bounds, available, ready))


def plan_ordered_step(
    wanted: StatefulSet, revision: str, found: Sequence[ReplicaSet], ready: Ready
) -> tuple[ReplicaSet, ...]:
    """The same for a StatefulSet, whose sets share its ordinals among them."""
    all_of_it = range(wanted.replicas)
    old = {ordinal: item for item in found if item.revision != revision for ordinal in item.ordinals}
    left = [ordinal for ordinal in all_of_it if ordinal in old]
    new = ReplicaSet(revision, wanted.template, tuple(ordinal for ordinal in all_of_it if ordinal not in old))
    if left and all(ready(new, ordinal) for ordinal in new.ordinals):
        going = left.pop()
        new = replace(new, ordinals=tuple(sorted((*new.ordinals, going))))
    kept = (replace(item, ordinals=tuple(o for o in left if old[o] is item)) for item in dict.fromkeys(old.values()))
    return (new, *(item for item in kept if item.ordinals))


def is_rolling(wanted: Deployment | StatefulSet, found: Sequence[ReplicaSet]) -> bool:
    return len(found) != 1 or len(found[0].ordinals) != wanted.replicas


def _shrunk(
    new: ReplicaSet, old: Sequence[ReplicaSet], bounds: Bounds, available: int, ready: Ready
) -> tuple[ReplicaSet, ...]:
    total = len(new.ordinals) + sum(len(item.ordinals) for item in old)
    unready_new = sum(not ready(new, ordinal) for ordinal in new.ordinals)
    most = max(0, total - bounds.available - unready_new)
    unready = [(item, ordinal) for item in old for ordinal in item.ordinals if not ready(item, ordinal)][:most]
    spare = max(0, min(most - len(unready), available - bounds.available))
    serving = [(item, ordinal) for item in old for ordinal in reversed(item.ordinals) if ready(item, ordinal)][:spare]
    going = {(item.revision, ordinal) for item, ordinal in (*unready, *serving)}
    left = (
        replace(item, ordinals=tuple(at for at in item.ordinals if (item.revision, at) not in going)) for item in old
    )
    return tuple(item for item in left if item.ordinals)


def _sized(item: ReplicaSet, count: int) -> ReplicaSet:
    """With ``count`` pods: the highest ordinals go, the lowest free ones come."""
    kept = item.ordinals[:count]
    free = (ordinal for ordinal in range(count + len(kept)) if ordinal not in kept)
    return replace(item, ordinals=tuple(sorted((*kept, *(next(free) for _ in range(count - len(kept)))))))


def _share(written: int | str, replicas: int, rounded: Callable[[float], int]) -> int:
    if isinstance(written, int):
        return written
    return rounded(int(written.rstrip("%")) * replicas / 100)
