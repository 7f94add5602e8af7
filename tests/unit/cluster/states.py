"""A small cluster by hand: nodes n1 (pods a, b) and n2 (pod c), in each of the three models."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Any

from testbed.model.desired import (
    GATEWAY_MAC,
    ClusterNode,
    ClustersState,
    ClusterState,
    NetworkModel,
    PodPort,
    Protocol,
    ServiceEndpoint,
    ServicePort,
)

TUNNEL, VPC, ENI = NetworkModel.TUNNEL, NetworkModel.VPC, NetworkModel.ENI
ADDRESSES = {
    TUNNEL: {"a": "172.16.0.2", "b": "172.16.0.3", "c": "172.16.0.18"},
    VPC: {"a": "172.16.0.2", "b": "172.16.0.3", "c": "172.16.0.130"},
    ENI: {"a": "10.0.1.5", "b": "10.0.1.6", "c": "10.0.1.7"},
}
BLOCKS = {
    TUNNEL: ("172.16.0.0/28", "172.16.0.16/28"),
    VPC: ("172.16.0.0/25", "172.16.0.128/25"),
}
PORTS = {"a": 100, "b": 101, "c": 100}
N1, N2 = "10.0.0.10", "10.0.0.11"
EX1, INT1, EX2, INT2 = 0x1001, 0x10001, 0x1002, 0x10002


def pod_mac(name: str) -> str:
    return f"0a:58:00:00:00:0{ord(name) - ord('a') + 1}"


def pod(model: NetworkModel, name: str, **changes: Any) -> PodPort:
    values: dict[str, Any] = {
        "namespace": "default",
        "name": name,
        "address": IPv4Address(ADDRESSES[model][name]),
        "mac": pod_mac(name),
        "port": PORTS[name],
        "owner": f"Pod/default/{name}",
        "vlan": PORTS[name] - 93 if model is ENI else None,
    }
    return PodPort(**values | changes)


def node(model: NetworkModel, index: int, pods: tuple[PodPort, ...]) -> ClusterNode:
    blocks = BLOCKS.get(model)
    return ClusterNode(
        name=f"n{index}",
        index=index,
        address=IPv4Address(f"10.0.0.{9 + index}"),
        mac=f"fa:16:3e:01:00:0{index}",
        int_mac=f"0a:58:a9:ff:00:0{index}",
        gateway_mac=GATEWAY_MAC,
        ex_datapath_id=0x1000 + index,
        int_datapath_id=0x10000 + index,
        owner=f"Node/n{index}",
        blocks=(IPv4Network(blocks[index - 1]),) if blocks else (),
        pods=pods,
        carrier=model is ENI,
    )


def cluster(model: NetworkModel, **changes: Any) -> ClusterState:
    nodes = (
        node(model, 1, (pod(model, "a"), pod(model, "b"))),
        node(model, 2, (pod(model, "c"),)),
    )
    values: dict[str, Any] = {
        "name": "c1",
        "model": model,
        "vni": 4097,
        "nodes": nodes,
        "owner": "Cluster/c1",
        "container_cidr": None if model is ENI else IPv4Network("172.16.0.0/16"),
        "service_cidr": IPv4Network("10.247.0.0/16"),
        "non_masquerade": (IPv4Network("10.0.0.0/8"), IPv4Network("172.16.0.0/12")) if model is VPC else (),
    }
    return ClusterState(**values | changes)


def endpoint(model: NetworkModel, name: str, **changes: Any) -> ServiceEndpoint:
    values: dict[str, Any] = {
        "address": IPv4Address(ADDRESSES[model][name]),
        "port": 8080,
        "node": "n2" if name == "c" else "n1",
        "owner": f"Pod/default/{name}",
    }
    return ServiceEndpoint(**values | changes)


def service(model: NetworkModel, name: str, number: int, endpoints: str, **changes: Any) -> ServicePort:
    """``endpoints`` are pods' letters; cluster address 10.247.0.<number>, node port 30000 + number."""
    values: dict[str, Any] = {
        "service": f"default/{name}",
        "name": "http",
        "protocol": Protocol.TCP,
        "port": 80,
        "endpoints": tuple(endpoint(model, each) for each in endpoints),
        "owner": f"Service/default/{name}",
        "cluster_ip": IPv4Address(f"10.247.0.{number}"),
        "node_port": 30000 + number,
    }
    return ServicePort(**values | changes)


def services(model: NetworkModel) -> tuple[ServicePort, ...]:
    """One of each kind: plain, both policies Local, without endpoints, with a balancer's address, UDP."""
    return (
        service(model, "web", 9, "abc"),
        service(model, "local", 10, "c", external_local=True, internal_local=True),
        service(model, "none", 11, ""),
        service(
            model, "balanced", 12, "ab",
            external_addresses=(IPv4Address("10.0.0.50"),), source_ranges=(IPv4Network("10.0.0.0/24"),),
        ),
        service(model, "sticky", 14, "ac", affinity_seconds=10800),
        service(model, "dns", 13, "a", protocol=Protocol.UDP, port=53, node_port=None),
    )  # fmt: skip


def state(model: NetworkModel, **changes: Any) -> ClustersState:
    return ClustersState(1, (cluster(model, **changes),))
