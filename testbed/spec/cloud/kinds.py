"""The project's own kinds (``apiVersion: cnlab.dev/v1``): one pydantic class per ``spec``, described for editors.

Every document is ``apiVersion``, ``kind``, ``metadata: {name}`` and one of these as its ``spec``. Names are DNS
labels. References are names of other documents.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema

from testbed.model.cloud import ElbClass
from testbed.model.desired import Protocol
from testbed.spec.cloud.fields import Address, Cidr, Labels, Name, OwnCidr, Part, Port, PortRanges, Target

API_VERSION = "cnlab.dev/v1"
LARGEST_COUNT = 5000

Count = Annotated[int, Field(ge=0, le=LARGEST_COUNT)]
Model = Annotated[Literal["tunnel", "vpc", "eni"], Field(description="The container network model.")]
Containers = Annotated[
    list[Any],
    WithJsonSchema({"type": "array", "items": {"type": "object", "required": ["name", "image"]}}),
    Field(default_factory=list, description="Programs that run there, written like the containers of a Pod."),
]


class VpcSpec(Part):
    """A virtual private cloud: an address space of its own. VPCs with equal ranges are kept apart."""

    cidr: OwnCidr = Field(description="Its range.", examples=["192.168.0.0/16"])
    secondary_cidrs: list[OwnCidr] = Field(default_factory=list, description="Further ranges.")


class SubnetSpec(Part):
    """A subnet of a VPC. Five addresses are the cloud's: the first two and the last three."""

    vpc: Name = Field(description="The VPC it is in.")
    cidr: OwnCidr = Field(description="Its range, inside the VPC.", examples=["192.168.1.0/24"])
    route_table: Name | None = Field(default=None, description="Its route table; the VPC's default if none.")


class NextHopSpec(Part):
    """Where a route leads: exactly one of these."""

    server: Name | None = Field(default=None, description="A Server that forwards.")
    node: Name | None = Field(default=None, description="A node of a cluster.")
    peering: Name | None = Field(default=None, description="A VpcPeering of this VPC.")
    nat_gateway: Name | None = Field(default=None, description="A NatGateway of this VPC.")


class RouteSpec(Part):
    destination: Cidr = Field(description="Where to.", examples=["10.1.0.0/16", "0.0.0.0/0"])
    next_hop: NextHopSpec


class RouteTableSpec(Part):
    """A route table of a VPC. Routes to the VPC's own subnets are always there and always win."""

    vpc: Name = Field(description="The VPC it belongs to.")
    default: bool = Field(default=False, description="Whether subnets that name no table use this one.")
    quota: int = Field(default=200, ge=0, le=100_000, description="The most routes it may hold.")
    routes: list[RouteSpec] = Field(default_factory=list)
    deleted_node_routes: list[Cidr] = Field(
        default_factory=list, description="Routes of vpc-model nodes that somebody deleted from this table by hand."
    )


class RuleSpec(Part):
    """What is allowed in or out. Without ``cidr`` and ``securityGroup``: from or to anywhere."""

    protocol: Literal["tcp", "udp", "icmp", "all"] = Field(default=Protocol.ALL.value)
    ports: PortRanges = Field(default=(), description='80, "8000-8080" or a list of them; all if absent.')
    cidr: Cidr | None = Field(default=None, description="The other side by address.")
    security_group: Name | None = Field(default=None, description="The other side by its group.")


class SecurityGroupSpec(Part):
    """A stateful allow list for ENIs. As in the cloud, a group that says nothing of egress lets all out."""

    vpc: Name = Field(description="The VPC it belongs to.")
    ingress: list[RuleSpec] = Field(default_factory=list, description="What is let in; nothing if absent.")
    egress: list[RuleSpec] | None = Field(default=None, description="What is let out; everything if absent.")


class VpcPeeringSpec(Part):
    """Joins two VPCs. Nothing flows until both have routes through it. Not transitive."""

    requester: Name = Field(description="One VPC.")
    accepter: Name = Field(description="The other VPC.")


