"""The YAML texts that say what a lab shall be, and their editing: apply, delete and scale change these texts.

A lab remembers the texts themselves, not only what was read from them: the next change is planned from the same
documents, faults still name the user's file and line, and ``up`` with the edited texts would give the same lab. A
document that is taken out leaves its lines empty, so the line numbers of the others stay true.

Everything here is pure. The texts have been validated before they get here, so a badly formed one is skipped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml

_MARKER = re.compile(r"^---(?=[ \t\n]|$)", re.MULTILINE)
_CLOUD_GROUPS = frozenset({"cnlab.dev"})
_CLUSTER_WIDE = frozenset({"Namespace"})
CLUSTER_ANNOTATION = "cnlab.dev/cluster"


@dataclass(frozen=True, slots=True)
class SourceText:
    """One file as it was read. ``name`` is what faults call it."""

    name: str
    text: str


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """Which object a document is about. ``group`` is the API group (empty for core Kubernetes).

    ``cluster`` is what its annotation says, empty where it says nothing.
    """

    group: str
    kind: str
    namespace: str
    name: str
    cluster: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.kind, self.namespace, self.name) if part)


@dataclass(frozen=True, slots=True)
class Segment:
    """One document of a text: its place in it, and what it is about (None: empty, or not an object)."""

    start: int
    end: int
    ref: Ref | None


class NotInSourcesError(LookupError):
    """No document is about that object."""


def read_segments(text: str) -> tuple[Segment, ...]:
    """The documents of ``text`` in order. A ``---`` belongs to the document that it begins."""
    starts = [match.start() for match in _MARKER.finditer(text)]
    if not starts or starts[0] > 0:
        starts.insert(0, 0)
    ends = [*starts[1:], len(text)]
    return tuple(Segment(a, b, _ref_of(text[a:b])) for a, b in zip(starts, ends, strict=True))


def read_refs(texts: Iterable[SourceText]) -> tuple[Ref, ...]:
    """Everything that the texts are about, in order."""
    return tuple(ref for source in texts for _, ref in _segments_with_ref(source.text))


def merge(kept: Iterable[SourceText], new: Iterable[SourceText]) -> tuple[SourceText, ...]:
    """``kept`` without the objects of ``new``, then ``new``: what ``apply`` makes of the two."""
    added = tuple(new)
    return (*without(kept, read_refs(added)), *added)


def without(texts: Iterable[SourceText], refs: Iterable[Ref]) -> tuple[SourceText, ...]:
    """The texts with the documents about ``refs`` blanked out; texts in which nothing is left are gone."""
    gone = frozenset(refs)
    remaining = (SourceText(source.name, _blank(source.text, gone)) for source in texts)
    return tuple(source for source in remaining if any(_segments_with_ref(source.text)))


def with_replicas(texts: Iterable[SourceText], ref: Ref, replicas: int) -> tuple[SourceText, ...]:
    """The texts with ``spec.replicas`` of ``ref`` set.

    Raises ``NotInSourcesError`` when no document is about ``ref``.
    """
    changed = tuple(
        SourceText(source.name, _edit(source.text, ref, lambda document: _set_replicas(document, replicas)))
        for source in texts
    )
    if ref not in read_refs(changed):
        raise NotInSourcesError(str(ref))
    return changed


def _segments_with_ref(text: str) -> Iterator[tuple[Segment, Ref]]:
    for segment in read_segments(text):
        if segment.ref is not None:
            yield segment, segment.ref


def _blank(text: str, gone: frozenset[Ref]) -> str:
    parts = []
    for segment in read_segments(text):
        part = text[segment.start : segment.end]
        if segment.ref in gone:
            marker = "---" if _MARKER.match(part) else ""
            part = marker + "\n" * part.count("\n")
        parts.append(part)
    return "".join(parts)


def _edit(text: str, ref: Ref, edit: Callable[[str], str]) -> str:
    for segment, found in _segments_with_ref(text):
        if found == ref:
            return text[: segment.start] + edit(text[segment.start : segment.end]) + text[segment.end :]
    return text


def _set_replicas(document: str, replicas: int) -> str:
    root = yaml.compose(document, Loader=yaml.SafeLoader)
    spec = _value(root, "spec")
    assert isinstance(spec, yaml.MappingNode), "validated: a scalable object has a spec"
    present = _value(spec, "replicas")
    if present is not None:
        return document[: present.start_mark.index] + str(replicas) + document[present.end_mark.index :]
    at = spec.start_mark.index
    if spec.flow_style:
        return f"{document[: at + 1]}replicas: {replicas}, {document[at + 1 :]}"
    indent = " " * spec.start_mark.column
    return f"{document[:at]}replicas: {replicas}\n{indent}{document[at:]}"


def _value(node: yaml.Node | None, key: str) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for name, value in node.value if name.value == key), None)


def _ref_of(document: str) -> Ref | None:
    try:
        value = yaml.load(document, Loader=yaml.CBaseLoader)  # noqa: S506 - makes texts only, so 2024-01-01 is a name
    except yaml.YAMLError:
        return None
    if not isinstance(value, dict) or not isinstance(value.get("metadata"), dict):
        return None
    return ref_of(value)


def ref_of(document: dict[str, Any]) -> Ref | None:
    """What a document (with a ``metadata`` mapping) is about; None when it has no kind or name."""
    kind, name = document.get("kind"), document["metadata"].get("name")
    if not isinstance(kind, str) or not isinstance(name, str):
        return None
    group = str(document.get("apiVersion", "")).rpartition("/")[0]
    clustered = group in _CLOUD_GROUPS or kind in _CLUSTER_WIDE
    metadata = document["metadata"]
    namespace = "" if clustered else str(metadata.get("namespace") or "default")
    annotations = metadata.get("annotations")
    cluster = annotations.get(CLUSTER_ANNOTATION) if isinstance(annotations, dict) else None
    return Ref(group, kind, namespace, name, str(cluster or ""))
