"""Which endpoints a Service's port uses, for whom. Pure Kubernetes semantics, nothing of OpenFlow.

Sources: Kubernetes "Virtual IPs and Service Proxies" (traffic policies, terminating endpoints).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from testbed.model.desired import ServiceEndpoint, ServicePort


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


@lru_cache(1 << 15)
def serve(port: ServicePort) -> Served:
    return Served(port)


@dataclass(frozen=True, slots=True)
class Choice:
    """What happens to a new connection; ``endpoints`` are the candidates of BALANCE."""

    verdict: Verdict
    scope: Scope
    endpoints: tuple[ServiceEndpoint, ...] = ()


@lru_cache(1 << 15)
def choose(served: Served, local: bool, node: str) -> Choice:
    """For connections that arrive on ``node``; ``local``: only its own endpoints will do."""
    everywhere = usable(served.port.endpoints)
    if not everywhere:
        return Choice(Verdict.REFUSE, Scope.CLUSTER)
    if not local:
        return Choice(Verdict.BALANCE, Scope.CLUSTER, everywhere)
    here = usable(tuple(each for each in served.port.endpoints if each.node == node))
    return Choice(Verdict.BALANCE, Scope.NODE, here) if here else Choice(Verdict.DROP, Scope.NODE)


def usable(endpoints: tuple[ServiceEndpoint, ...]) -> tuple[ServiceEndpoint, ...]:
    """Ready ones; when there is none, terminating ones that still serve."""
    ready = tuple(each for each in endpoints if each.ready)
    return ready or tuple(each for each in endpoints if each.serving)


def own_stack_only(choice: Choice) -> Choice:
    """Without the endpoints that are pods with an interface of their own."""
    stack = tuple(each for each in choice.endpoints if each.host_network)
    if choice.verdict is not Verdict.BALANCE or stack:
        return Choice(choice.verdict, choice.scope, stack)
    return Choice(Verdict.DROP, choice.scope)
