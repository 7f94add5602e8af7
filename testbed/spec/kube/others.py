"""Namespaces, EndpointSlices and TLS Secrets."""

from __future__ import annotations

import base64
import binascii
import re
from ipaddress import IPv4Address

from testbed.model.kubernetes import ContainerPort, EndpointSlice, Namespace, Secret, SliceEndpoint
from testbed.spec.addresses import read_address
from testbed.spec.codes import Code
from testbed.spec.document import Cursor, Document
from testbed.spec.kube.common import (
    check_address,
    check_duplicates,
    check_port,
    check_protocol,
    check_supported,
    check_text,
)
from testbed.spec.kube.metadata import check_metadata, name_of, namespace_of
from testbed.spec.kube.tls import pair_problem
from testbed.spec.names import check_label, check_subdomain

SERVICE_LABEL = "kubernetes.io/service-name"
TLS_TYPE = "kubernetes.io/tls"
MOST_ENDPOINTS = 1000

_TLS_FIELDS = ("tls.crt", "tls.key")
_PEM = {
    "tls.crt": re.compile(r"-----BEGIN CERTIFICATE-----\s.+?-----END CERTIFICATE-----", re.DOTALL),
    "tls.key": re.compile(r"-----BEGIN ([A-Z]+ )?PRIVATE KEY-----\s.+?-----END ([A-Z]+ )?PRIVATE KEY-----", re.DOTALL),
}


def check_namespace(document: Document) -> None:
    check_metadata(document, check_label)


def read_namespace(document: Document) -> Namespace:
    metadata = document.root["metadata"]
    name = name_of(document)
    labels = dict(metadata["labels"].pairs()) | {"kubernetes.io/metadata.name": name}
    return Namespace(name, tuple(sorted(labels.items())), document.source, metadata["annotations"].pairs())


def check_endpoint_slice(document: Document) -> None:
    check_metadata(document, check_subdomain)
    root = document.root
    kind = root["addressType"]
    if kind.text == "IPv6":
        kind.fault(Code.IPV6_UNSUPPORTED, "IPv6 is not emulated", 'use "IPv4"')
    else:
        check_supported(kind, ("FQDN", "IPv4", "IPv6"))
    if kind.text == "FQDN":
        kind.fault(Code.FIELD_VALUE, "FQDN endpoints are not emulated", 'use "IPv4"')
    endpoints = root["endpoints"].items()
    if len(endpoints) > MOST_ENDPOINTS:
        what = f"Too many: {len(endpoints)}: must have at most {MOST_ENDPOINTS} items"
        root["endpoints"].fault(Code.FIELD_RANGE, what)
    for endpoint in endpoints:
        endpoint["addresses"].require()
        for address in endpoint["addresses"].items():
            check_address(address)
        check_text(endpoint["hostname"], check_label)
    for port in root["ports"].items():
        check_port(port["port"])
        check_protocol(port["protocol"])
        if port["name"].text:
            check_text(port["name"], check_label)
    check_duplicates((port["name"], port["name"].text_or("")) for port in root["ports"].items())
    service = root["metadata"]["labels"][SERVICE_LABEL]
    if not service.text:
        root["metadata"]["labels"].fault(
            Code.FIELD_REQUIRED, f"label {SERVICE_LABEL} is missing", "it says whose endpoints these are"
        )


def read_endpoint_slice(document: Document, cluster: str) -> EndpointSlice:
    root = document.root
    return EndpointSlice(
        namespace=namespace_of(document),
        name=name_of(document),
        cluster=cluster,
        service=root["metadata"]["labels"][SERVICE_LABEL].text_or(""),
        endpoints=tuple(
            _read_endpoint(endpoint, address)
            for endpoint in root["endpoints"].items()
            for text in endpoint["addresses"].texts()[:1]  # consumers use the first address only, says the API
            if isinstance(address := read_address(text), IPv4Address)
        ),
        ports=tuple(
            ContainerPort(port["port"].number_or(0), port["protocol"].text_or("TCP"), port["name"].text_or(""))
            for port in root["ports"].items()
        ),
        source=document.source,
    )


