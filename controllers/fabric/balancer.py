"""Layer-4 load balancers: an address of a subnet, and a conntrack zone of the balancer's own (its id).

198.51.100.20 -> 10.0.0.100:80 (balancer 7, members 10.0.1.5:8080 and 10.0.1.6:8080, client address kept):

* deliver finds the balancer's address -> tracked in zone 7 -> balancer: new; an address range that the listener
  doesn't list is dropped here -> pick: one member, remembered -> balanced -> routing of the balancer's subnet ->
  the member, which sees the client. Its security groups are not asked (BYPASS), as the real balancer documents;
  the VPC's zone remembers that balancer 7 brought the connection.
* The member answers the client. egress_answer[brought by balancer 7] -> zone 7 makes the source 10.0.0.100
  again -> routing; towards the internet the balancer's elastic IP becomes the source.

A listener that doesn't keep the client's address (DISGUISED) also gives the packet the balancer's own source
address, in the same zone as a second connection, and the member's security groups judge that address.

Round-robin and least-connections are OVS's select group: by the connection's hash, with the members' weights.
Source-ip and sticky listeners pick by the low bits of the client's address, so that a client stays with its member.
A listener with no members drops: Open vSwitch 3.1 can't make a TCP reset. A member that dials its own balancer and is
chosen gets a packet from itself and doesn't answer, as documented for the real one; of one that is DISGUISED it gets
the balancer's address, and answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from ipaddress import IPv4Network

from controllers.fabric.fields import (
    BALANCED,
    BALANCER,
    BYPASS,
    DISGUISED,
    HAIRPIN,
    NETWORK,
    ROUTE_TABLE,
    SOURCE_OWN,
)
from controllers.fabric.nat import PORTS, begins_nothing
from controllers.fabric.security import LEAVE
from controllers.fabric.view import FabricView
from controllers.openflow import (
    Action,
    Bucket,
    Ct,
    CtClear,
    Dnat,
    Flow,
    Group,
    GroupKind,
    Match,
    Nat,
    Resubmit,
    SetField,
    Snat,
    ToGroup,
    match,
    spread,
)
from controllers.openflow.fields import ETH_SRC, Target, Value
from testbed.model.desired import FabricLoadBalancer, Listener, Member, Protocol

_IPV4 = 0x0800
_LEAST_SLOTS, _MOST_SLOTS = 16, 256


def plan(view: FabricView) -> Iterator[Flow]:
    if view.state.load_balancers:
        yield begins_nothing("balancer")
    for balancer in view.state.load_balancers:
        table = view.subnet(balancer.network, balancer.subnet, balancer.owner).route_table
        yield from _balancer(balancer, table)
        for listener in balancer.listeners:
            group = view.listener_group(balancer, listener.protocol, listener.port)
            yield from _listener(balancer, listener, group)


def plan_groups(view: FabricView) -> Iterator[Group]:
    for balancer in view.state.load_balancers:
        for listener in balancer.listeners:
            if listener.members and not _by_source(listener):
                yield _group(balancer, listener, view.listener_group(balancer, listener.protocol, listener.port))


@lru_cache(1 << 12)
def _balancer(balancer: FabricLoadBalancer, route_table: int) -> tuple[Flow, ...]:
    owner = balancer.owner
    mine: dict[Target, Value] = {BALANCER: balancer.id}
    here: tuple[Action, ...] = (
        *LEAVE,
        SetField(NETWORK, balancer.network),
        SetField(ROUTE_TABLE, route_table),
        SetField(ETH_SRC, balancer.mac),
        SetField(BALANCER, balancer.id),
        SetField(SOURCE_OWN, 0),
    )
    answer = match({BALANCED: balancer.id}, eth_type=_IPV4)
    undo = "hop" if all(listener.keep_client for listener in balancer.listeners) else "balancer_return"
    track = Ct(BALANCER, table="balancer", nat=Nat())
    flows = [
        *(
            Flow("deliver", 150, to, (*here, track), owner=owner, note=f"{balancer.address} is the balancer")
            for to in _addressed(balancer)
        ),
        Flow(
            "egress_answer", 200, answer, (*here, SetField(HAIRPIN, 1), Ct(BALANCER, table=undo, nat=Nat())),
            owner=owner, note="answer of a member",
        ),
        *_known(balancer),
        Flow(
            "balanced", 50, match(mine, eth_type=_IPV4), (SetField(BYPASS, 1), Resubmit("routing")),
            owner=owner, note="to the member, with the client's address",
        ),
    ]  # fmt: skip
    if undo == "balancer_return":
        again = (CtClear(), Ct(BALANCER, table="hop", nat=Nat()))
        flows.append(
            Flow("balancer_return", 100, match(mine, eth_type=_IPV4), again, owner=owner, note="the client's address")
        )
        flows.append(_disguise(balancer))
    return tuple(flows)


def _addressed(balancer: FabricLoadBalancer) -> Iterator[Match]:
    """What is for the balancer: all to its address; its listeners' ports when an ENI there has the rest."""
    there: dict[Target, Value] = {NETWORK: balancer.network, BALANCER: 0}
    if balancer.eni is None:
        yield match(there, ipv4_dst=balancer.address)
        return
    for listener in balancer.listeners:
        yield match(there, ipv4_dst=balancer.address, **_port(listener))