class SnatRuleSpec(Part):
    """Lets one subnet (or range) out through an elastic IP."""

    eip: Name = Field(description="The ElasticIP that the internet sees.")
    subnet: Name | None = Field(default=None, description="The subnet, by name; or")
    cidr: Cidr | None = Field(default=None, description="the range, inside the VPC.")


class DnatTargetSpec(Part):
    """Exactly one of these."""

    server: Name | None = None
    node: Name | None = None


class DnatRuleSpec(Part):
    """Opens one port of an elastic IP to one port of a server or node."""

    eip: Name = Field(description="The ElasticIP that clients dial.")
    protocol: Literal["tcp", "udp"] = "tcp"
    port: Port = Field(description="The port that clients dial.")
    target: DnatTargetSpec
    target_port: Port = Field(description="The port on the target.")


class NatGatewaySpec(Part):
    """A NAT gateway; its VPC is its subnet's. Subnets reach it by a route (``nextHop.natGateway``)."""

    subnet: Name = Field(description="The subnet it stands in.")
    snat_rules: list[SnatRuleSpec] = Field(default_factory=list, description="At most one a subnet.")
    dnat_rules: list[DnatRuleSpec] = Field(default_factory=list)


class EipTargetSpec(Part):
    """Exactly one of these."""

    server: Name | None = None
    node: Name | None = None
    pod: str | None = Field(default=None, description='"namespace/name", or a name in namespace default.')
    load_balancer: Name | None = None


class ElasticIpSpec(Part):
    """A public address. NAT rules and Services name it; or it is bound to one object."""

    address: Address | None = Field(default=None, description="The address; chosen by the lab if absent.")
    bound_to: EipTargetSpec | None = None


class LoadBalancerSpec(Part):
    """An ELB, named by Services and Ingresses with ``kubernetes.io/elb.id``; its VPC is its subnet's."""

    subnet: Name
    elb_class: Literal["dedicated", "shared"] = Field(default=ElbClass.DEDICATED.value, alias="class")
    address: Address | None = Field(default=None, description="Its private address; chosen by the lab if absent.")
    eip: Name | None = Field(default=None, description="The ElasticIP through which the internet reaches it.")
    advanced_forwarding: bool = Field(
        default=False, description="Try forwarding rules in the order in which Ingresses were made, not by precedence."
    )


class ServerSpec(Part):
    """A plain virtual machine of the VPC."""

    subnet: Name
    address: Address | None = Field(default=None, description="Its address; chosen by the lab if absent.")
    security_groups: list[Name] = Field(default_factory=list, description="At most 5; the VPC's default if none.")
    source_dest_check: bool = Field(default=True, description="Off for servers that forward for others.")
    containers: Containers


class InternetHostSpec(Part):
    """A host on the emulated internet, outside every VPC."""

    address: Address = Field(description="Its public address.", examples=["203.0.113.10"])
    containers: Containers


class WarmPoolSpec(Part):
    """eni model: how many sub-ENIs are bound before pods ask for them."""

    nic_minimum_target: Target = Field(default=10, description='A number, or "10%" of the quota.')
    nic_maximum_target: Target = Field(default=0, description="0: no limit.")
    nic_warm_target: Count = 2
    nic_max_above_warm_target: Count = 2
    nic_cooldown_seconds: Annotated[int, Field(ge=0, le=86400)] = Field(
        default=120, description="How long a NIC stays bound after its pod has gone; two minutes on the real nodes."
    )


