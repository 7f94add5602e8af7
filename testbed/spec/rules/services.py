"""Services against the rest of the lab: their addresses, their ports, the pods they find."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from testbed.model.cloud import Cluster
from testbed.model.desired import NetworkModel
from testbed.model.kubernetes import LabelSelector, Service, Template
from testbed.spec.codes import Code
from testbed.spec.document import Cursor
from testbed.spec.faults import did_you_mean, show
from testbed.spec.index import Index
from testbed.spec.kube.common import selects
from testbed.spec.rules.workloads import templates

ELB_CLASS = "kubernetes.io/elb.class"
ELB_ID = "kubernetes.io/elb.id"
NAT_ID = "kubernetes.io/natgateway.id"
DNS_OFFSET = 3 * 256 + 10
MOST_COMPARED = 200
"""Templates that are looked at for a near miss of a selector."""

RESERVED_ADDRESSES = 4
"""Of a Service range: network, API server, DNS, broadcast."""


def check_services(index: Index) -> None:
    clusters = {cluster.name: cluster for cluster in index.lab.clusters}
    pods = _Pods(index)
    for service in index.lab.services:
        root = index.cursor("services", service)
        cluster = clusters.get(service.cluster)
        if cluster is None:
            continue
        _check_cluster_ip(root["spec"]["clusterIP"], service, cluster.service_cidr)
        _check_balancer(index, root, service, cluster)
        _check_pods(root["spec"], service, cluster, pods)
    _check_unique(index)
    _check_room(index, clusters)


def _check_cluster_ip(cursor: Cursor, service: Service, cidr: IPv4Network) -> None:
    if service.cluster_ip in (None, "None"):
        return
    address = IPv4Address(service.cluster_ip or "")
    if address not in cidr:
        what = f"Invalid value: {show(service.cluster_ip)}: the provided IP is not in the valid range"
        cursor.fault(Code.ADDRESS_OUTSIDE, what, f"an address of {cidr}")
    elif address in (cidr[0], cidr[1], cidr[-1], _dns_address(cidr)):
        what = f"Invalid value: {show(service.cluster_ip)}: the address is taken by the cluster itself"
        cursor.fault(Code.ADDRESS_RESERVED, what)


def _dns_address(cidr: IPv4Network) -> IPv4Address:
    return cidr[DNS_OFFSET] if cidr.num_addresses > DNS_OFFSET + 1 else cidr[-2]


def _check_balancer(index: Index, root: Cursor, service: Service, cluster: Cluster) -> None:
    if service.type != "LoadBalancer":
        return
    annotations = dict(service.annotations)
    written = root["metadata"]["annotations"]
    if annotations.get(ELB_CLASS) == "dnat":
        _check_dnat(index, root, service, cluster)
        return
    balancer = index.load_balancer(written[ELB_ID], annotations.get(ELB_ID))
    if balancer and balancer.vpc and balancer.vpc != cluster.vpc:
        what = f"LoadBalancer {show(balancer.name)} is in VPC {show(balancer.vpc)}"
        written[ELB_ID].fault(Code.REFERENCE_WRONG, what, f"the cluster is in VPC {show(cluster.vpc)}")


def _check_dnat(index: Index, root: Cursor, service: Service, cluster: Cluster) -> None:
    annotations = dict(service.annotations)
    cursor = root["metadata"]["annotations"][NAT_ID]
    if not annotations.get(NAT_ID):
        cursor.fault(Code.FIELD_REQUIRED, "Required value: a DNAT Service names its NAT gateway")
    gateway = index.nat_gateway(cursor, annotations.get(NAT_ID))
    if gateway and gateway.vpc and gateway.vpc != cluster.vpc:
        what = f"NatGateway {show(gateway.name)} is in VPC {show(gateway.vpc)}"
        cursor.fault(Code.REFERENCE_WRONG, what, f"the cluster is in VPC {show(cluster.vpc)}")
    place = root["spec"]["loadBalancerIP"]
    if service.load_balancer_ip is None:
        place.fault(Code.FIELD_REQUIRED, "Required value: a DNAT Service names its elastic IP's address")
        return
    addresses = {str(eip.address): eip.name for eip in index.lab.elastic_ips if eip.address}
    if str(service.load_balancer_ip) not in addresses and not any(kind == "ElasticIP" for kind, _ in index.refused):
        what = f"no ElasticIP has the address {service.load_balancer_ip}"
        place.fault(Code.REFERENCE_UNKNOWN, what, "give an ElasticIP this address")


class _Pods:
    """Pod templates by namespace and label, so that a Service looks at those only that have its first label."""

    def __init__(self, index: Index) -> None:
        self._in_namespace: dict[tuple[str, str], list[Template]] = {}
        self._with_label: dict[tuple[str, str, tuple[str, str]], list[Template]] = {}
        for placed in templates(index):
            home = (placed.cluster.name, placed.namespace)
            self._in_namespace.setdefault(home, []).append(placed.template)
            for label in placed.template.labels:
                self._with_label.setdefault((*home, label), []).append(placed.template)

    def of_namespace(self, service: Service) -> list[Template]:
        return self._in_namespace.get((service.cluster, service.namespace), [])

    def chosen_by(self, service: Service) -> list[Template]:
        """The templates that a Service with a selector finds."""
        selector = LabelSelector(service.selector)
        candidates = self._with_label.get((service.cluster, service.namespace, service.selector[0]), [])
        return [item for item in candidates if selects(selector, item.labels)]


def _check_pods(spec: Cursor, service: Service, cluster: Cluster, pods: _Pods) -> None:
    if not service.selector or service.type == "ExternalName":
        return
    chosen = pods.chosen_by(service)
    if not chosen:
        what = f"service {service.name} selects no pods; connections will be refused"
        spec["selector"].warn(
            Code.SELECTOR_EMPTY, what, _nearest_labels(service, pods.of_namespace(service)[:MOST_COMPARED]), on_key=True
        )
        return
    for position, port in enumerate(service.ports):
        if port.target_port and not port.target_port.isdigit():
            names = {known.name for item in chosen for box in item.spec.containers for known in box.ports}
            if port.target_port not in names:
                what = f"no selected pod has a port named {show(port.target_port)}"
                cursor = spec.at("ports", position, "targetPort")
                cursor.warn(Code.SELECTOR_EMPTY, what, did_you_mean(port.target_port, names - {""}))
    local = service.external_traffic_policy == "Local" and service.type in ("NodePort", "LoadBalancer")
    if local and cluster.model is NetworkModel.ENI and not all(item.spec.host_network for item in chosen):
        what = "Local works only for hostNetwork pods in the eni network model"
        spec["externalTrafficPolicy"].warn(Code.MODEL_MISMATCH, what)


def _nearest_labels(service: Service, candidates: list[Template]) -> str:
    wanted = ",".join(f"{key}={value}" for key, value in service.selector)
    known = {",".join(f"{key}={value}" for key, value in item.labels) for item in candidates}
    return did_you_mean(wanted, known)


def _check_unique(index: Index) -> None:
    """Cluster addresses and node ports are taken once in a cluster."""
    addresses: dict[tuple[str, str], str] = {}
    ports: dict[tuple[str, str, int], str] = {}
    for service in index.lab.services:
        spec = index.cursor("services", service)["spec"]
        owner = f"service {service.namespace}/{service.name}"
        if service.cluster_ip not in (None, "None"):
            key = (service.cluster, service.cluster_ip or "")
            if key in addresses:
                what = f"Invalid value: {show(key[1])}: provided IP is already allocated to {addresses[key]}"
                spec["clusterIP"].fault(Code.ADDRESS_DUPLICATE, what)
            addresses.setdefault(key, owner)
        for position, port in enumerate(service.ports):
            if port.node_port is None:
                continue
            place = (service.cluster, port.protocol, port.node_port)
            if place in ports and ports[place] != owner:
                what = f"Invalid value: {port.node_port}: provided port is already allocated to {ports[place]}"
                spec.at("ports", position, "nodePort").fault(Code.PORT_DUPLICATE, what)
            ports.setdefault(place, owner)


def _check_room(index: Index, clusters: dict[str, Cluster]) -> None:
    for cluster in clusters.values():
        wanted = [
            service
            for service in index.lab.services
            if service.cluster == cluster.name and service.type != "ExternalName" and service.cluster_ip != "None"
        ]
        room = cluster.service_cidr.num_addresses - RESERVED_ADDRESSES
        if len(wanted) > room >= 0:
            what = f"no free address in {cluster.service_cidr} ({len(wanted)} Services for {room} addresses)"
            spec = index.cursor("clusters", cluster)["spec"]
            spec["serviceCIDR"].fault(Code.CAPACITY_SERVICES, what, "a larger serviceCIDR")


def check_endpoint_slices(index: Index) -> None:
    for item in index.lab.endpoint_slices:
        root = index.cursor("endpoint_slices", item)
        older = root["kind"].text == "Endpoints"  # which has the name of its Service
        name = root["metadata"]["name"] if older else root["metadata"]["labels"]["kubernetes.io/service-name"]
        service = index.service(item.cluster, item.namespace, item.service)
        if service is None and ("Service", item.service) not in index.refused:
            what = f"service {show(item.service)} does not exist; these endpoints have no use"
            name.warn(Code.REFERENCE_UNKNOWN, what)
        elif service is not None and service.selector:
            what = f"service {show(item.service)} has a selector, so its endpoints are its pods"
            name.warn(Code.FIELD_IGNORED, what, "remove the selector or these endpoints")
        for position, endpoint in enumerate(item.endpoints):
            place = root["subsets"] if older else root.at("endpoints", position, "nodeName")
            index.node(place, endpoint.node, item.cluster)
