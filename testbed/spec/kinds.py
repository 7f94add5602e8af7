"""Which kinds there are, and what is done with a document of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from testbed.spec.cloud.check import check_cloud
from testbed.spec.cloud.fields import Part
from testbed.spec.cloud.kinds import API_VERSION, SPECS
from testbed.spec.codes import Code
from testbed.spec.document import Document
from testbed.spec.faults import did_you_mean, listed, show
from testbed.spec.kube import ingresses, others, pods, policies, services
from testbed.spec.kubernetes_schema import check_kubernetes, published_kinds, report_type

CCE_API_VERSION = "crd.yangtse.cni/v1"


@dataclass(frozen=True, slots=True)
class KubernetesKind:
    """``check`` reports what the schema can't say; ``read`` makes the model object of a sound document."""

    api_version: str
    kind: str
    check: Callable[[Document], None]
    read: Callable[..., Any]
    namespaced: bool = True
    published: bool = True


_KUBERNETES = (
    KubernetesKind("v1", "Namespace", others.check_namespace, others.read_namespace, namespaced=False),
    KubernetesKind("v1", "Pod", pods.check_pod, pods.read_pod),
    KubernetesKind("apps/v1", "Deployment", pods.check_deployment, pods.read_deployment),
    KubernetesKind("apps/v1", "StatefulSet", pods.check_stateful_set, pods.read_stateful_set),
    KubernetesKind("v1", "Service", services.check_service, services.read_service),
    KubernetesKind("discovery.k8s.io/v1", "EndpointSlice", others.check_endpoint_slice, others.read_endpoint_slice),
    KubernetesKind("v1", "Endpoints", others.check_endpoints, others.read_endpoints),
    KubernetesKind("networking.k8s.io/v1", "Ingress", ingresses.check_ingress, ingresses.read_ingress),
    KubernetesKind("v1", "Secret", others.check_secret, others.read_secret),
    KubernetesKind(
        "networking.k8s.io/v1", "NetworkPolicy", policies.check_network_policy, policies.read_network_policy
    ),
    KubernetesKind(
        CCE_API_VERSION,
        "SecurityGroup",
        policies.check_security_group_policy,
        policies.read_security_group_policy,
        published=False,
    ),
)
KUBERNETES = {(kind.api_version, kind.kind): kind for kind in _KUBERNETES}


@dataclass(frozen=True, slots=True)
class Checked:
    """A document of a kind that the lab knows, checked by itself. ``spec`` is that of a sound cloud document."""

    document: Document
    kind: str
    kubernetes: KubernetesKind | None = None
    spec: Part | None = None

    @property
    def namespace(self) -> str:
        if self.kubernetes is None or not self.kubernetes.namespaced:
            return ""
        return self.document.root["metadata"]["namespace"].text or "default"

    @property
    def name(self) -> str:
        return self.document.root["metadata"]["name"].text or ""

    @property
    def is_cloud(self) -> bool:
        return self.kubernetes is None


def check_document(document: Document) -> Checked | None:
    """Check one document alone. None: its kind is unknown (reported) or not emulated (a warning)."""
    api_version, kind = document.root["apiVersion"], document.root["kind"]
    readable = True
    for cursor in (api_version, kind):
        if not cursor.require():
            readable = False
        elif cursor.text is None:
            report_type(document, cursor.path, "a string", cursor.value)
            readable = False
    if not readable or api_version.text is None or kind.text is None:
        return None
    if api_version.text == API_VERSION and kind.text in SPECS:
        return Checked(document, kind.text, spec=check_cloud(document, kind.text))
    known = KUBERNETES.get((api_version.text, kind.text))
    if known is None:
        _report_unknown(document, api_version.text, kind.text)
        return None
    if known.published:
        check_kubernetes(document, known.api_version, known.kind)
    known.check(document)
    if known.kind == "Secret" and not others.is_tls(document):
        document.root["type"].warn(Code.KIND_IGNORED, "only Secrets of type kubernetes.io/tls are used; ignored")
        return None
    return Checked(document, known.kind, known)


def _report_unknown(document: Document, api_version: str, kind: str) -> None:
    if (api_version, kind) in published_kinds():
        document.root["kind"].warn(Code.KIND_IGNORED, f"kind {kind} is not emulated; ignored")
        return
    groups = {version for version, _ in published_kinds()} | {API_VERSION, CCE_API_VERSION}
    kinds = {known for version, known in [*published_kinds(), *KUBERNETES] if version == api_version}
    if api_version == API_VERSION:
        kinds = set(SPECS)
    if api_version in groups:
        hint = _home(kind) or did_you_mean(kind, kinds)
        document.root["kind"].fault(Code.KIND_UNKNOWN, f"no such kind {show(kind)} in {api_version}", hint)
        return
    group = api_version.rpartition("/")[0]
    if "." in group and not group.endswith(".k8s.io") and not group.endswith("cnlab.dev"):
        document.root["kind"].warn(Code.KIND_IGNORED, f"kind {show(kind)} of {show(group)} is not emulated; ignored")
        return
    hint = _home(kind) or did_you_mean(api_version, groups)
    document.root["apiVersion"].fault(Code.KIND_UNKNOWN, f"no such apiVersion {show(api_version)}", hint)


def _home(kind: str) -> str:
    """Which apiVersion a kind is in, said as a hint; nothing for a kind that there is not."""
    everything = [*published_kinds(), *KUBERNETES, *((API_VERSION, name) for name in SPECS)]
    homes = {version for version, known in everything if known == kind}
    return f"{kind} is in apiVersion {listed(homes)}" if homes else ""
