"""Security groups: stateful allow lists, with a conntrack zone per VPC (its id).

10.0.0.5 (ENI 3) opens a connection to 10.0.0.9 (ENI 4):

* egress_rules: the *outbound* rules of ENI 3's profile let it out. The zone was not asked for that (UNASKED).
* ingress_rules: the *inbound* rules of ENI 4's profile let it in. accept has the zone remember the connection and sends
  it on without waiting for what the zone says: what rules let pass on both sides is one pass through the datapath.
* The answer does the same. Where no rule lets it out of ENI 4 or into ENI 3, the zone is asked (ASKED), once for both
  sides: it is +rpl of a connection that both let pass, so it may go. So may errors (ICMP) about it, +rel.
* A changed outbound rule leaves a connection alone: no rule lets its packets out any more, but the zone knows it
  (+est). A tightened inbound rule cuts it: the direction in which it was opened passes by inbound rules only.
* Who is refused on either side leaves no trace. What 10.0.0.9 then sends from the same ports is no answer.

Rules go first because what the zone says takes the packet through the datapath's flows a second time: between two nodes
0.04 of what plain bridges carry (kernel's datapath). An answer to a load balancer's client can only be told by its
connection (BALANCED): where such answers may come from, the zone is asked first.

A packet that leaves its VPC's zone (past a peering, a load balancer, an elastic IP or a NAT gateway, or for somebody
who isn't tracked) is remembered on leaving, by the subroutine ``leave``; on arrival it is another connection, and the
zone there is asked (table ingress).

A server that routes between two others of its VPC has one connection with both. An opening segment (SYN) is judged
even if its ports are those of a known connection, so who gets a freed address doesn't inherit what its former holder
was allowed.

Rules are flows per profile, a distinct set of groups. "Members of group g" are recognised by their profile: inbound
by the sender's (only for its own address, never for what it forwards), outbound by looking the destination up in
egress_remote. So neither grows with rules times members.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

from controllers.fabric.fields import (
    ASKED,
    BALANCED,
    BALANCER,
    BYPASS,
    DST_PROFILE,
    MEMORY,
    NETWORK,
    SOURCE_OWN,
    SRC_PROFILE,
    SRC_TRACKED,
    UNASKED,
)
from controllers.fabric.numbering import port_masks
from controllers.fabric.spoof_guard import OWNER
from controllers.fabric.view import FabricView, Profile
from controllers.openflow import Action, Copy, Ct, Flow, Match, Resubmit, SetField, match
from controllers.openflow.fields import TCP_OPENS, Target, Value
from testbed.model.desired import Direction, Eni, Protocol, SecurityRule

_IPV4 = 0x0800
_ASK_OUT = (SetField(MEMORY, ASKED), Ct(NETWORK, table="egress_state"))
_ASK_IN = (SetField(MEMORY, ASKED), Ct(NETWORK, table="ingress_state"))
_REMEMBER = Ct(NETWORK, commit=True)
_OPEN = 110
"""Priority of rules without ports: first, for the datapath need not tell ports apart for whom they let pass."""

_LET_IN = Ct(NETWORK, commit=True, sets=(Copy(BALANCER, BALANCED),))

LEAVE = (Resubmit("leave"), SetField(MEMORY, 0))
"""First of what is done to a packet that leaves its VPC's zone for another one, or changes its addresses there."""

Clauses = dict[Target, Value]


def plan(view: FabricView) -> Iterator[Flow]:
    yield from _outbound()
    yield from _inbound()
    yield from _remembered()
    for network, forwarded in view.networks_balanced().items():
        yield _asked_first(network, forwarded)
    members = _profiles_of_groups(view)
    remotes: set[str] = set()
    for profile in view.profiles.values():
        for rule in _rules(view, profile):
            yield from _rule(profile, rule, members.get(rule.group or "", ()))
            if rule.group and rule.direction is Direction.EGRESS:
                remotes.add(rule.group)
        yield from _denied(profile)
    yield from _remotes(view, remotes)


