"""Registers, flags and marks of the fabric's pipeline, by name.

A value of 0 always means "nothing yet": no ENI, the internet, no profile (no security group applies).
"""

from __future__ import annotations

from controllers.openflow import Bits, ct_mark, register

SRC_ENI = register("src_eni", 0, low=0, width=16, doc="ENI that sent the packet")
DST_ENI = register("dst_eni", 0, low=16, width=16, doc="ENI that gets the packet")

NETWORK = register("network", 1, low=0, width=16, doc="VPC that the packet is in now; its conntrack zone; 0: internet")
ROUTE_TABLE = register("route_table", 1, low=16, width=12, doc="route table of the sender's subnet")
SOURCE_OWN = register("source_own", 1, low=28, width=1, doc="source address is the sending ENI's own")
SRC_TRACKED = register("src_tracked", 1, low=29, width=1, doc="the sending ENI's connections are tracked")
HAIRPIN = register("hairpin", 1, low=30, width=1, doc="may leave by the port it came in by")
BYPASS = register("bypass", 1, low=31, width=1, doc="a load balancer let it in, security groups do not judge")

SRC_PROFILE = register("src_profile", 2, low=0, width=16, doc="set of security groups of the sending ENI")
DST_PROFILE = register("dst_profile", 2, low=16, width=16, doc="set of security groups of the destination ENI")

NAT_GATEWAY = register("nat_gateway", 3, low=0, width=16, doc="NAT gateway in charge, as its conntrack zone")
BALANCER = register("balancer", 3, low=16, width=16, doc="load balancer in charge; its conntrack zone")

SCRATCH = register("scratch", 4, doc="an address while two change places")

MEMORY = register("memory", 5, low=0, width=2, doc="whether its VPC's zone was asked about it: 0, UNASKED or ASKED")
UNASKED, ASKED = 1, 2
"""Of what a tracked ENI sent, as long as it is in that VPC with the addresses that it was sent with."""

BALANCED = ct_mark("balanced", low=0, width=16, doc="in a VPC's zone: load balancer that brought the connection")
DISGUISED = ct_mark("disguised", low=16, width=1, doc="in a balancer's zone: members see the balancer's address")

BITS: tuple[Bits, ...] = (
    SRC_ENI, DST_ENI, NETWORK, ROUTE_TABLE, SOURCE_OWN, SRC_TRACKED, HAIRPIN, BYPASS,
    SRC_PROFILE, DST_PROFILE, NAT_GATEWAY, BALANCER, SCRATCH, MEMORY, BALANCED, DISGUISED,
)  # fmt: skip

NAT_ZONES = 65000
"""Zone of NAT gateway n is ``NAT_ZONES + n``; the zones below are those of VPCs and load balancers, by their ids."""
