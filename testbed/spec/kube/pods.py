"""Pods and the pod templates of Deployments and StatefulSets."""

from __future__ import annotations

from testbed.model.kubernetes import Deployment, LabelSelector, Pod, PodSpec, StatefulSet, Template
from testbed.spec.codes import Code
from testbed.spec.document import Cursor, Document
from testbed.spec.faults import show
from testbed.spec.kube.annotations import check_known_annotations
from testbed.spec.kube.common import (
    check_annotations,
    check_labels,
    check_range,
    check_selector,
    check_supported,
    check_text,
    ignore,
    read_selector,
    selects,
)
from testbed.spec.kube.containers import check_containers, read_containers
from testbed.spec.kube.metadata import check_metadata, name_of, namespace_of
from testbed.spec.names import check_label

MOST_REPLICAS = 5000
"""Of one workload; more than one machine takes."""

HOSTNAME_KEY = "kubernetes.io/hostname"
_RESTART = ("Always", "Never", "OnFailure")
_DNS = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")


def check_pod(document: Document) -> None:
    check_metadata(document, check_label)
    check_known_annotations(document.root["metadata"]["annotations"])
    if document.root["spec"].require():
        _check_spec(document.root["spec"])


def read_pod(document: Document, cluster: str) -> Pod:
    root = document.root
    return Pod(namespace_of(document), name_of(document), cluster, _read_template(root), document.source)


def check_deployment(document: Document) -> None:
    _check_workload(document, "deployment")
    rolling = document.root["spec"]["strategy"]["rollingUpdate"]
    check_supported(document.root["spec"]["strategy"]["type"], ("Recreate", "RollingUpdate"))
    for name in ("maxSurge", "maxUnavailable"):
        _check_share(rolling[name])
    if _is_zero(rolling["maxSurge"]) and _is_zero(rolling["maxUnavailable"]):
        what = "Invalid value: may not be 0 when `maxSurge` is 0"
        rolling["maxUnavailable"].fault(Code.FIELD_VALUE, what)


def read_deployment(document: Document, cluster: str) -> Deployment:
    spec = document.root["spec"]
    rolling = spec["strategy"]["rollingUpdate"]
    return Deployment(
        namespace=namespace_of(document),
        name=name_of(document),
        cluster=cluster,
        replicas=spec["replicas"].number_or(1),
        selector=_read_owner_selector(spec).match_labels,
        template=_read_template(spec["template"]),
        source=document.source,
        max_surge=_read_share(rolling["maxSurge"]),
        max_unavailable=_read_share(rolling["maxUnavailable"]),
        recreate=spec["strategy"]["type"].text == "Recreate",
    )


def check_stateful_set(document: Document) -> None:
    _check_workload(document, "statefulset")
    check_text(document.root["spec"]["serviceName"], check_label)
    policies = ("OrderedReady", "Parallel")
    check_supported(document.root["spec"]["podManagementPolicy"], policies)


def read_stateful_set(document: Document, cluster: str) -> StatefulSet:
    spec = document.root["spec"]
    return StatefulSet(
        namespace=namespace_of(document),
        name=name_of(document),
        cluster=cluster,
        replicas=spec["replicas"].number_or(1),
        selector=_read_owner_selector(spec).match_labels,
        template=_read_template(spec["template"]),
        service_name=spec["serviceName"].text_or(""),
        source=document.source,
    )


def _check_workload(document: Document, kind: str) -> None:
    check_metadata(document, check_label)
    spec = document.root["spec"]
    if not spec.require():
        return
    check_range(spec["replicas"], 0, MOST_REPLICAS, "what a lab takes")
    check_range(spec["minReadySeconds"], 0, 2**31 - 1)
    check_selector(spec["selector"])
    template = spec["template"]
    if template["spec"].require():
        _check_spec(template["spec"])
    check_labels(template["metadata"]["labels"])
    check_annotations(template["metadata"]["annotations"])
    check_known_annotations(template["metadata"]["annotations"])
    restart = template["spec"]["restartPolicy"]
    if restart.text in _RESTART and restart.text != "Always":
        what = f'Unsupported value: {show(restart.text)}: supported values: "Always"'
        restart.fault(Code.FIELD_VALUE, what, f"the pods of a {kind} always restart")
    _check_owner_selector(spec, kind)