@lru_cache(1)
def _outbound() -> tuple[Flow, ...]:
    """What doesn't depend on any rule, where the sender's part is decided."""
    tracked = match({SRC_TRACKED: 1}, eth_type=_IPV4)
    by_rules = (SetField(MEMORY, UNASKED),)
    unasked = match({MEMORY: UNASKED}, eth_type=_IPV4)
    opens = match(ct_state="+trk+est", tcp_flags=TCP_OPENS)
    open_out = match({SRC_PROFILE: 0}, eth_type=_IPV4)
    return (
        _flow("egress", 100, tracked, by_rules, "egress_remote", note="first the rules"),
        _flow("egress_rules", _OPEN, open_out, goto="hop", note="no security group applies"),
        _flow("egress_rules", 20, unasked, _ASK_OUT, note="no rule: is it of a connection that the VPC's zone knows"),
        _flow("egress_state", 300, match(ct_state="+trk+inv"), note="no packet of any connection"),
        _flow("egress_state", 220, match(ct_state="+trk+rpl"), goto="egress_answer", note="answer"),
        _flow("egress_state", 210, opens, goto="egress_remote", note="new connection between known ports"),
        _flow("egress_state", 200, match(ct_state="+trk+est"), goto="hop", note="connection is known"),
        _flow("egress_state", 200, match(ct_state="+trk+rel"), goto="hop", note="about a known connection"),
        _flow("egress_state", 100, match(ct_state="+trk+new"), goto="egress_remote", note="new connection"),
    )


@lru_cache(1 << 12)
def _asked_first(network: int, forwarded: bool) -> Flow:
    """An answer that goes back by a load balancer looks like any other packet: only its connection's mark tells.

    Nodes and pods are members by their own addresses; ``forwarded``: some member is behind an ENI.
    """
    clauses: Clauses = {SRC_TRACKED: 1, NETWORK: network}
    if not forwarded:
        clauses[SOURCE_OWN] = 1
    note = "perhaps an answer that goes back by a load balancer"
    return _flow("egress", 110, match(clauses, eth_type=_IPV4), _ASK_OUT, note=note)


@lru_cache(1)
def _inbound() -> tuple[Flow, ...]:
    """What doesn't depend on any rule, where the receiver's part is decided."""
    asked = match({MEMORY: ASKED}, eth_type=_IPV4)
    unasked = match({MEMORY: UNASKED}, eth_type=_IPV4)
    track = (Ct(NETWORK, table="ingress_state"),)
    bypass = match({BYPASS: 1}, ct_state="+trk-inv")
    open_in = match({DST_PROFILE: 0}, eth_type=_IPV4)
    new = match(ct_state="+trk+new", eth_type=_IPV4)
    return (
        _flow("ingress", 200, asked, goto="ingress_state", note="the sender's connection is the receiver's"),
        _flow("ingress", 200, unasked, goto="ingress_rules", note="first the rules"),
        _flow("ingress", 100, match(eth_type=_IPV4), track, note="track in its VPC's zone"),
        _flow("ingress_state", 300, match(ct_state="+trk+inv"), note="no packet of any connection"),
        _flow("ingress_state", 200, match(ct_state="+trk+rpl"), goto="output", note="answer"),
        _flow("ingress_state", 200, match(ct_state="+trk+rel"), goto="output", note="about a known connection"),
        _flow("ingress_state", 150, bypass, goto="accept", note="a load balancer keeps the client's address"),
        _flow("ingress_rules", _OPEN, open_in, goto="accept", note="no security group applies"),
        _flow("ingress_rules", 20, unasked, _ASK_IN, note="no rule: is it an answer that the VPC's zone knows"),
        _flow("accept", 110, unasked, (_REMEMBER,), "output", note="by the rules of both, remembered"),
        _flow("accept", 100, new, (_LET_IN,), "output", note="new connection, remembered"),
    )


@lru_cache(1)
def _remembered() -> tuple[Flow, ...]:
    """Subroutine: the connection of a packet that leaves the zone that its sender is tracked in."""
    unasked = match({MEMORY: UNASKED}, eth_type=_IPV4)
    new = match({MEMORY: ASKED}, ct_state="+trk+new", eth_type=_IPV4)
    return (
        _flow("leave", 100, unasked, (_REMEMBER,), note="let out by rules"),
        _flow("leave", 100, new, (_REMEMBER,), note="new connection, let out by rules"),
    )


def _flow(
    table: str, priority: int, what: Match, actions: tuple[Action, ...] = (), goto: str | None = None, *, note: str
) -> Flow:
    return Flow(table, priority, what, actions, goto, owner=OWNER, note=note)


