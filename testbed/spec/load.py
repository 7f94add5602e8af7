"""The one entry: files to a lab, or every fault of all of them.

Reading, checking each document alone, converting, and the rules over the whole lab run to the end whatever they
find; a lab comes out only when none of them found an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from testbed.model.cloud import Cluster
from testbed.model.desired import NetworkModel
from testbed.model.kubernetes import Namespace
from testbed.model.lab import Lab
from testbed.model.source import Source
from testbed.spec.cloud.cluster import Surroundings, convert_cluster
from testbed.spec.cloud.convert import Clouds, convert_cloud
from testbed.spec.cloud.kinds import ClusterSpec
from testbed.spec.codes import Code
from testbed.spec.document import Cursor, Document
from testbed.spec.faults import Fault, Severity, SpecError, listed
from testbed.spec.index import KIND_FIELDS, POLICY_FIELD, Index, key_of, merge_into
from testbed.spec.kinds import Checked, check_document
from testbed.spec.kube.common import check_duplicates
from testbed.spec.kube.metadata import CLUSTER_ANNOTATION, annotation
from testbed.spec.rules import check_immutable, check_rules
from testbed.spec.source import Reading, read_file, read_text

ALWAYS_THERE = ("default", "kube-node-lease", "kube-public", "kube-system")


@dataclass(frozen=True, slots=True)
class Loaded:
    lab: Lab
    warnings: tuple[Fault, ...]


def load_lab(paths: Sequence[Path], running: Lab | None = None, model: NetworkModel | None = None) -> Loaded:
    """The lab that the files describe together.

    ``running`` is what is there already: what can't be changed on a running lab is then an error too. ``model`` is
    used for every cluster, whatever its document says; what only other models know is then passed over.
    Raises :class:`SpecError` with every fault of all files.
    """
    return _load([read_file(path) for path in paths], Lab(), running, model)


def load_texts(
    texts: Iterable[tuple[str, str]], running: Lab | None = None, model: NetworkModel | None = None
) -> Loaded:
    """Like :func:`load_lab` from (name, text) pairs; a text may be empty."""
    readings = []
    for name, text in texts:
        reading = read_text(text.removeprefix("\ufeff"), name)
        faults = tuple(fault for fault in reading.faults if fault.code is not Code.FILE_EMPTY)
        readings.append(replace(reading, faults=faults))
    return _load(readings, Lab(), running, model)


def load_manifests(paths: Sequence[Path], onto: Lab) -> Loaded:
    """``onto`` with the objects of the files: those of the same kind, namespace and name are replaced."""
    return _load([read_file(path) for path in paths], onto, onto)


def check_lab(lab: Lab) -> tuple[Fault, ...]:
    """Every fault (and warning) of a lab that was put together by other means than files."""
    index = Index(lab)
    check_rules(index)
    return tuple(fault for document in index.documents.values() for fault in document.faults)


def _load(readings: Sequence[Reading], base: Lab, running: Lab | None, model: NetworkModel | None = None) -> Loaded:
    documents = [document for reading in readings for document in reading.documents]
    checked = [item for item in map(check_document, documents) if item is not None]
    _check_twice(checked)
    loading = _Loading(base, running, model)
    loading.convert(checked)
    index = loading.finish(documents)
    check_rules(index)
    if running is not None:
        check_immutable(index, running)
    found = {id(document): document for document in (*documents, *index.documents.values())}
    files = [reading.file for reading in readings]
    faults = [fault for reading in readings for fault in reading.faults]
    faults = _in_order(files, [*faults, *(fault for item in found.values() for fault in item.faults)])
    errors = [fault for fault in faults if fault.severity is Severity.ERROR]
    if errors:
        raise SpecError(errors, [fault for fault in faults if fault.severity is Severity.WARNING])
    return Loaded(index.lab, tuple(faults))


def _in_order(files: list[str], faults: list[Fault]) -> list[Fault]:
    """In the order of the files as given, then of lines. Faults of files read earlier come last."""
    places = {file: place for place, file in reversed(list(enumerate(files)))}

    def key(fault: Fault) -> tuple[int, int, int]:
        return places.get(fault.file, len(files)), fault.line, fault.col

    return sorted(dict.fromkeys(faults), key=key)


def _check_twice(checked: list[Checked]) -> None:
    names: dict[tuple[str, ...], list[Cursor]] = {}
    for item in checked:
        cluster = annotation(item.document, CLUSTER_ANNOTATION).text or ""
        group = "cloud" if item.is_cloud else "kubernetes"
        identity = (group, item.kind, cluster, item.namespace)
        names.setdefault(identity, []).append(item.document.root["metadata"]["name"])
    for cursors in names.values():
        check_duplicates((cursor, cursor.text or None) for cursor in cursors)


@dataclass(slots=True)
class _Loading:
    base: Lab
    running: Lab | None
    model: NetworkModel | None = None
    added: list[tuple[str, Any]] = field(default_factory=list)
    documents: dict[tuple[str, str, str, str], Document] = field(default_factory=dict)
    refused: set[tuple[str, str]] = field(default_factory=set)
    missing_cluster_told: bool = False

    def convert(self, checked: list[Checked]) -> None:
        """Sound documents to objects, in the order in which they need one another."""
        for item in checked:
            if item.document.failed:
                self.refused.add((item.kind, item.name))
        cloud = [item for item in checked if item.is_cloud and item.spec is not None and not item.document.failed]
        clouds = Clouds({subnet.name: subnet.vpc for subnet in self.base.subnets})
        for item in sorted(cloud, key=lambda item: item.kind != "Subnet"):
            if item.kind != "Cluster" and item.spec is not None:
                self._add(KIND_FIELDS[item.kind], convert_cloud(item.document, item.spec, clouds), item.document)
        for item in cloud:
            if isinstance(item.spec, ClusterSpec):
                self._add_cluster(item.document, item.spec)
        kubernetes = [item for item in checked if not item.is_cloud]
        self._add_namespaces([item for item in kubernetes if item.kind == "Namespace"])
        self._add_workloads([item for item in kubernetes if item.kind != "Namespace"])

    def finish(self, documents: list[Document]) -> Index:
        """The index over everything, in the order of the documents."""
        places = {id(document): position for position, document in enumerate(documents)}
        last = len(places)

        def position(entry: tuple[str, Any]) -> int:
            document = self.documents.get(key_of(*entry))
            return places.get(id(document), last)

        lab = merge_into(self.base, sorted(self.added, key=position))
        return Index(lab, self.documents, self.refused, model_chosen=self.model is not None)

    def _add(self, lab_field: str, item: Any, document: Document | None = None) -> None:
        self.added.append((lab_field, item))
        if document is not None:
            self.documents[key_of(lab_field, item)] = document

    def _known(self, lab_field: str) -> tuple[Any, ...]:
        added = [(name, item) for name, item in self.added if name == lab_field]
        return tuple(getattr(merge_into(self.base, added), lab_field))

    def _add_cluster(self, document: Document, spec: ClusterSpec) -> None:
        incomplete = any(kind in ("Vpc", "Subnet") for kind, _ in self.refused)
        name = document.root["metadata"]["name"].text or ""
        running = self.running.clusters if self.running else ()
        around = Surroundings(
            self._known("vpcs"),
            self._known("subnets"),
            self._known("clusters"),
            next((cluster for cluster in running if cluster.name == name), None),
            incomplete,
        )
        converted = convert_cluster(document, spec, around, self.model)
        for vpc in converted.made_vpcs:
            self._add("vpcs", vpc, document)
        for subnet in converted.made_subnets:
            self._add("subnets", subnet, document)
        self._add("clusters", converted.cluster, document)

    def _add_namespaces(self, checked: list[Checked]) -> None:
        for item in checked:
            if not item.document.failed and item.kubernetes is not None:
                self._add("namespaces", item.kubernetes.read(item.document), item.document)

    def _add_workloads(self, checked: list[Checked]) -> None:
        clusters = self._known("clusters")
        declared = {item.name: item for item in self._known("namespaces")}
        for item in checked:
            self._declare(item, declared)
            cluster = self._cluster_of(item, clusters, declared)
            if cluster is None or item.document.failed or item.kubernetes is None:
                continue
            lab_field = POLICY_FIELD if item.kind == "SecurityGroup" else KIND_FIELDS[item.kind]
            self._add(lab_field, item.kubernetes.read(item.document, cluster), item.document)

    def _declare(self, item: Checked, declared: dict[str, Namespace]) -> None:
        """Make the namespace of an object where no document does."""
        name = item.namespace
        if name in declared or ("Namespace", name) in self.refused:
            return
        if name not in ALWAYS_THERE:
            hint = "declare a Namespace to give it labels"
            what = f"namespace {name} is not declared; it is made"
            item.document.root["metadata"]["namespace"].warn(Code.NAMESPACE_UNDECLARED, what, hint)
        labels = (("kubernetes.io/metadata.name", name),)
        declared[name] = Namespace(name, labels, Source(f"made for {item.kind}/{name}/{item.name}", 0))
        self._add("namespaces", declared[name])

    def _cluster_of(self, item: Checked, clusters: tuple[Cluster, ...], declared: dict[str, Namespace]) -> str | None:
        """Which cluster an object is for: its annotation, its namespace's, or the only one there is."""
        names = [cluster.name for cluster in clusters]
        cursor = annotation(item.document, CLUSTER_ANNOTATION)
        of_namespace = dict(declared[item.namespace].annotations) if item.namespace in declared else {}
        wanted = cursor.text or of_namespace.get(CLUSTER_ANNOTATION)
        if wanted in names:
            return wanted
        if any(kind == "Cluster" for kind, _ in self.refused):
            return None
        if wanted is not None:
            hint = f"there are: {listed(names)}" if names else "declare a Cluster"
            cursor.fault(Code.REFERENCE_UNKNOWN, f"Cluster {wanted} does not exist", hint)
        elif len(names) == 1:
            return names[0]
        elif names:
            what = f"the lab has {len(names)} clusters"
            hint = f"say which with the annotation {CLUSTER_ANNOTATION}: one of {listed(names)}"
            item.document.root["metadata"].fault(Code.CLUSTER_MISSING, what, hint, on_key=True)
        elif not self.missing_cluster_told:
            self.missing_cluster_told = True
            hint = "declare one (apiVersion cnlab.dev/v1, kind Cluster), or give topologies/minimal.yaml too"
            item.document.root["kind"].fault(Code.CLUSTER_MISSING, f"a {item.kind} needs a Cluster to run in", hint)
        return None
