"""Which endpoints a Service's port uses, for whom. Pure Kubernetes semantics, nothing of OpenFlow.

Sources: Kubernetes "Virtual IPs and Service Proxies" (traffic policies, terminating endpoints).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from testbed.model.desired import ServiceEndpoint, ServicePort

_KEPT = 1 << 15


class Scope(StrEnum):
    CLUSTER = "cluster"
    NODE = "node"


class Verdict(StrEnum):
    BALANCE = "balance"
    REFUSE = "refuse"  # nobody serves: say so at once
    DROP = "drop"  # somebody does, but the policy does not let this node send there


@dataclass(frozen=True, eq=False, slots=True)
class Served:
    """One port of one Service. Compared by identity: ``serve`` gives the same object for an equal port, so what
    depends on a thousand Services can be looked up without comparing ten thousand endpoints."""

    port: ServicePort
    target_ports: frozenset[tuple[str, int]]
    """(protocol, port) that endpoints answer from."""


def serve(port: ServicePort) -> Served:
    """By identity first: to look a value up by what it is costs as much as all its endpoints."""
    known = _SERVED.get(id(port))
    if known is None or known[0] is not port:
        if len(_SERVED) >= _KEPT:
            _SERVED.clear()
        known = _SERVED[id(port)] = (port, _serve(port))
    return known[1]


_SERVED: dict[int, tuple[ServicePort, Served]] = {}


@lru_cache(_KEPT)
def _serve(port: ServicePort) -> Served:
    return Served(port, frozenset((port.protocol.value, each.port) for each in port.endpoints))


@lru_cache(64)
def target_ports(services: tuple[Served, ...]) -> tuple[tuple[str, int], ...]:
    """(protocol, port) that some endpoint of ``services`` answers from."""
    return tuple(sorted(frozenset[tuple[str, int]]().union(*(each.target_ports for each in services))))


@lru_cache(64)
def with_local_policy(services: tuple[Served, ...]) -> tuple[Served, ...]:
    """Those that are not the same on every node."""
    return tuple(each for each in services if each.port.internal_local or each.port.external_local)


@dataclass(frozen=True, eq=False, slots=True)
class Choice:
    """What happens to a new connection; ``endpoints`` are the candidates of BALANCE."""

    verdict: Verdict
    scope: Scope
    endpoints: tuple[ServiceEndpoint, ...] = ()


DROPPED = Choice(Verdict.DROP, Scope.NODE)


@lru_cache(_KEPT)
def choose(served: Served, node: str | None = None) -> Choice:
    """Among all endpoints, or those of ``node`` only."""
    everywhere = usable(served.port.endpoints)
    if not everywhere:
        return Choice(Verdict.REFUSE, Scope.CLUSTER)
    if node is None:
        return Choice(Verdict.BALANCE, Scope.CLUSTER, everywhere)
    here = usable(tuple(each for each in served.port.endpoints if each.node == node))
    return Choice(Verdict.BALANCE, Scope.NODE, here) if here else DROPPED


def usable(endpoints: tuple[ServiceEndpoint, ...]) -> tuple[ServiceEndpoint, ...]:
    """Ready ones; when there is none, terminating ones that still serve."""
    ready = tuple(each for each in endpoints if each.ready)
    return ready or tuple(each for each in endpoints if each.serving)


@lru_cache(_KEPT)
def own_stack_only(choice: Choice) -> Choice:
    """Without the endpoints that are pods with an interface of their own."""
    if choice.verdict is not Verdict.BALANCE:
        return choice
    stack = tuple(each for each in choice.endpoints if each.host_network)
    return Choice(Verdict.BALANCE, choice.scope, stack) if stack else DROPPED
