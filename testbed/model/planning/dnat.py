"""DNAT Services: a LoadBalancer Service of class ``dnat`` becomes rules of a NAT gateway towards a node's port.

Source: CCE user guide (2023), "DNAT": EIP:port -> NAT gateway rule -> node:NodePort -> pod; nodes need no EIP.
"""

from __future__ import annotations

from collections.abc import Sequence

from testbed.model.desired import DnatRule, Protocol
from testbed.model.kubernetes import Service
from testbed.model.planning.elb import DNAT_CLASS, ELB_CLASS
from testbed.model.planning.endpoints import endpoints_of_port
from testbed.model.planning.faults import PlanFault
from testbed.model.planning.resolved import PlannedNode
from testbed.model.planning.services import PlannedService

NAT_GATEWAY_ID = "kubernetes.io/natgateway.id"


def is_dnat(service: Service) -> bool:
    """Whether a NAT gateway, not a load balancer, brings the internet to ``service``."""
    return service.type == "LoadBalancer" and dict(service.annotations).get(ELB_CLASS) == DNAT_CLASS


def plan_dnat_rules(
    services: Sequence[PlannedService], nodes: Sequence[PlannedNode], faults: list[PlanFault]
) -> dict[str, tuple[DnatRule, ...]]:
    """Rules by the gateway's name. A Service without a gateway or an EIP to answer at is a fault."""
    rules: dict[str, list[DnatRule]] = {}
    for planned in services:
        service, annotations = planned.service, dict(planned.service.annotations)
        if not is_dnat(service):
            continue
        gateway = annotations.get(NAT_GATEWAY_ID, "")
        if not gateway or service.load_balancer_ip is None:
            what = f"a DNAT Service needs the annotation {NAT_GATEWAY_ID} and loadBalancerIP"
            faults.append(PlanFault(service.source, planned.owner, what, "", "P106"))
            continue
        rules.setdefault(gateway, []).extend(_rules(planned, nodes))
    return {gateway: tuple(found) for gateway, found in rules.items()}


def _rules(planned: PlannedService, nodes: Sequence[PlannedNode]) -> list[DnatRule]:
    """One rule a port; it can name one server, so the first node that can answer is taken."""
    service = planned.service
    assert service.load_balancer_ip is not None
    rules = []
    for port, node_port in zip(service.ports, planned.node_ports, strict=True):
        having = {endpoint.node for endpoint in endpoints_of_port(planned.backends, port) if endpoint.ready}
        mine = [node for node in nodes if node.cluster == service.cluster]
        target = next((node for node in mine if node.name in having), mine[0] if mine else None)
        if target is not None and node_port is not None:
            protocol = Protocol(port.protocol.lower())
            rules.append(
                DnatRule(service.load_balancer_ip, protocol, port.port, target.address, node_port, planned.owner)
            )
    return rules