def _check_owner_selector(spec: Cursor, kind: str) -> None:
    selector = spec["selector"]
    if not isinstance(selector.value, dict):
        return
    wanted = read_selector(selector)
    labels = spec["template"]["metadata"]["labels"]
    if not wanted.match_labels and not wanted.expressions:
        what = f"Invalid value: {{}}: empty selector is invalid for {kind}"
        selector.fault(Code.FIELD_REQUIRED, what, "select the labels of the template")
    elif not selects(wanted, labels.pairs()):
        what = f"Invalid value: {show(dict(labels.pairs()))}: `selector` does not match template `labels`"
        labels.fault(Code.SELECTOR_MISMATCH, what, f"selector: {show(dict(wanted.match_labels))}", on_key=True)


def _read_owner_selector(spec: Cursor) -> LabelSelector:
    selector = read_selector(spec["selector"])
    if selector.match_labels:
        return selector
    return LabelSelector(spec["template"]["metadata"]["labels"].pairs())


def _check_share(cursor: Cursor) -> None:
    if cursor.text is not None:
        digits = cursor.text.removesuffix("%")
        if not (cursor.text.endswith("%") and digits.isascii() and digits.isdigit() and len(digits) <= 3):
            what = f"Invalid value: {show(cursor.text)}: a valid percent string must be a numeric string"
            cursor.fault(Code.FIELD_VALUE, what + " followed by an ending '%'", 'e.g. 1 or "25%"')
    check_range(cursor, 0, MOST_REPLICAS)


def _is_zero(cursor: Cursor) -> bool:
    return cursor.value in (0, "0%") and cursor.value is not False


def _read_share(cursor: Cursor) -> int | str:
    return cursor.value if isinstance(cursor.value, (int, str)) else "25%"


def _check_spec(spec: Cursor) -> None:
    if spec["containers"].require():
        check_containers(spec["containers"])
    check_containers(spec["initContainers"])
    ignore(spec["initContainers"], "is not emulated; init containers do not run")
    ignore(spec["ephemeralContainers"])
    check_supported(spec["restartPolicy"], _RESTART)
    check_supported(spec["dnsPolicy"], _DNS)
    check_text(spec["nodeName"], check_label)
    check_text(spec["hostname"], check_label)
    check_text(spec["subdomain"], check_label)
    check_labels(spec["nodeSelector"])
    check_range(spec["terminationGracePeriodSeconds"], 0, 2**31 - 1)
    ignore(spec["affinity"]["nodeAffinity"], "is not emulated; use nodeSelector")
    ignore(spec["affinity"]["podAffinity"])
    ignore(spec["topologySpreadConstraints"])


def _read_template(holder: Cursor) -> Template:
    """``holder`` has ``metadata`` and ``spec``: a Pod, or the template of a workload."""
    metadata, spec = holder["metadata"], holder["spec"]
    labels = metadata["labels"].pairs()
    return Template(
        labels=labels,
        annotations=metadata["annotations"].pairs(),
        spec=PodSpec(
            containers=read_containers(spec["containers"]),
            node_name=spec["nodeName"].text or None,
            node_selector=spec["nodeSelector"].pairs(),
            host_network=spec["hostNetwork"].flag,
            hostname=spec["hostname"].text or None,
            subdomain=spec["subdomain"].text or None,
            restart_policy=spec["restartPolicy"].text_or("Always"),
            dns_policy=spec["dnsPolicy"].text_or("ClusterFirst"),
            termination_grace_seconds=spec["terminationGracePeriodSeconds"].number_or(30),
            anti_affinity_hostname=_keeps_apart(spec["affinity"]["podAntiAffinity"], labels),
            readiness_gates=tuple(gate["conditionType"].text_or("") for gate in spec["readinessGates"].items()),
        ),
    )


def _keeps_apart(rule: Cursor, labels: tuple[tuple[str, str], ...]) -> bool:
    """Whether required anti-affinity keeps pods with these labels on different nodes."""
    terms = rule["requiredDuringSchedulingIgnoredDuringExecution"].items()
    return any(
        term["topologyKey"].text == HOSTNAME_KEY and selects(read_selector(term["labelSelector"]), labels)
        for term in terms
    )
