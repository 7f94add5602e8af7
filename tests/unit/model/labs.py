"""Small labs as frozen values, for tests that need no YAML."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Any

from testbed.model.cloud import Cluster, InternetHost, NodePool, Server, Subnet, Vpc
from testbed.model.desired import NetworkModel
from testbed.model.kubernetes import Container, ContainerPort, Deployment, PodSpec, StatefulSet, Template
from testbed.model.lab import Lab
from testbed.model.source import Source

HERE = Source("test.yaml", 1)


def template(**changes: Any) -> Template:
    """An echo pod; keyword arguments change its PodSpec (``annotations`` its annotations)."""
    annotations = changes.pop("annotations", ())
    containers = (Container("echo", "echo", ports=(ContainerPort(8080),)),)
    return Template((("app", "web"),), annotations, PodSpec(containers, **changes))


def stateful_set(name: str, replicas: int, **changes: Any) -> StatefulSet:
    return StatefulSet("default", name, "c1", replicas, (("app", "web"),), template(**changes), name, HERE)


def deployment(name: str, replicas: int, **changes: Any) -> Deployment:
    return Deployment("default", name, "c1", replicas, (("app", "web"),), template(**changes), HERE)


def cluster(model: NetworkModel, nodes: int = 2, **changes: Any) -> Cluster:
    pool = changes.pop("pool", None) or NodePool("node", HERE, nodes)
    values: dict[str, Any] = {
        "name": "c1",
        "vpc": "vpc-1",
        "model": model,
        "node_subnet": "nodes",
        "service_cidr": IPv4Network("10.247.0.0/16"),
        "pools": (pool,),
        "source": HERE,
    }
    if model is NetworkModel.ENI:
        values["pod_subnets"] = ("pods",)
    else:
        values["container_cidr"] = IPv4Network("172.16.0.0/16")
    return Cluster(**values | changes)


def lab(model: NetworkModel, **changes: Any) -> Lab:
    """One VPC with a node subnet and a pod subnet, one server, one internet host, and a cluster."""
    values: dict[str, Any] = {
        "vpcs": (Vpc("vpc-1", (IPv4Network("192.168.0.0/16"),), HERE),),
        "subnets": (
            Subnet("nodes", "vpc-1", IPv4Network("192.168.0.0/24"), HERE),
            Subnet("pods", "vpc-1", IPv4Network("192.168.64.0/18"), HERE),
        ),
        "servers": (Server("db", "nodes", HERE),),
        "internet_hosts": (InternetHost("client", IPv4Address("203.0.113.10"), HERE),),
        "clusters": (cluster(model),),
        "stateful_sets": (stateful_set("web", 4),),
    }
    return Lab(**values | changes)
