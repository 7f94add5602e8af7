"""A lab's objects by name, and where each was written: what the rules over the whole lab work with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Any

from testbed.model.cloud import (
    CloudNatGateway,
    Cluster,
    ElasticIp,
    LoadBalancer,
    NodePool,
    RouteTable,
    SecurityGroup,
    Server,
    Subnet,
    Vpc,
    VpcPeering,
)
from testbed.model.kubernetes import Secret, Service
from testbed.model.lab import Lab
from testbed.spec.codes import Code
from testbed.spec.document import Cursor, Document
from testbed.spec.faults import did_you_mean, listed, show

Key = tuple[str, str, str, str]
"""Lab field, cluster, namespace, name."""

KIND_FIELDS = {
    "Vpc": "vpcs",
    "Subnet": "subnets",
    "RouteTable": "route_tables",
    "SecurityGroup": "security_groups",
    "VpcPeering": "peerings",
    "NatGateway": "nat_gateways",
    "ElasticIP": "elastic_ips",
    "LoadBalancer": "load_balancers",
    "Server": "servers",
    "InternetHost": "internet_hosts",
    "Cluster": "clusters",
    "Namespace": "namespaces",
    "Pod": "pods",
    "Deployment": "deployments",
    "StatefulSet": "stateful_sets",
    "Service": "services",
    "Endpoints": "endpoint_slices",
    "EndpointSlice": "endpoint_slices",
    "Ingress": "ingresses",
    "Secret": "secrets",
    "NetworkPolicy": "network_policies",
}
_FIELD_KINDS = {field: kind for kind, field in KIND_FIELDS.items()}
POLICY_FIELD = "security_group_policies"


def key_of(lab_field: str, item: Any) -> Key:
    return (lab_field, getattr(item, "cluster", ""), getattr(item, "namespace", ""), item.name)


def merge_into(lab: Lab, added: Iterable[tuple[str, Any]]) -> Lab:
    """``lab`` with the (field, object) pairs put in: an object of the same name is replaced where it stands."""
    merged: dict[str, dict[Key, Any]] = {}
    for lab_field in fields(Lab):
        items = getattr(lab, lab_field.name)
        merged[lab_field.name] = {key_of(lab_field.name, item): item for item in items}
    for name, item in added:
        merged[name][key_of(name, item)] = item
    return replace(lab, **{name: tuple(items.values()) for name, items in merged.items()})


@dataclass(slots=True)
class Index:
    """``documents`` holds what was read now; ``refused`` the (kind, name) of documents that had faults.

    ``model_chosen``: the network model is not the documents' own choice, so what only other models know is no fault.
    """

    lab: Lab
    documents: dict[Key, Document] = field(default_factory=dict)
    refused: set[tuple[str, str]] = field(default_factory=set)
    model_chosen: bool = False
    by_name: dict[str, dict[str, Any]] = field(default_factory=dict)
    nodes: dict[str, tuple[Cluster, NodePool]] = field(default_factory=dict)
    services: dict[tuple[str, str, str], Service] = field(default_factory=dict)
    secrets: dict[tuple[str, str, str], Secret] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in (lab_field.name for lab_field in fields(Lab)):
            self.by_name[name] = {item.name: item for item in getattr(self.lab, name)}
        self.services = {(item.cluster, item.namespace, item.name): item for item in self.lab.services}
        self.secrets = {(item.cluster, item.namespace, item.name): item for item in self.lab.secrets}
        for cluster in self.lab.clusters:
            for pool in cluster.pools:
                self.nodes.update((node, (cluster, pool)) for node in pool.node_names)

    def cursor(self, lab_field: str, item: Any) -> Cursor:
        """The document of an object; for objects read earlier, an empty one that knows file and line."""
        key = key_of(lab_field, item)
        if key not in self.documents:
            source = item.source
            self.documents[key] = Document(source.file, {}, (source.line, 1))
        return self.documents[key].root

    def find(self, cursor: Cursor, kind: str, name: str | None) -> Any | None:
        """The object that a reference names. Reports a name that nothing has (but not of a refused document)."""
        if name is None or name == "":
            return None
        known = self.by_name[KIND_FIELDS[kind]]
        if name in known:
            return known[name]
        if (kind, name) not in self.refused:
            self.unknown(cursor, kind, name, known)
        return None

    def unknown(self, cursor: Cursor, kind: str, name: str, known: Iterable[str]) -> None:
        names = list(known)
        hint = did_you_mean(name, names) or (f"there are: {listed(names)}" if names else f"declare a {kind}")
        cursor.fault(Code.REFERENCE_UNKNOWN, f"{kind} {show(name)} does not exist", hint)

    def vpc(self, cursor: Cursor, name: str | None) -> Vpc | None:
        found: Vpc | None = self.find(cursor, "Vpc", name)
        return found

    def subnet(self, cursor: Cursor, name: str | None) -> Subnet | None:
        found: Subnet | None = self.find(cursor, "Subnet", name)
        return found

    def route_table(self, cursor: Cursor, name: str | None) -> RouteTable | None:
        found: RouteTable | None = self.find(cursor, "RouteTable", name)
        return found

    def security_group(self, cursor: Cursor, name: str | None) -> SecurityGroup | None:
        found: SecurityGroup | None = self.find(cursor, "SecurityGroup", name)
        return found

    def peering(self, cursor: Cursor, name: str | None) -> VpcPeering | None:
        found: VpcPeering | None = self.find(cursor, "VpcPeering", name)
        return found

    def nat_gateway(self, cursor: Cursor, name: str | None) -> CloudNatGateway | None:
        found: CloudNatGateway | None = self.find(cursor, "NatGateway", name)
        return found

    def elastic_ip(self, cursor: Cursor, name: str | None) -> ElasticIp | None:
        found: ElasticIp | None = self.find(cursor, "ElasticIP", name)
        return found

    def load_balancer(self, cursor: Cursor, name: str | None) -> LoadBalancer | None:
        found: LoadBalancer | None = self.find(cursor, "LoadBalancer", name)
        return found

    def server(self, cursor: Cursor, name: str | None) -> Server | None:
        found: Server | None = self.find(cursor, "Server", name)
        return found

    def node(self, cursor: Cursor, name: str | None, cluster: str = "") -> tuple[Cluster, NodePool] | None:
        """The cluster and pool of a node, or a report."""
        home = self.nodes.get(name or "")
        if home is not None and cluster in ("", home[0].name):
            return home
        if not name or any(kind == "Cluster" for kind, _ in self.refused):
            return home
        known = {node: home for node, home in self.nodes.items() if cluster in ("", home[0].name)}
        hint = did_you_mean(name, known) or (f"nodes: {listed(known)}" if known else "there is no node")
        cursor.fault(Code.REFERENCE_UNKNOWN, f"node {show(name)} does not exist", hint)
        return None

    def service(self, cluster: str, namespace: str, name: str) -> Service | None:
        return self.services.get((cluster, namespace, name))

    def secret(self, cluster: str, namespace: str, name: str) -> Secret | None:
        return self.secrets.get((cluster, namespace, name))

    def kind_of(self, lab_field: str) -> str:
        return _FIELD_KINDS.get(lab_field, "SecurityGroup")
