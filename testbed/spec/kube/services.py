"""Services."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from testbed.model.kubernetes import KubeServicePort, Service
from testbed.spec.addresses import read_address, read_cidr
from testbed.spec.codes import Code
from testbed.spec.document import Cursor, Document
from testbed.spec.faults import show
from testbed.spec.kube.annotations import check_known_annotations
from testbed.spec.kube.common import (
    check_address,
    check_cidr,
    check_duplicates,
    check_labels,
    check_port,
    check_port_or_name,
    check_protocol,
    check_range,
    check_supported,
    check_text,
    forbid,
    ignore,
    port_text,
)
from testbed.spec.kube.metadata import check_metadata, name_of, namespace_of
from testbed.spec.names import check_label, check_label_1035, check_port_name, check_subdomain

TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
POLICIES = ("Cluster", "Local")
NODE_PORTS = range(30000, 32768)
LONGEST_AFFINITY = 86400
DEFAULT_AFFINITY = 10800


def check_service(document: Document) -> None:
    check_metadata(document, check_label_1035)
    spec = document.root["spec"]
    if not spec.require():
        return
    kind = spec["type"].text_or("ClusterIP")
    check_supported(spec["type"], TYPES)
    check_labels(spec["selector"])
    if kind == "ExternalName":
        _check_external_name(spec)
    elif spec["clusterIP"].text == "None" and not spec["ports"].items():
        pass  # a headless Service may have no ports
    else:
        spec["ports"].require()
    _check_ports(spec["ports"].items(), kind)
    _check_addresses(spec, kind)
    _check_policies(spec, kind)
    check_known_annotations(document.root["metadata"]["annotations"])


def _check_external_name(spec: Cursor) -> None:
    name = spec["externalName"]
    if name.require() and name.text is not None:
        check_text(Cursor(name.document, name.text.removesuffix("."), name.path), check_subdomain)
    for field in ("clusterIP", "sessionAffinity"):
        if spec[field].text not in (None, "", "None"):
            forbid(spec[field], "may not be set for ExternalName services")


def _check_ports(ports: list[Cursor], kind: str) -> None:
    for port in ports:
        check_port(port["port"])
        check_port_or_name(port["targetPort"], check_port_name)
        check_protocol(port["protocol"])
        if len(ports) > 1:
            port["name"].require()
        if port["name"].text:
            check_text(port["name"], check_label)
        _check_node_port(port["nodePort"], kind)
    check_duplicates((port["name"], port["name"].text or None) for port in ports)
    check_duplicates((port["nodePort"], _protocol_of(port, "nodePort")) for port in ports)
    seen: dict[tuple[int | str, ...], int] = {}
    for index, port in enumerate(ports):
        identity = _protocol_of(port, "port")
        if identity and identity in seen:
            what = f"Duplicate value: {identity[0]}/{identity[1]}"
            port.fault(Code.PORT_DUPLICATE, what, f"first at spec.ports[{seen[identity]}]")
        elif identity:
            seen[identity] = index


def _protocol_of(port: Cursor, field: str) -> tuple[int | str, ...] | None:
    number = port[field].number
    return None if number is None or number == 0 else (number, port["protocol"].text_or("TCP"))


def _check_node_port(port: Cursor, kind: str) -> None:
    number = port.number
    if number is None or number == 0:  # 0 is how Kubernetes writes "choose one"
        return
    if kind not in ("NodePort", "LoadBalancer"):
        forbid(port, f"may not be used when `type` is '{kind}'")
    elif number not in NODE_PORTS:
        what = f"Invalid value: {show(number)}: provided port is not in the valid range."
        what += " The range of valid ports is 30000-32767"
        port.fault(Code.NODE_PORT_RANGE, what)


def _check_addresses(spec: Cursor, kind: str) -> None:
    if spec["clusterIP"].text not in (None, "", "None"):
        check_address(spec["clusterIP"])
    if spec["clusterIP"].text == "None" and kind not in ("ClusterIP", "ExternalName"):
        what = f"Invalid value: \"None\": may not be set to 'None' for {kind} services"
        spec["clusterIP"].fault(Code.SERVICE, what)
    for address in spec["externalIPs"].items():
        check_address(address)
    for cidr in spec["loadBalancerSourceRanges"].items():
        check_cidr(cidr)
    if kind != "LoadBalancer":
        forbid(spec["loadBalancerSourceRanges"], "may only be used when `type` is 'LoadBalancer'")
        forbid(spec["loadBalancerClass"], "may only be used when `type` is 'LoadBalancer'")
    elif spec["loadBalancerIP"].text:
        check_address(spec["loadBalancerIP"])
    for family in spec["ipFamilies"].items():
        if family.text == "IPv6":
            family.fault(Code.IPV6_UNSUPPORTED, "IPv6 is not emulated", 'use "IPv4"')
        else:
            check_supported(family, ("IPv4",))
    check_supported(spec["ipFamilyPolicy"], ("PreferDualStack", "RequireDualStack", "SingleStack"))
    if spec["ipFamilyPolicy"].text == "RequireDualStack":
        spec["ipFamilyPolicy"].fault(Code.IPV6_UNSUPPORTED, "IPv6 is not emulated", 'use "SingleStack"')


def _check_policies(spec: Cursor, kind: str) -> None:
    external = kind in ("NodePort", "LoadBalancer") or bool(spec["externalIPs"].items())
    check_supported(spec["externalTrafficPolicy"], POLICIES)
    check_supported(spec["internalTrafficPolicy"], POLICIES)
    if spec["externalTrafficPolicy"].present and not external:
        what = f"Invalid value: {show(spec['externalTrafficPolicy'].value)}: "
        what += "may only be set for externally-accessible services"
        spec["externalTrafficPolicy"].fault(Code.SERVICE, what)
    local = kind == "LoadBalancer" and spec["externalTrafficPolicy"].text == "Local"
    if spec["healthCheckNodePort"].number_or(0) and not local:
        what = f"Invalid value: {show(spec['healthCheckNodePort'].value)}: may only be set when "
        what += "`type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        spec["healthCheckNodePort"].fault(Code.SERVICE, what)
    check_supported(spec["sessionAffinity"], ("ClientIP", "None"))
    timeout = spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"]
    check_range(timeout, 1, LONGEST_AFFINITY)
    if spec["sessionAffinity"].text_or("None") == "None" and spec["sessionAffinityConfig"].value:
        forbid(spec["sessionAffinityConfig"], "must not be set when session affinity is None")
    ignore(spec["trafficDistribution"])


def read_service(document: Document, cluster: str) -> Service:
    spec, metadata = document.root["spec"], document.root["metadata"]
    return Service(
        namespace=namespace_of(document),
        name=name_of(document),
        cluster=cluster,
        type=spec["type"].text or "ClusterIP",
        selector=spec["selector"].pairs(),
        ports=tuple(_read_port(port) for port in spec["ports"].items()),
        source=document.source,
        annotations=metadata["annotations"].pairs(),
        labels=metadata["labels"].pairs(),
        cluster_ip=spec["clusterIP"].text or None,
        external_name=(spec["externalName"].text or "").removesuffix(".") or None,
        external_ips=_addresses(spec["externalIPs"].texts()),
        session_affinity_seconds=_read_affinity(spec),
        external_traffic_policy=spec["externalTrafficPolicy"].text or "Cluster",
        internal_traffic_policy=spec["internalTrafficPolicy"].text or "Cluster",
        publish_not_ready_addresses=spec["publishNotReadyAddresses"].flag,
        load_balancer_ip=next(iter(_addresses([spec["loadBalancerIP"].text_or("")])), None),
        source_ranges=_networks(spec["loadBalancerSourceRanges"].texts()),
        allocate_node_ports=spec["allocateLoadBalancerNodePorts"].value is not False,
    )


def _read_port(port: Cursor) -> KubeServicePort:
    return KubeServicePort(
        port=port["port"].number_or(0),
        target_port=port_text(port["targetPort"]),
        name=port["name"].text_or(""),
        protocol=port["protocol"].text or "TCP",
        node_port=port["nodePort"].number or None,
    )


def _read_affinity(spec: Cursor) -> int:
    if spec["sessionAffinity"].text != "ClientIP":
        return 0
    return spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"].number_or(DEFAULT_AFFINITY)


def _addresses(texts: tuple[str, ...] | list[str]) -> tuple[IPv4Address, ...]:
    found = (read_address(text) for text in texts)
    return tuple(address for address in found if isinstance(address, IPv4Address))


def _networks(texts: tuple[str, ...]) -> tuple[IPv4Network, ...]:
    found = (read_cidr(text) for text in texts)
    return tuple(network for network in found if isinstance(network, IPv4Network))
