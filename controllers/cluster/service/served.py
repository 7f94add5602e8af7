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


@lru_cache(_KEPT)
def serve(port: ServicePort) -> Served:
    return Served(port, frozenset((port.protocol.value, each.port) for each in port.endpoints))


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
