"""Health checks of load balancers: what is asked of whom. The lab's manager asks; what fails is in ``Observed``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from testbed.model.desired import Member, Protocol
from testbed.model.lab import Lab
from testbed.model.planning.balancers import PlannedBalancer, member_key, members_of, takes_pods
from testbed.model.planning.elb import ELB_HEALTH, ELB_HEALTH_OPTION
from testbed.model.planning.resolved import PlannedNode
from testbed.model.planning.services import PlannedService


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """What a balancer asks of one member, from its own network namespace ``host``.

    A member is down after ``retries`` failures in a row, one each ``interval`` seconds, each waited for ``timeout``
    seconds; it is up again after as many successes. Default values as in CCE: TCP, 5 s, 10 s, 3.
    """

    member: str  # the text of Observed.dead_members
    host: str
    protocol: Protocol
    address: IPv4Address
    port: int
    interval: float = 5.0
    timeout: float = 10.0
    retries: int = 3
    source: IPv4Address | None = None  # what it sends with; None: whichever the route has


def plan_health_checks(
    lab: Lab,
    balancers: Sequence[PlannedBalancer],
    services: Sequence[PlannedService],
    nodes: Sequence[PlannedNode],
) -> Iterator[HealthCheck]:
    """One check for every member of every layer-4 listener, dead ones too, unless the Service turns checks off."""
    models = {cluster.name: cluster.model for cluster in lab.clusters}
    by_key = {f"{planned.service.cluster}/{planned.key}": planned for planned in services}
    for balancer in balancers:
        for planned in (by_key[key] for key in balancer.services):
            direct = takes_pods(balancer, models[planned.service.cluster])
            mine = [node for node in nodes if node.cluster == planned.service.cluster]
            for port, node_port in zip(planned.service.ports, planned.node_ports, strict=True):
                members = members_of(planned, port, node_port, direct, mine)
                protocol = Protocol(port.protocol.lower())
                yield from checks_of(balancer, protocol, members, dict(planned.service.annotations))


def checks_of(
    balancer: PlannedBalancer, protocol: Protocol, members: Iterable[Member], annotations: Mapping[str, str]
) -> Iterator[HealthCheck]:
    """The checks of one listener's members, as the annotations want them."""
    if annotations.get(ELB_HEALTH) == "off":
        return
    for member in members:
        check = HealthCheck(member_key(balancer, member), balancer.host, protocol, member.address, member.port)
        yield _with_options(replace(check, source=balancer.proxy_address), annotations)


def _with_options(check: HealthCheck, annotations: Mapping[str, str]) -> HealthCheck:
    """``kubernetes.io/elb.health-check-option``: delay, timeout and max_retries as JSON texts or numbers."""
    try:
        options = json.loads(annotations.get(ELB_HEALTH_OPTION, "{}"))
        return replace(
            check,
            interval=float(options.get("delay", check.interval)),
            timeout=float(options.get("timeout", check.timeout)),
            retries=int(options.get("max_retries", check.retries)),
        )
    except (ValueError, AttributeError, TypeError):
        return check
