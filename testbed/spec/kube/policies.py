"""NetworkPolicies, and CCE's SecurityGroup custom resource (``crd.yangtse.cni/v1``)."""

from __future__ import annotations

from testbed.model.kubernetes import NetworkPolicy, PolicyPeer, PolicyPort, PolicyRule, SecurityGroupPolicy
from testbed.spec.addresses import read_cidr
from testbed.spec.codes import Code
from testbed.spec.document import Cursor, Document
from testbed.spec.faults import show
from testbed.spec.kube.common import (
    check_cidr,
    check_port_or_name,
    check_protocol,
    check_selector,
    check_supported,
    check_text,
    forbid,
    port_text,
    read_selector,
)
from testbed.spec.kube.metadata import check_metadata, name_of, namespace_of
from testbed.spec.kubernetes_schema import check_definition, report_type, report_unknown_field
from testbed.spec.names import Problem, check_label, check_port_name, check_subdomain

_SELECTOR = "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector"
_METADATA = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


def check_network_policy(document: Document) -> None:
    check_metadata(document, check_subdomain)
    spec = document.root["spec"]
    if not spec.require():
        return
    check_selector(spec["podSelector"])
    for kind in spec["policyTypes"].items():
        check_supported(kind, ("Egress", "Ingress"))
    for direction, side in (("ingress", "from"), ("egress", "to")):
        for rule in spec[direction].items():
            for peer in rule[side].items():
                _check_peer(peer)
            for port in rule["ports"].items():
                _check_port(port)


def _check_peer(peer: Cursor) -> None:
    kinds = [name for name in ("podSelector", "namespaceSelector", "ipBlock") if peer[name].present]
    if not kinds:
        peer.fault(Code.POLICY, "Required value: must specify a peer")
    if "ipBlock" in kinds and len(kinds) > 1:
        forbid(peer["ipBlock"], "may not specify both ipBlock and another peer")
    check_selector(peer["podSelector"])
    check_selector(peer["namespaceSelector"])
    block = peer["ipBlock"]
    if not block.present:
        return
    block["cidr"].require()
    network = check_cidr(block["cidr"])
    for item in block["except"].items():
        excepted = check_cidr(item)
        if network and excepted and (excepted == network or not excepted.subnet_of(network)):
            what = f"Invalid value: {show(item.value)}: must be a strict subset of `cidr`"
            item.fault(Code.POLICY, what, f"a part of {network}")


def _check_port(port: Cursor) -> None:
    check_protocol(port["protocol"])
    check_port_or_name(port["port"], check_port_name)
    end, first = port["endPort"], port["port"]
    if end.number is None:
        return
    if not first.present:
        what = f"Invalid value: {show(end.value)}: may not be specified when `port` is not specified"
        end.fault(Code.POLICY, what)
    elif first.number is None:
        what = f"Invalid value: {show(end.value)}: may not be specified when `port` is non-numeric"
        end.fault(Code.POLICY, what)
    elif end.number < first.number:
        what = f"Invalid value: {show(end.value)}: must be greater than or equal to `port`"
        end.fault(Code.POLICY, what)
    elif end.number > 65535:
        end.fault(Code.PORT_RANGE, f"Invalid value: {show(end.value)}: must be between 1 and 65535, inclusive")


def read_network_policy(document: Document, cluster: str) -> NetworkPolicy:
    spec = document.root["spec"]
    types = spec["policyTypes"].texts()
    ingress = "Ingress" in types if types else True
    egress = "Egress" in types if types else spec["egress"].present
    return NetworkPolicy(
        namespace=namespace_of(document),
        name=name_of(document),
        cluster=cluster,
        selector=read_selector(spec["podSelector"]),
        source=document.source,
        ingress=_read_rules(spec["ingress"], "from") if ingress else None,
        egress=_read_rules(spec["egress"], "to") if egress else None,
    )


def _read_rules(rules: Cursor, side: str) -> tuple[PolicyRule, ...]:
    return tuple(
        PolicyRule(
            tuple(_read_peer(peer) for peer in rule[side].items()),
            tuple(
                PolicyPort(port["protocol"].text_or("TCP"), port_text(port["port"]), port["endPort"].number)
                for port in rule["ports"].items()
            ),
        )
        for rule in rules.items()
    )


def _read_peer(peer: Cursor) -> PolicyPeer:
    cidr = read_cidr(peer["ipBlock"]["cidr"].text_or(""))
    excepted = (read_cidr(text) for text in peer["ipBlock"]["except"].texts())
    return PolicyPeer(
        pods=read_selector(peer["podSelector"]) if peer["podSelector"].present else None,
        namespaces=read_selector(peer["namespaceSelector"]) if peer["namespaceSelector"].present else None,
        cidr=None if isinstance(cidr, Problem) else cidr,
        excepted=tuple(network for network in excepted if not isinstance(network, Problem)),
    )


def check_security_group_policy(document: Document) -> None:
    """CCE's custom resource has no published schema: checked here by hand, as strictly."""
    _check_shape(document)
    check_metadata(document, check_subdomain)
    spec = document.root["spec"]
    if not spec.require():
        return
    check_selector(spec["podSelector"])
    groups = spec["securityGroups"]
    if groups.require() and not isinstance(groups.value, list):
        report_type(document, groups.path, "a list", groups.value)
    for group in groups.items():
        if not isinstance(group.value, dict):
            report_type(document, group.path, "a mapping", group.value)
            continue
        for key, _ in group.entries():
            if key != "id":
                report_unknown_field(document, (*group.path, key), ("id",))
        if group["id"].require():
            if group["id"].text is None:
                report_type(document, group["id"].path, "a string", group["id"].value)
            check_text(group["id"], check_label)


def _check_shape(document: Document) -> None:
    root = document.root
    known = {"apiVersion", "kind", "metadata", "spec", "status"}
    for key, _ in root.entries():
        if key not in known:
            report_unknown_field(document, (key,), known)
    check_definition(document, ("metadata",), root["metadata"].value, _METADATA)
    if root["spec"].present and not isinstance(root["spec"].value, dict):
        report_type(document, ("spec",), "a mapping", root["spec"].value)
    for key, _ in root["spec"].entries():
        if key not in ("podSelector", "securityGroups"):
            report_unknown_field(document, ("spec", key), ("podSelector", "securityGroups"))
    selector = root["spec"]["podSelector"]
    check_definition(document, selector.path, selector.value, _SELECTOR)


def read_security_group_policy(document: Document, cluster: str) -> SecurityGroupPolicy:
    spec = document.root["spec"]
    return SecurityGroupPolicy(
        namespace=namespace_of(document),
        name=name_of(document),
        cluster=cluster,
        selector=read_selector(spec["podSelector"]),
        security_groups=tuple(group["id"].text_or("") for group in spec["securityGroups"].items()),
        source=document.source,
    )