def _read_endpoint(endpoint: Cursor, address: IPv4Address) -> SliceEndpoint:
    conditions = endpoint["conditions"]
    ready = conditions["ready"].value is not False
    return SliceEndpoint(
        address=address,
        ready=ready,
        serving=ready if conditions["serving"].value is None else conditions["serving"].flag,
        terminating=conditions["terminating"].flag,
        node=endpoint["nodeName"].text,
        hostname=endpoint["hostname"].text,
    )


def check_endpoints(document: Document) -> None:
    """The older kind for the same thing; one subset is one slice."""
    check_metadata(document, check_subdomain)
    subsets = document.root["subsets"]
    for extra in subsets.items()[1:]:
        extra.fault(Code.FIELD_VALUE, "only one subset is emulated", "write EndpointSlices instead")
    for subset in subsets.items()[:1]:
        for kind in ("addresses", "notReadyAddresses"):
            for address in subset[kind].items():
                address["ip"].require()
                check_address(address["ip"])
        for port in subset["ports"].items():
            check_port(port["port"])
            check_protocol(port["protocol"])
        check_duplicates((port["name"], port["name"].text_or("")) for port in subset["ports"].items())


def read_endpoints(document: Document, cluster: str) -> EndpointSlice:
    name = name_of(document)
    subset = document.root.at("subsets", 0)
    endpoints = [
        SliceEndpoint(address, ready, ready, node=item["nodeName"].text, hostname=item["hostname"].text)
        for kind, ready in (("addresses", True), ("notReadyAddresses", False))
        for item in subset[kind].items()
        if isinstance(address := read_address(item["ip"].text_or("")), IPv4Address)
    ]
    ports = tuple(
        ContainerPort(port["port"].number_or(0), port["protocol"].text_or("TCP"), port["name"].text_or(""))
        for port in subset["ports"].items()
    )
    made = f"{name}-endpoints"
    return EndpointSlice(namespace_of(document), made, cluster, name, tuple(endpoints), ports, document.source)


def check_secret(document: Document) -> None:
    check_metadata(document, check_subdomain)
    root = document.root
    for _, entry in root["data"].entries():
        if entry.text is not None and _decode(entry.text) is None:
            entry.fault(Code.SECRET, "not valid base64", "put plain text into stringData")
    if root["type"].text != TLS_TYPE:
        return
    for field in _TLS_FIELDS:
        written = root["stringData"][field] if root["stringData"][field].present else root["data"][field]
        text = _secret_text(root, field)
        if written.text and not root["stringData"][field].present and _decode(written.text) is None:
            continue
        if text == "":
            written.fault(Code.FIELD_REQUIRED, "Required value")
        elif not _PEM[field].search(text):
            wanted = "a certificate" if field == "tls.crt" else "a private key"
            written.fault(Code.SECRET, f"{field} does not hold {wanted} in PEM format")
    if not document.failed:
        _check_pair(root)


def _check_pair(root: Cursor) -> None:
    certificate, key = (_secret_text(root, field) for field in _TLS_FIELDS)
    if problem := pair_problem(certificate, key):
        place = root["data"] if root["data"].present else root["stringData"]
        what = f"the certificate and the key can't be used together ({problem})"
        place.fault(Code.SECRET, what, "tls.key must be the key of the first certificate in tls.crt", on_key=True)


def is_tls(document: Document) -> bool:
    return document.root["type"].text == TLS_TYPE


def read_secret(document: Document, cluster: str) -> Secret:
    root = document.root
    certificate, key = (_secret_text(root, field) for field in _TLS_FIELDS)
    return Secret(namespace_of(document), name_of(document), cluster, certificate, key, document.source)


def _secret_text(root: Cursor, field: str) -> str:
    plain = root["stringData"][field].text
    if plain is not None:
        return plain
    encoded = root["data"][field].text
    return "" if encoded is None else (_decode(encoded) or "")


def _decode(text: str) -> str | None:
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return None
