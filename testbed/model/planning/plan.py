"""The contents page of planning: a lab as asked for, and what was before, to everything that has to exist."""

from __future__ import annotations

from dataclasses import dataclass

from testbed.model.desired import ClustersState, FabricState
from testbed.model.lab import Lab
from testbed.model.planning.allocator import Allocator
from testbed.model.planning.balancers import (
    PlannedBalancer,
    as_hosts,
    plan_balancers,
)
from testbed.model.planning.cluster import plan_clusters
from testbed.model.planning.dnat import plan_dnat_rules
from testbed.model.planning.dns import plan_dns_files, plan_dns_pods, with_dns
from testbed.model.planning.eips import PlannedEip, plan_eips
from testbed.model.planning.endpoints import Endpoints
from testbed.model.planning.fabric import CloudParts, plan_fabric
from testbed.model.planning.faults import PlanError, PlanFault
from testbed.model.planning.health import HealthCheck, plan_health_checks
from testbed.model.planning.hosts import claim_fixed_addresses, plan_internet_hosts, plan_servers
from testbed.model.planning.ingress import plan_proxies
from testbed.model.planning.ledger import Ledger
from testbed.model.planning.names import FABRIC
from testbed.model.planning.nodes import plan_masters, plan_nodes
from testbed.model.planning.observed import NOTHING, Observed
from testbed.model.planning.pods import PlacedPods, plan_pods
from testbed.model.planning.requests import PlannedRequests, plan_requests
from testbed.model.planning.resolved import PlannedHost, PlannedNode, PlannedPod
from testbed.model.planning.service_ports import plan_service_ports
from testbed.model.planning.services import PlannedService, plan_services
from testbed.model.planning.wiring import plan_wiring
from testbed.model.planning.workloads import plan_workloads
from testbed.model.wiring import Wiring
from testbed.model.workloads import WorkloadsState


@dataclass(frozen=True, slots=True)
class Plan:
    """One generation of a lab, resolved. ``hosts`` are masters, servers, load balancers, internet hosts."""

    generation: int
    datapath: str
    lab: Lab
    nodes: tuple[PlannedNode, ...]
    pods: tuple[PlannedPod, ...]
    hosts: tuple[PlannedHost, ...]
    eips: tuple[PlannedEip, ...]
    services: tuple[PlannedService, ...]
    balancers: tuple[PlannedBalancer, ...]
    health_checks: tuple[HealthCheck, ...]
    fabric: FabricState
    clusters: ClustersState
    workloads: WorkloadsState
    wiring: Wiring
    ledger: Ledger
    observed: Observed

    @property
    def pending(self) -> tuple[PlannedPod, ...]:
        """Pods that got no node or no address; each says why."""
        return tuple(pod for pod in self.pods if pod.node is None)


def plan_lab(
    lab: Lab, ledger: Ledger, generation: int, datapath: str, now: float, observed: Observed = NOTHING
) -> Plan:
    """Plan generation ``generation`` of ``lab`` from the ``ledger`` of the one before.

    ``datapath`` is ``kernel`` or ``userspace``; ``now`` is in seconds since the epoch and only ages cool-downs
    and static addresses; ``observed`` says which pods are ready. Raises :class:`PlanError` with every reason why
    the lab can't be made.
    """
    faults: list[PlanFault] = []
    lab = with_dns(lab)
    allocator = Allocator(ledger)
    claim_fixed_addresses(lab, allocator)
    nodes = plan_nodes(lab, allocator, faults)
    balancers = plan_balancers(lab, allocator, faults)
    hosts = (
        *plan_masters(lab, allocator, faults),
        *plan_servers(lab, allocator, faults),
        *as_hosts(balancers),
        *plan_internet_hosts(lab, allocator),
    )
    wanted = plan_requests(lab, ledger, observed)
    requests = wanted.pods
    names = [FABRIC, *(node.name for node in nodes), *(host.name for host in hosts)]
    placed = plan_pods(lab, requests, nodes, ledger, allocator, names, now)
    dns_pods = plan_dns_pods(lab, placed.nodes)
    pods = (*placed.pods, *dns_pods)
    public = [balancer.owner for balancer in balancers if balancer.public]
    eips = plan_eips(lab, placed.nodes, pods, hosts, public, allocator, faults)
    endpoints = Endpoints(lab, pods, observed)
    services = plan_services(lab, endpoints, allocator, faults)
    dnat = plan_dnat_rules(services, placed.nodes, faults)
    proxies = plan_proxies(lab, balancers, services, placed.nodes, observed, faults)
    parts = CloudParts(lab, placed.nodes, pods, hosts, eips, balancers, services, dnat, observed)
    if faults:
        raise PlanError(tuple(faults))  # the documents below need every node and address
    fabric = plan_fabric(parts, allocator, generation, faults)
    if faults:
        raise PlanError(tuple(faults))
    ports = plan_service_ports(lab, services, balancers, eips)
    checks = (*plan_health_checks(lab, balancers, services, placed.nodes), *proxies.checks)
    files = plan_dns_files(lab, dns_pods, services, hosts) | proxies.files
    return Plan(
        generation=generation,
        datapath=datapath,
        lab=lab,
        nodes=placed.nodes,
        pods=pods,
        hosts=hosts,
        eips=eips,
        services=services,
        balancers=balancers,
        health_checks=tuple({check.member: check for check in checks}.values()),
        fabric=fabric,
        clusters=plan_clusters(lab, placed.nodes, pods, ports, allocator, generation),
        workloads=plan_workloads(lab, pods, hosts, files, generation, observed.terminating),
        wiring=plan_wiring(lab, placed.nodes, pods, hosts, datapath, ports),
        ledger=_ledger(allocator, placed, wanted, ledger),
        observed=observed,
    )


def _ledger(allocator: Allocator, placed: PlacedPods, wanted: PlannedRequests, old: Ledger) -> Ledger:
    numbers, cursors, addresses = allocator.parts()
    by_key = {request.key: request for request in wanted.pods}
    holders = {
        pod.key: (by_key[pod.key], pod.nic.address, pod.nic.subnet) for pod in placed.pods if pod.nic is not None
    }
    slots = {request.slot for request in wanted.pods}
    return Ledger(
        numbers=numbers,
        cursors=cursors,
        addresses=addresses,
        blocks=allocator.blocks(),
        leases=placed.leases,
        nics=placed.nics,
        reservations=placed.statics.reservations(holders),
        incarnations={slot: count for slot, count in old.incarnations.items() if slot in slots},
        replica_sets=wanted.replica_sets,
    )
