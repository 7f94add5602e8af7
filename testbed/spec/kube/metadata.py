"""``metadata``: names, namespaces, labels, annotations."""

from __future__ import annotations

from testbed.spec.codes import Code
from testbed.spec.document import Cursor, Document
from testbed.spec.kube.common import Check, check_annotations, check_labels, check_text
from testbed.spec.names import check_label

CLUSTER_ANNOTATION = "cnlab.dev/cluster"
"""Says which cluster an object (or all of a namespace) belongs to, where the lab has several."""


def check_metadata(document: Document, check_name: Check) -> None:
    metadata = document.root["metadata"]
    if metadata["generateName"].present and not metadata["name"].present:
        metadata["generateName"].fault(Code.FIELD_VALUE, "generateName is not emulated", "write metadata.name")
    elif metadata["name"].require():
        check_text(metadata["name"], check_name)
    check_text(metadata["namespace"], check_label)
    check_labels(metadata["labels"])
    check_annotations(metadata["annotations"])


def namespace_of(document: Document) -> str:
    return document.root["metadata"]["namespace"].text or "default"


def name_of(document: Document) -> str:
    return document.root["metadata"]["name"].text or ""


def annotation(document: Document, key: str) -> Cursor:
    return document.root["metadata"]["annotations"][key]