class NodePoolSpec(Part):
    """Equal nodes, named ``<pool>-1``, ``<pool>-2``, ..."""

    name: Name
    count: Count = Field(default=1, description="How many nodes.")
    names: list[Name] = Field(default_factory=list, description="Their names, instead of a count.")
    subnet: Name | None = Field(default=None, description="Their subnet; the cluster's nodeSubnet if absent.")
    max_pods: Annotated[int, Field(ge=1, le=256)] = 110
    bare_metal: bool = Field(default=False, description="eni model: each pod gets an ENI of its own.")
    sub_enis: Annotated[int, Field(ge=0, le=4094)] = Field(default=16, description="eni model: flavour's quota.")
    enis: Annotated[int, Field(ge=0, le=128)] = Field(
        default=8, alias="enis", description="eni model, bare metal: flavour's quota."
    )
    labels: Labels = ()
    security_groups: list[Name] = Field(default_factory=list, description="More groups for these nodes.")
    pod_security_groups: list[Name] = Field(
        default_factory=list, description="eni model: groups of these nodes' pods, instead of the cluster's."
    )
    warm_pool: WarmPoolSpec | None = Field(default=None, description="eni model: instead of the cluster's.")


class ClusterSpec(Part):
    """A Kubernetes cluster. What is left out is chosen: see the defaults."""

    network_model: Model
    vpc: Name | None = Field(default=None, description="Default: the lab's only VPC, or one made for the cluster.")
    node_subnet: Name | None = Field(default=None, description="Default: the VPC's only subnet.")
    masters: Annotated[int, Field(ge=0, le=7)] = Field(default=0, description="They take addresses of nodeSubnet.")
    node_pools: list[NodePoolSpec] = Field(min_length=1)
    container_cidr: OwnCidr | None = Field(
        default=None, description="tunnel and vpc model: the pods' range. Default 172.16.0.0/16."
    )
    fix_pool_mask: Annotated[int, Field(ge=24, le=28)] | None = Field(
        default=None, description="vpc model: prefix length of a node's block. Default 25."
    )
    non_masquerade_cidrs: list[Cidr] | None = Field(
        default=None, description="vpc model: where pods keep their address. Default: the private ranges."
    )
    pod_subnets: list[Name] = Field(default_factory=list, description="eni model. Default: the node subnet.")
    service_cidr: OwnCidr | None = Field(default=None, description="Default 10.247.0.0/16.")
    mtu: Annotated[int, Field(ge=576, le=9000)] = Field(default=1500, description="The underlay's MTU.")
    kube_proxy_mode: Literal["iptables", "ipvs"] = "iptables"
    node_security_groups: list[Name] = Field(default_factory=list, description="Instead of the generated ones.")
    eni_security_groups: list[Name] = Field(
        default_factory=list, description="eni model: the pods' groups, instead of the generated one."
    )
    warm_pool: WarmPoolSpec | None = Field(default=None, description="eni model.")
    dns: bool = Field(default=True, description="Whether cluster DNS runs, and pods ask it.")


SPECS: dict[str, type[Part]] = {
    "Vpc": VpcSpec,
    "Subnet": SubnetSpec,
    "RouteTable": RouteTableSpec,
    "SecurityGroup": SecurityGroupSpec,
    "VpcPeering": VpcPeeringSpec,
    "NatGateway": NatGatewaySpec,
    "ElasticIP": ElasticIpSpec,
    "LoadBalancer": LoadBalancerSpec,
    "Server": ServerSpec,
    "InternetHost": InternetHostSpec,
    "Cluster": ClusterSpec,
}

CHOICES: dict[tuple[str, ...], tuple[str, ...]] = {
    ("routes", "*", "nextHop"): ("server", "node", "peering", "natGateway"),
    ("snatRules", "*"): ("subnet", "cidr"),
    ("dnatRules", "*", "target"): ("server", "node"),
    ("boundTo",): ("server", "node", "pod", "loadBalancer"),
}
"""Where (below ``spec``, ``*`` for each item) exactly one of several fields must be written."""

MODEL_WORDS = {
    "vxlan": "tunnel",
    "overlay": "tunnel",
    "overlay_l2": "tunnel",
    "tunnel": "tunnel",
    "vpc": "vpc",
    "vpc-router": "vpc",
    "eni": "eni",
    "cloud-native-2.0": "eni",
}
"""What other products call the network models."""