def _rules(view: FabricView, profile: Profile) -> Iterator[SecurityRule]:
    for name in profile.groups:
        yield from view.groups[name].rules


def _profiles_of_groups(view: FabricView) -> dict[str, tuple[int, ...]]:
    found: dict[str, list[int]] = {}
    for profile in view.profiles.values():
        for name in profile.groups:
            found.setdefault(name, []).append(profile.number)
    return {name: tuple(numbers) for name, numbers in found.items()}


@lru_cache(1 << 14)
def _rule(profile: Profile, rule: SecurityRule, members: tuple[int, ...]) -> tuple[Flow, ...]:
    """One flow for each piece of the port range and each profile that a group's members have."""
    build: Callable[[Match, SecurityRule], Flow]
    if rule.direction is Direction.EGRESS:
        mine, theirs, address, build = SRC_PROFILE, DST_PROFILE, "ipv4_dst", _allow_out
    else:
        mine, theirs, address, build = DST_PROFILE, SRC_PROFILE, "ipv4_src", _allow_in
    flows = []
    for fields in _service(rule):
        if rule.cidr is not None:
            fields[address] = rule.cidr
        if rule.group is None:
            flows.append(build(match({mine: profile.number}, **fields), rule))
        for number in members:
            clauses: Clauses = {mine: profile.number, theirs: number}
            if rule.direction is Direction.INGRESS:
                clauses[SOURCE_OWN] = 1
            flows.append(build(match(clauses, **fields), rule))
    return tuple(flows)


def _allow_out(what: Match, rule: SecurityRule) -> Flow:
    return Flow("egress_rules", _rank(rule), what, goto="hop", owner=rule.owner, note=f"allows {_text(rule)}")


def _allow_in(what: Match, rule: SecurityRule) -> Flow:
    return Flow("ingress_rules", _rank(rule), what, goto="accept", owner=rule.owner, note=f"allows {_text(rule)}")


def _rank(rule: SecurityRule) -> int:
    return _OPEN if rule.ports is None else 100


def _service(rule: SecurityRule) -> Iterator[dict[str, Value]]:
    """The protocol and port part of a rule, as fields to match."""
    if rule.protocol is Protocol.ICMP:
        yield {"ip_proto": 1, "eth_type": _IPV4}
        return
    if rule.protocol is Protocol.ALL and rule.ports is None:
        yield {"eth_type": _IPV4}
        return
    for name, number in (("tcp", 6), ("udp", 17)):
        if rule.protocol not in (Protocol.ALL, name):
            continue
        if rule.ports is None:
            yield {"ip_proto": number, "eth_type": _IPV4}
        else:
            for pair in port_masks(*rule.ports):
                yield {f"{name}_dst": pair}


def _text(rule: SecurityRule) -> str:
    ports = "" if rule.ports is None else f" {rule.ports[0]}-{rule.ports[1]}"
    way = "from" if rule.direction is Direction.INGRESS else "to"
    return f"{rule.protocol}{ports} {way} {rule.group or rule.cidr or 'anywhere'}"


@lru_cache(1 << 12)
def _denied(profile: Profile) -> tuple[Flow, Flow]:
    """Drops of their own for each profile, so that counters and traces name the groups."""
    out = match({SRC_PROFILE: profile.number}, eth_type=_IPV4)
    into = match({DST_PROFILE: profile.number}, eth_type=_IPV4)
    return (
        Flow("egress_rules", 10, out, owner=profile.owner, note="no outbound rule allows it"),
        Flow("ingress_rules", 10, into, owner=profile.owner, note="no inbound rule allows it"),
    )


def _remotes(view: FabricView, groups: set[str]) -> Iterator[Flow]:
    """Members of the groups that outbound rules name."""
    for eni in view.state.enis:
        if eni.filtered and not groups.isdisjoint(eni.security_groups):
            yield _remote(eni, view.profile(eni))


@lru_cache(1 << 14)
def _remote(eni: Eni, profile: int) -> Flow:
    return Flow(
        "egress_remote",
        100,
        match({NETWORK: eni.network}, ipv4_dst=eni.address),
        (SetField(DST_PROFILE, profile),),
        "egress_rules",
        owner=eni.owner,
        note="member of a group that an outbound rule names",
    )
