"""What ``apply``, ``delete`` and ``scale`` make of a lab's texts and ledger. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from testbed.model.kubernetes import Service
from testbed.model.planning.ledger import Ledger
from testbed.model.planning.resolved import PlannedPod
from testbed.operations.errors import BadRequestError
from testbed.operations.kinds import Kind, find_kind
from testbed.operations.memory import Memory
from testbed.operations.sources import Ref, SourceText, merge, read_refs, with_replicas, without

SCALABLE = ("Deployment", "StatefulSet")


@dataclass(frozen=True, slots=True)
class Target:
    """An object as the user names it (``pod/web-0``)."""

    kind: Kind
    namespace: str
    name: str

    def __str__(self) -> str:
        where = f" in namespace {self.namespace}" if self.kind.namespaced else ""
        return f"{self.kind.name.lower()} {self.name}{where}"


@dataclass(frozen=True, slots=True)
class Edit:
    """The texts and the ledger from which the next generation is planned."""

    sources: tuple[SourceText, ...]
    ledger: Ledger


def read_targets(words: Sequence[str], namespace: str) -> tuple[Target, ...]:
    """``pod/web-0 svc/web`` or ``pod web-0 web-1`` as targets.

    Raises ``BadRequestError`` for a kind that does not exist, or words that name nothing.
    """
    if not words:
        return ()
    if "/" in words[0]:
        pairs = [word.partition("/") for word in words]
        if bad := [word for word, (kind, _, name) in zip(words, pairs, strict=True) if not kind or not name]:
            raise BadRequestError(f"{bad[0]!r} is not KIND/NAME, as pod/web-0 is")
        return tuple(_target(kind, name, namespace) for kind, _, name in pairs)
    if len(words) == 1:
        raise BadRequestError(f"which {find_kind(words[0]).name.lower()}? say: {words[0]} NAME, or {words[0]}/NAME")
    return tuple(_target(words[0], name, namespace) for name in words[1:])


def plan_apply(memory: Memory, new: Iterable[SourceText]) -> Edit:
    return Edit(merge(memory.sources, new), memory.ledger)


def plan_delete(memory: Memory, targets: Sequence[Target]) -> Edit:
    """Take documents out. A pod of a Deployment or StatefulSet is replaced by a new one, as its controller would.

    Raises ``BadRequestError`` for a target that is not there, with the nearest one that is.
    """
    refs: list[Ref] = []
    incarnations = dict(memory.ledger.incarnations)
    for target in targets:
        if slot := _controlled_slot(memory, target):
            incarnations[slot] = incarnations.get(slot, 0) + 1
        else:
            refs += _documents(memory, target)
    return Edit(without(memory.sources, refs), replace(memory.ledger, incarnations=incarnations))


def plan_delete_documents(memory: Memory, texts: Iterable[SourceText]) -> Edit:
    """Take out what the documents of ``texts`` are about (``delete -f``)."""
    present, asked = set(read_refs(memory.sources)), read_refs(texts)
    if missing := [ref for ref in asked if ref not in present]:
        raise BadRequestError(f"the lab has no {', no '.join(map(str, missing))}; see: lab get all -A")
    return Edit(without(memory.sources, asked), memory.ledger)


def plan_scale(memory: Memory, target: Target, replicas: int) -> Edit:
    if target.kind.name not in SCALABLE:
        raise BadRequestError(f"a {target.kind.name} can't be scaled; deployments and statefulsets can")
    (ref, *_) = _documents(memory, target)
    return Edit(with_replicas(memory.sources, ref, replicas), memory.ledger)


def _target(word: str, name: str, namespace: str) -> Target:
    kind = find_kind(word)
    return Target(kind, namespace if kind.namespaced else "", name)


def _controlled_slot(memory: Memory, target: Target) -> str | None:
    """The slot of a pod that a controller of the lab made; None for everything else."""
    if target.kind.name != "Pod":
        return None
    for pod in memory.pods:
        if (pod.namespace, pod.name) == (target.namespace, target.name) and pod.controller:
            return pod.slot
    return None


def _documents(memory: Memory, target: Target) -> list[Ref]:
    _refuse_undocumented(memory, target)
    refs = read_refs(memory.sources)
    kind = target.kind
    same_kind = [ref for ref in refs if ref.kind == kind.name and ref.group == kind.group]
    found = [ref for ref in same_kind if (ref.namespace, ref.name) == (target.namespace, target.name)]
    if kind.name == "Namespace":
        found += [ref for ref in refs if ref.namespace == target.name]
    if not found:
        _refuse_made(memory, target)
        raise BadRequestError(f"the lab has no {target}{_nearest(target, same_kind)}")
    return found


def _refuse_undocumented(memory: Memory, target: Target) -> None:
    if target.kind.document:
        return
    pool = next((f"node pool {node.pool.name}" for node in memory.nodes if node.name == target.name), None)
    of_whom = f"{pool} of its Cluster" if pool else "the object that it comes from"
    raise BadRequestError(f"{target} is made by the lab itself; change {of_whom} and apply that")


def _refuse_made(memory: Memory, target: Target) -> None:
    """What a cluster brings with it (cluster DNS) has no document of its own."""
    made: dict[str, tuple[PlannedPod | Service, ...]] = {"Pod": memory.pods, "Service": memory.lab.services}
    for item in made.get(target.kind.name, ()):
        if (item.namespace, item.name) == (target.namespace, target.name) and item.source.line == 0:
            raise BadRequestError(f"{target} was {item.source.file}; `dns: false` in that leaves it out")


def _nearest(target: Target, candidates: Sequence[Ref]) -> str:
    elsewhere = [ref for ref in candidates if ref.name == target.name]
    if elsewhere:
        return f"; there is one in namespace {elsewhere[0].namespace}: -n {elsewhere[0].namespace}"
    near = get_close_matches(target.name, [ref.name for ref in candidates], n=1)
    return f"; did you mean {near[0]}?" if near else f"; see: lab get {target.kind.plural} -A"
