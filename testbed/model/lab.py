"""A whole lab as asked for: the cloud, its clusters, and the workloads in them."""

from __future__ import annotations

from dataclasses import dataclass

from testbed.model.cloud import (
    CloudNatGateway,
    Cluster,
    ElasticIp,
    InternetHost,
    LoadBalancer,
    RouteTable,
    SecurityGroup,
    Server,
    Subnet,
    Vpc,
    VpcPeering,
)
from testbed.model.kubernetes import (
    Deployment,
    EndpointSlice,
    Ingress,
    Namespace,
    NetworkPolicy,
    Pod,
    Secret,
    SecurityGroupPolicy,
    Service,
    StatefulSet,
)


@dataclass(frozen=True, slots=True)
class Lab:
    vpcs: tuple[Vpc, ...] = ()
    subnets: tuple[Subnet, ...] = ()
    route_tables: tuple[RouteTable, ...] = ()
    security_groups: tuple[SecurityGroup, ...] = ()
    peerings: tuple[VpcPeering, ...] = ()
    nat_gateways: tuple[CloudNatGateway, ...] = ()
    elastic_ips: tuple[ElasticIp, ...] = ()
    load_balancers: tuple[LoadBalancer, ...] = ()
    servers: tuple[Server, ...] = ()
    internet_hosts: tuple[InternetHost, ...] = ()
    clusters: tuple[Cluster, ...] = ()
    namespaces: tuple[Namespace, ...] = ()
    pods: tuple[Pod, ...] = ()
    deployments: tuple[Deployment, ...] = ()
    stateful_sets: tuple[StatefulSet, ...] = ()
    services: tuple[Service, ...] = ()
    endpoint_slices: tuple[EndpointSlice, ...] = ()
    ingresses: tuple[Ingress, ...] = ()
    secrets: tuple[Secret, ...] = ()
    network_policies: tuple[NetworkPolicy, ...] = ()
    security_group_policies: tuple[SecurityGroupPolicy, ...] = ()
