"""Elastic IPs: their addresses, and the ENI that each is bound to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from testbed.model.lab import Lab
from testbed.model.planning.allocator import Allocator, ExhaustedError
from testbed.model.planning.faults import PlanFault
from testbed.model.planning.resolved import PlannedHost, PlannedNode, PlannedPod
from testbed.model.source import Source

PUBLIC_RANGE = IPv4Network("198.51.100.0/24")
"""Elastic IPs come from here unless the user gives an address (documentation range TEST-NET-2, RFC 5737)."""

POD_WITH_EIP = "yangtse.io/pod-with-eip"
POD_EIP_ID = "yangtse.io/eip-id"


@dataclass(frozen=True, slots=True)
class PlannedEip:
    """``eni`` None: not bound to an interface (a NAT gateway's, a load balancer's, or nobody's yet)."""

    name: str
    address: IPv4Address
    bound_to: str | None
    eni: int | None
    owner: str
    source: Source


def plan_eips(
    lab: Lab,
    nodes: Sequence[PlannedNode],
    pods: Sequence[PlannedPod],
    hosts: Sequence[PlannedHost],
    public: Sequence[str],
    allocator: Allocator,
    faults: list[PlanFault],
) -> tuple[PlannedEip, ...]:
    """User's EIPs first (fixed addresses before free ones), then those that pods ask for by annotation.

    ``public`` are the owners of load balancers that ask for an EIP of their own.
    """
    fixed = {eip.address for eip in lab.elastic_ips if eip.address is not None}
    fixed |= {host.address for host in hosts if host.vpc is None}
    enis = _interfaces(nodes, pods, hosts)
    balancers = {balancer.eip: f"LoadBalancer/{balancer.name}" for balancer in lab.load_balancers if balancer.eip}
    planned = []
    for eip in lab.elastic_ips:
        owner = f"ElasticIP/{eip.name}"
        address = eip.address or _public_address(owner, fixed, allocator, eip.source, faults)
        bound_to = eip.bound_to or balancers.get(eip.name) or _annotated_pod(eip.name, pods)
        if address is not None:
            eni = enis.get(bound_to or "")
            planned.append(PlannedEip(eip.name, address, bound_to, eni, owner, eip.source))
    for pod in pods:
        annotations = dict(pod.template.annotations)
        if pod.nic and annotations.get(POD_WITH_EIP) == "true" and POD_EIP_ID not in annotations:
            address = _public_address(f"EIP of {pod.owner}", fixed, allocator, pod.source, faults)
            if address is not None:
                name = f"{pod.name}-eip"
                planned.append(PlannedEip(name, address, pod.owner, pod.nic.eni, pod.owner, pod.source))
    for host in hosts:
        if host.owner in public:
            address = _public_address(f"EIP of {host.owner}", fixed, allocator, host.source, faults)
            if address is not None:
                planned.append(PlannedEip(f"{host.name}-eip", address, host.owner, host.eni, host.owner, host.source))
    return tuple(planned)


def _annotated_pod(eip: str, pods: Sequence[PlannedPod]) -> str | None:
    return next((pod.owner for pod in pods if dict(pod.template.annotations).get(POD_EIP_ID) == eip), None)


def _interfaces(
    nodes: Sequence[PlannedNode], pods: Sequence[PlannedPod], hosts: Sequence[PlannedHost]
) -> Mapping[str, int]:
    enis = {node.owner: node.eni for node in nodes}
    enis |= {host.owner: host.eni for host in hosts if host.vpc is not None}
    return enis | {pod.owner: pod.nic.eni for pod in pods if pod.nic is not None}


def _public_address(
    owner: str, fixed: set[IPv4Address], allocator: Allocator, source: Source, faults: list[PlanFault]
) -> IPv4Address | None:
    last = PUBLIC_RANGE.num_addresses - 2
    try:
        while True:
            offset = allocator.number("eip", owner, 1, last)
            address = PUBLIC_RANGE[offset]
            if address not in fixed:
                return address
            owner += "'"  # the number stays taken by the fixed address; ask for the next one
    except ExhaustedError as error:
        faults.append(PlanFault(source, owner, str(error), "fewer elastic IPs", "P102"))
        return None
