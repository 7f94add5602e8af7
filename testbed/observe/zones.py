"""Names of conntrack zones: whose connections each zone of a switch holds."""

from __future__ import annotations

from testbed.model.planning.names import FABRIC
from testbed.observe.status import View

_NAT_GATEWAYS = 65000
"""Zone of NAT gateway 1 is 65001: ids of VPCs and balancers end before (see ``testbed.model.desired``)."""

NODE_ZONES = {0: "kernel", 1: "service", 2: "disguise"}
"""Of a node's br-int, as ``controllers/PIPELINE.md`` lists them."""


def zone_names(view: View, namespace: str) -> dict[int, str]:
    """By number. On the fabric a zone is a VPC, a load balancer or a NAT gateway."""
    if namespace != FABRIC:
        return dict(NODE_ZONES)
    names = {network.id: f"VPC {network.name}" for network in view.fabric.networks}
    names |= {balancer.id: f"balancer {balancer.name}" for balancer in view.fabric.load_balancers}
    return names | {_NAT_GATEWAYS + gateway.id: f"NAT gateway {gateway.name}" for gateway in view.fabric.nat_gateways}
