"""The select group of a Service's port: one bucket per endpoint, each translates and remembers the connection."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

from controllers.cluster.fields import ENDPOINT, ENDPOINT_PORT, HIDDEN, HIDE, SERVICE
from controllers.cluster.service.served import Choice, Scope, Served
from controllers.openflow import Action, Answers, Bucket, Copy, Ct, Dnat, Group, GroupKind, Resubmit, SetField
from controllers.openflow.fields import UDP
from testbed.model.desired import Protocol, ServiceEndpoint

_LAST_GROUP = 0xFFFFFEFF
_SLOTS = 256
_WEIGHT = 100


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
    for endpoint, weights in zip(choice.endpoints, spread(len(choice.endpoints)), strict=True):
        actions = _remember(endpoint) if port.affinity_seconds else (translate(endpoint),)
        buckets += (Bucket(actions, weight) for weight in weights)
    number = group_id(port.service, port.protocol, port.port, choice.scope)
    return Group(number, GroupKind.SELECT, tuple(buckets), port.owner, _ends(served, choice))


def _ends(served: Served, choice: Choice) -> tuple[Answers, ...]:
    """UDP has no end of its own: a client that goes on sending would go on to an endpoint that is gone."""
    if served.port.protocol is not Protocol.UDP:
        return ()
    return tuple(Answers(SERVICE, UDP, each.address, each.port) for each in choice.endpoints)


def spread(endpoints: int) -> list[tuple[int, ...]]:
    """Bucket weights per endpoint, such that all are chosen equally often.

    Open vSwitch divides the hash's values into slots, the power of two that gives the lightest bucket one: ten
    equal buckets share 16 slots, so six of them would be chosen twice as often as the other four. One endpoint is
    therefore split in two buckets, the lighter of them so light that there are 256 slots.
    Source: Open vSwitch 3.1, ofproto/ofproto-dpif.c, group_setup_dp_hash_table.
    """
    even: list[tuple[int, ...]] = [(_WEIGHT,)] * endpoints
    if endpoints & (endpoints - 1) == 0 or endpoints > _SLOTS // 2:
        return even
    light = -(-_WEIGHT * endpoints // _SLOTS)
    return [*even[:-1], (_WEIGHT - light, light)]


def translate(endpoint: ServiceEndpoint) -> Ct:
    to = Dnat(endpoint.address, ports=(endpoint.port, endpoint.port))
    return Ct(SERVICE, table="hide", commit=True, nat=to, sets=(Copy(HIDE, HIDDEN),))


def _remember(endpoint: ServiceEndpoint) -> tuple[Action, ...]:
    """For client affinity: a bucket can't learn, a table that it looks up can, and that also goes on."""
    chosen = (SetField(ENDPOINT, endpoint.address), SetField(ENDPOINT_PORT, endpoint.port))
    return (*chosen, Resubmit("remember"))
