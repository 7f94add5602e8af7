"""Ingresses."""

from __future__ import annotations

import re
from ipaddress import ip_address

from testbed.model.kubernetes import Ingress, IngressBackend, IngressPath, IngressRule, IngressTls
from testbed.spec.codes import Code
from testbed.spec.document import Cursor, Document
from testbed.spec.faults import show
from testbed.spec.kube.annotations import check_known_annotations
from testbed.spec.kube.common import check_port, check_supported, check_text, port_text
from testbed.spec.kube.metadata import annotation, check_metadata, name_of, namespace_of
from testbed.spec.names import check_port_name, check_subdomain, check_wildcard

PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
CLASS_ANNOTATION = "kubernetes.io/ingress.class"
MATCH_MODE = "ingress.beta.kubernetes.io/url-match-mode"

_BAD_SEQUENCES = ("//", "/./", "/../", "%2f", "%2F")
_BAD_ENDINGS = ("/..", "/.")


def check_ingress(document: Document) -> None:
    check_metadata(document, check_subdomain)
    check_known_annotations(document.root["metadata"]["annotations"])
    spec = document.root["spec"]
    if not spec["defaultBackend"].present and not spec["rules"].items():
        what = "Invalid value: null: either `defaultBackend` or `rules` must be specified"
        spec.fault(Code.INGRESS, what)
    if spec["defaultBackend"].present:
        _check_backend(spec["defaultBackend"])
    mode = annotation(document, MATCH_MODE).text
    for rule in spec["rules"].items():
        _check_host(rule["host"])
        for path in rule["http"]["paths"].items():
            _check_path(path, mode)
        if rule["http"].present:
            rule["http"]["paths"].require()
    for tls in spec["tls"].items():
        for host in tls["hosts"].items():
            _check_host(host)
        check_text(tls["secretName"], check_subdomain)
    check_text(spec["ingressClassName"], check_subdomain)
    old_class = annotation(document, CLASS_ANNOTATION)
    if spec["ingressClassName"].present and old_class.present:
        what = f"Invalid value: {show(old_class.value)}: can not be set when the class field is also set"
        old_class.fault(Code.INGRESS, what)


def _check_host(host: Cursor) -> None:
    if not host.text:
        return
    if _is_address(host.text):
        what = f"Invalid value: {show(host.text)}: must be a DNS name, not an IP address"
        host.fault(Code.INGRESS, what)
    elif "*" in host.text:
        check_text(host, check_wildcard)
    else:
        check_text(host, check_subdomain)


def _is_address(text: str) -> bool:
    try:
        ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True


def _is_pattern(text: str) -> bool:
    try:
        re.compile(text)
    except (re.error, RecursionError):
        return False
    return True


def _check_path(path: Cursor, mode: str | None) -> None:
    check_supported(path["pathType"], PATH_TYPES)
    written, text = path["path"], path["path"].text or ""
    may_be_empty = path["pathType"].text == "ImplementationSpecific"
    if not text.startswith("/") and not (may_be_empty and not text):
        written.fault(Code.INGRESS, f"Invalid value: {show(text)}: must be an absolute path")
    if path["pathType"].text in ("Exact", "Prefix"):
        for sequence in _BAD_SEQUENCES:
            if sequence in text:
                written.fault(Code.INGRESS, f"Invalid value: {show(text)}: must not contain '{sequence}'")
        for ending in _BAD_ENDINGS:
            if text.endswith(ending):
                written.fault(Code.INGRESS, f"Invalid value: {show(text)}: cannot end with '{ending}'")
    if mode == "REGEX" and may_be_empty and not _is_pattern(text):
        written.fault(Code.INGRESS, f"Invalid value: {show(text)}: is not a regular expression")
    if re.search(r"[\s\x00-\x20]", text):
        written.fault(Code.INGRESS, f"Invalid value: {show(text)}: must not contain blanks")
    _check_backend(path["backend"])


def _check_backend(backend: Cursor) -> None:
    service, resource = backend["service"], backend["resource"]
    if service.present and resource.present:
        what = "Invalid value: cannot set both resource and service backends"
        backend.fault(Code.INGRESS, what, "name a service")
        return
    if resource.present:
        resource.fault(Code.INGRESS, "resource backends are not emulated", "name a service")
        return
    if not service["name"].require():
        return
    check_text(service["name"], check_subdomain)
    port = service["port"]
    if port["name"].text and port["number"].number:
        port.fault(Code.INGRESS, "Invalid value: cannot set both port name & port number")
    elif not port["name"].text and not port["number"].number:
        port.fault(Code.INGRESS, "Required value: port name or number is required")
    check_port(port["number"])
    check_text(port["name"], check_port_name)


def read_ingress(document: Document, cluster: str) -> Ingress:
    spec, metadata = document.root["spec"], document.root["metadata"]
    return Ingress(
        namespace=namespace_of(document),
        name=name_of(document),
        cluster=cluster,
        rules=tuple(_read_rule(rule) for rule in spec["rules"].items()),
        source=document.source,
        default_backend=_read_backend(spec["defaultBackend"]) if spec["defaultBackend"].present else None,
        tls=tuple(IngressTls(tls["hosts"].texts(), tls["secretName"].text_or("")) for tls in spec["tls"].items()),
        class_name=spec["ingressClassName"].text or annotation(document, CLASS_ANNOTATION).text,
        annotations=metadata["annotations"].pairs(),
    )


def _read_rule(rule: Cursor) -> IngressRule:
    paths = tuple(
        IngressPath(path["path"].text_or("/"), path["pathType"].text_or(""), _read_backend(path["backend"]))
        for path in rule["http"]["paths"].items()
    )
    return IngressRule(rule["host"].text_or(""), paths)


def _read_backend(backend: Cursor) -> IngressBackend:
    service = backend["service"]
    port = service["port"]["number"]
    return IngressBackend(service["name"].text_or(""), port_text(port if port.number else service["port"]["name"]))
