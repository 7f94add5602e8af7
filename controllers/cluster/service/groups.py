"""The select group of a Service's port: one bucket per endpoint, each translates and remembers the connection."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

from controllers.cluster.fields import ENDPOINT, ENDPOINT_PORT, HIDDEN, HIDE, SERVICE
from controllers.cluster.service.served import Choice, Scope, Served
from controllers.openflow import Action, Answers, Bucket, Copy, Ct, Dnat, Group, GroupKind, Resubmit, SetField, spread
from controllers.openflow.fields import UDP
from testbed.model.desired import Protocol, ServiceEndpoint

_LAST_GROUP = 0xFFFFFEFF


@lru_cache(1 << 15)
def group_id(service: str, protocol: str, port: int, scope: Scope) -> int:
    """The same for the same port in every run; it doesn't move when other Services come and go.

    A hash of 32 bits: two of 2000 groups meet with a probability of 1 in 2000, and then the program is refused
    (ProgramError) rather than wrong.
    """
    digest = blake2b(f"{service}\0{protocol}\0{port}\0{scope}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") % _LAST_GROUP + 1


@lru_cache(1 << 15)
def plan_group(served: Served, choice: Choice) -> Group:
    port, buckets = served.port, list[Bucket]()
    for endpoint, weights in zip(choice.endpoints, spread([1] * len(choice.endpoints)), strict=True):
        actions = _remember(endpoint) if port.affinity_seconds else (translate(endpoint),)
        buckets += (Bucket(actions, weight) for weight in weights)
    number = group_id(port.service, port.protocol, port.port, choice.scope)
    return Group(number, GroupKind.SELECT, tuple(buckets), port.owner, _ends(served, choice))


def _ends(served: Served, choice: Choice) -> tuple[Answers, ...]:
    """UDP has no end of its own: a client that goes on sending would go on to an endpoint that is gone."""
    if served.port.protocol is not Protocol.UDP:
        return ()
    return tuple(Answers(SERVICE, UDP, each.address, each.port) for each in choice.endpoints)


def translate(endpoint: ServiceEndpoint) -> Ct:
    to = Dnat(endpoint.address, ports=(endpoint.port, endpoint.port))
    return Ct(SERVICE, table="hide", commit=True, nat=to, sets=(Copy(HIDE, HIDDEN),))


def _remember(endpoint: ServiceEndpoint) -> tuple[Action, ...]:
    """For client affinity: a bucket can't learn, a table that it looks up can, and that also goes on."""
    chosen = (SetField(ENDPOINT, endpoint.address), SetField(ENDPOINT_PORT, endpoint.port))
    return (*chosen, Resubmit("remember"))
