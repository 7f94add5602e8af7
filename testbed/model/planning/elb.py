"""The annotations ``kubernetes.io/elb.*`` of Services and Ingresses, and which balancers are wanted because of them.

Source: CCE user guide, "LoadBalancer" and "LoadBalancer Ingresses".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from testbed.model.cloud import ElbClass, LoadBalancer
from testbed.model.kubernetes import Ingress, Service
from testbed.model.lab import Lab

ELB_CLASS = "kubernetes.io/elb.class"
ELB_ID = "kubernetes.io/elb.id"
ELB_AUTOCREATE = "kubernetes.io/elb.autocreate"
ELB_ALGORITHM = "kubernetes.io/elb.lb-algorithm"
ELB_AFFINITY = "kubernetes.io/elb.session-affinity-mode"
ELB_AFFINITY_OPTION = "kubernetes.io/elb.session-affinity-option"
ELB_HEALTH = "kubernetes.io/elb.health-check-flag"
ELB_HEALTH_OPTION = "kubernetes.io/elb.health-check-option"
ELB_PASS_THROUGH = "kubernetes.io/elb.pass-through"  # noqa: S105 - an annotation's name
ELB_TRANSPARENT = ("kubernetes.io/elb.enable-transparent-client-ip", "kubernetes.io/elb.transparent-client-ip")
ELB_PORT = "kubernetes.io/elb.port"
ELB_ORDER = "kubernetes.io/elb.ingress-order"
ELB_RULE_PRIORITY = "kubernetes.io/elb.rule-priority-enabled"
URL_MATCH_MODE = "ingress.beta.kubernetes.io/url-match-mode"

DNAT_CLASS = "dnat"
INGRESS_CLASS = "cce"

_CLASSES = {"performance": ElbClass.DEDICATED, "union": ElbClass.SHARED}


@dataclass(frozen=True, slots=True)
class WantedBalancer:
    """``public``: it wants an EIP of its own. Users are keys ``cluster/namespace/name``."""

    balancer: LoadBalancer
    public: bool = False
    services: tuple[str, ...] = ()
    ingresses: tuple[str, ...] = ()


def balancer_name(user: Service | Ingress) -> str | None:
    """The balancer that serves a Service or an Ingress.

    None when none does: not a LoadBalancer Service, DNAT, an Ingress of another controller's class.
    """
    annotations = dict(user.annotations)
    if isinstance(user, Ingress):
        served, prefix = user.class_name in (None, INGRESS_CLASS), "elb-ingress"
    else:
        served, prefix = user.type == "LoadBalancer" and annotations.get(ELB_CLASS) != DNAT_CLASS, "elb"
    if not served:
        return None
    return annotations.get(ELB_ID) or _autocreate(user).get("name") or f"{prefix}-{user.namespace}-{user.name}"


@dataclass(slots=True)
class _Users:
    services: list[Service] = field(default_factory=list)
    ingresses: list[Ingress] = field(default_factory=list)


def wanted_balancers(lab: Lab) -> Iterator[WantedBalancer]:
    """The lab's own LoadBalancer objects, then those that Services and Ingresses have made for them."""
    users = _users(lab)
    for balancer in lab.load_balancers:
        mine = users.pop(balancer.name, _Users())
        yield WantedBalancer(balancer, False, _keys(mine.services), _keys(mine.ingresses))
    clusters = {cluster.name: cluster for cluster in lab.clusters}
    for name, mine in users.items():
        first: Service | Ingress = mine.services[0] if mine.services else mine.ingresses[0]
        cluster = clusters[first.cluster]
        elb_class = _CLASSES.get(dict(first.annotations).get(ELB_CLASS, ""), ElbClass.SHARED)
        address = first.load_balancer_ip if isinstance(first, Service) else None
        made = LoadBalancer(name, cluster.vpc, cluster.node_subnet, first.source, elb_class, address)
        public = _autocreate(first).get("type") == "public"
        yield WantedBalancer(made, public, _keys(mine.services), _keys(mine.ingresses))


def _users(lab: Lab) -> dict[str, _Users]:
    users: dict[str, _Users] = {}
    for service in lab.services:
        if name := balancer_name(service):
            users.setdefault(name, _Users()).services.append(service)
    for ingress in lab.ingresses:
        if name := balancer_name(ingress):
            users.setdefault(name, _Users()).ingresses.append(ingress)
    return users


def _keys(users: Sequence[Service | Ingress]) -> tuple[str, ...]:
    return tuple(f"{user.cluster}/{user.namespace}/{user.name}" for user in users)


def _autocreate(user: Service | Ingress) -> dict[str, str]:
    try:
        options = json.loads(dict(user.annotations).get(ELB_AUTOCREATE, "{}"))
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in options.items()} if isinstance(options, dict) else {}
