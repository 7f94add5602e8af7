"""Ingresses against the Services and Secrets that they name."""

from __future__ import annotations

from testbed.model.kubernetes import Ingress, IngressBackend
from testbed.spec.codes import Code
from testbed.spec.document import Cursor
from testbed.spec.faults import did_you_mean, show
from testbed.spec.index import Index
from testbed.spec.rules.services import ELB_ID

CLASS = "cce"


def check_ingresses(index: Index) -> None:
    for ingress in index.lab.ingresses:
        root = index.cursor("ingresses", ingress)
        spec = root["spec"]
        if ingress.default_backend:
            _check_backend(index, spec["defaultBackend"], ingress, ingress.default_backend)
        for number, rule in enumerate(ingress.rules):
            for position, path in enumerate(rule.paths):
                cursor = spec.at("rules", number, "http", "paths", position, "backend")
                _check_backend(index, cursor, ingress, path.backend)
        for number, tls in enumerate(ingress.tls):
            _check_secret(index, spec.at("tls", number, "secretName"), ingress, tls.secret)
        _check_balancer(index, root["metadata"]["annotations"][ELB_ID], ingress)
        if ingress.class_name not in (None, CLASS):
            what = f"no controller serves the class {show(ingress.class_name)}; the Ingress gets no address"
            spec["ingressClassName"].warn(Code.REFERENCE_UNKNOWN, what, f'use "{CLASS}", or none')


def _check_balancer(index: Index, cursor: Cursor, ingress: Ingress) -> None:
    balancer = index.load_balancer(cursor, dict(ingress.annotations).get(ELB_ID))
    vpc = next((cluster.vpc for cluster in index.lab.clusters if cluster.name == ingress.cluster), "")
    if balancer and balancer.vpc and vpc and balancer.vpc != vpc:
        what = f"LoadBalancer {show(balancer.name)} is in VPC {show(balancer.vpc)}"
        cursor.fault(Code.REFERENCE_WRONG, what, f"the cluster is in VPC {show(vpc)}")


def _check_backend(index: Index, cursor: Cursor, ingress: Ingress, backend: IngressBackend) -> None:
    service = index.service(ingress.cluster, ingress.namespace, backend.service)
    name = cursor["service"]["name"]
    if service is None:
        if ("Service", backend.service) not in index.refused:
            same = [item.name for item in index.lab.services if item.namespace == ingress.namespace]
            what = f"service {show(backend.service)} does not exist; requests will get 503"
            name.warn(Code.REFERENCE_UNKNOWN, what, did_you_mean(backend.service, same))
        return
    if service.type == "ExternalName":
        name.warn(Code.REFERENCE_WRONG, f"service {show(backend.service)} is an ExternalName; requests will get 503")
        return
    ports = {str(port.port) for port in service.ports} | {port.name for port in service.ports if port.name}
    if backend.port not in ports:
        what = f"service {show(backend.service)} has no port {backend.port}; requests will get 503"
        cursor["service"]["port"].warn(Code.REFERENCE_UNKNOWN, what, did_you_mean(backend.port, ports))


def _check_secret(index: Index, cursor: Cursor, ingress: Ingress, name: str) -> None:
    if not name or index.secret(ingress.cluster, ingress.namespace, name) is not None:
        return
    if ("Secret", name) not in index.refused:
        same = [item.name for item in index.lab.secrets if item.namespace == ingress.namespace]
        hint = did_you_mean(name, same) or f"declare a Secret of type kubernetes.io/tls in {ingress.namespace}"
        cursor.fault(Code.REFERENCE_UNKNOWN, f"secret {show(name)} not found", hint)