def _port(listener: Listener) -> dict[str, Value]:
    return {"tcp_dst" if listener.protocol is Protocol.TCP else "udp_dst": listener.port}


def _known(balancer: FabricLoadBalancer) -> Iterator[Flow]:
    """A connection stays new until it is answered, but its packets may be translated already."""
    for state in ("+trk+est", "+trk+dnat", "+trk+rel"):
        known = match({BALANCER: balancer.id}, ct_state=state, eth_type=_IPV4)
        yield Flow("balancer", 200, known, goto="balanced", owner=balancer.owner, note="has its member")


def _disguise(balancer: FabricLoadBalancer) -> Flow:
    """A second connection in the same zone; forgetting the first on the packet makes both datapaths look again."""
    address = balancer.snat_address or balancer.address
    actions = (
        CtClear(),
        SetField(HAIRPIN, 1),
        Ct(BALANCER, table="routing", commit=True, nat=Snat(address, ports=PORTS)),
    )
    hidden = match({BALANCER: balancer.id, DISGUISED: 1}, eth_type=_IPV4)
    return Flow("balanced", 100, hidden, actions, owner=balancer.owner, note=f"members see {address}")


@lru_cache(1 << 12)
def _listener(balancer: FabricLoadBalancer, listener: Listener, group: int) -> tuple[Flow, ...]:
    owner = listener.owner
    flows = [_admitted(balancer, listener, source) for source in listener.source_ranges or (None,)]
    chosen = _match(balancer, listener)
    if not listener.members:
        return (*flows, Flow("pick", 100, chosen, owner=owner, note="no healthy member"))
    if not _by_source(listener):
        return (
            *flows,
            Flow("pick", 100, chosen, (ToGroup(group),), owner=owner, note=f"{len(listener.members)} members"),
        )
    slots = _slots(listener.members)
    for number, member in enumerate(slots):
        client = _match(balancer, listener, ipv4_src=(number, len(slots) - 1))
        note = f"clients {number} modulo {len(slots)} -> {member.address}:{member.port}"
        flows.append(Flow("pick", 100, client, (_to_member(listener, member),), owner=owner, note=note))
    return tuple(flows)


def _admitted(balancer: FabricLoadBalancer, listener: Listener, source: IPv4Network | None) -> Flow:
    fields: dict[str, Value] = {} if source is None else {"ipv4_src": source}
    what = _match(balancer, listener, ct_state="+trk+new", **fields)
    note = f"{listener.protocol} {listener.port} from {source or 'anywhere'}"
    return Flow("balancer", 100, what, goto="pick", owner=listener.owner, note=note)


def _match(balancer: FabricLoadBalancer, listener: Listener, **fields: Value) -> Match:
    bits: dict[Target, Value] = {BALANCER: balancer.id}
    return match(bits, **_port(listener), **fields)


def _to_member(listener: Listener, member: Member) -> Ct:
    sets = () if listener.keep_client else (SetField(DISGUISED, 1),)
    translate = Dnat(member.address, ports=(member.port, member.port))
    return Ct(BALANCER, table="balanced", commit=True, nat=translate, sets=sets)


@lru_cache(1 << 12)
def _group(balancer: FabricLoadBalancer, listener: Listener, number: int) -> Group:
    members = [member for member in listener.members if member.weight]
    buckets = (
        Bucket((_to_member(listener, member),), weight)
        for member, weights in zip(members, spread([member.weight for member in members]), strict=True)
        for weight in weights
    )
    return Group(number, GroupKind.SELECT, tuple(buckets), listener.owner)


def _by_source(listener: Listener) -> bool:
    return listener.algorithm == "source-ip" or listener.sticky_seconds > 0


def _slots(members: tuple[Member, ...]) -> tuple[Member, ...]:
    """A power of two of slots, shared out by weight (largest remainder), in the order of the members."""
    weights = [member.weight for member in members]
    total = sum(weights) or 1
    size = _LEAST_SLOTS
    while size < 4 * len(members) and size < _MOST_SLOTS:
        size *= 2
    shares = [weight * size // total for weight in weights]
    by_remainder = sorted(range(len(members)), key=lambda i: (-(weights[i] * size % total), i))
    for i in by_remainder[: size - sum(shares)]:
        shares[i] += 1
    return tuple(member for member, share in zip(members, shares, strict=True) for _ in range(share))
