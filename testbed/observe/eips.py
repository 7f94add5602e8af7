"""Whose an elastic IP is. Pure."""

from __future__ import annotations

from testbed.model.desired import FabricState
from testbed.model.planning.eips import PlannedEip


def users_of(fabric: FabricState, eip: PlannedEip) -> tuple[str, ...]:
    """Owners of what it is for: an interface or a balancer that it is bound to, NAT gateways with rules for it."""
    gateways = (
        gateway.owner
        for gateway in fabric.nat_gateways
        if eip.address in {*(rule.eip for rule in gateway.snat), *(rule.eip for rule in gateway.dnat)}
    )
    return (*((eip.bound_to,) if eip.bound_to else ()), *gateways)
