"""Security groups: stateful allow lists, with a conntrack zone per VPC (its id).

10.0.0.5 (ENI 3) opens a connection to 10.0.0.9 (ENI 4):

* egress tracks it in the VPC's zone: new, so the *outbound* rules of ENI 3's profile decide (egress_rules) and the
  connection is remembered. Later packets are established and pass without being judged again, so a changed outbound
  rule leaves them alone.
* The *inbound* rules of ENI 4's profile judge every packet of the direction in which the connection was opened, not
  only the first: a tightened rule cuts it. accept notes that the receiver has let it in (ACCEPTED).
* The answer is +rpl. Of a connection that was let in it passes on both sides; so do errors (ICMP) about it, +rel. Else
  10.0.0.9 has never seen what it seems to answer: its own outbound rules judge, and the connection becomes its own.

What both sides know is one connection in one place: a frame is looked up once on its way, for that is most of what the
fabric costs. It is looked up again (table ingress) where the sender is not tracked, and where it is another connection
on arrival: past a peering, a load balancer, an elastic IP or a NAT gateway, all of which end SEEN. It is looked up even
where rules allow everything both ways: who is not remembered would be cut by a changed outbound rule.

A server that routes between two others of its VPC has one connection with both: the first of the two receivers accepts
it for both. An opening segment (SYN) is judged even if its ports are those of a known connection, so who gets a freed
address doesn't inherit what its former holder was allowed.

Rules are flows per profile, a distinct set of groups. "Members of group g" are recognised by their profile: inbound
by the sender's (only for its own address, never for what it forwards), outbound by looking the destination up in
egress_remote. So neither grows with rules times members.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

from controllers.fabric.fields import (
    ACCEPTED,
    BALANCED,
    BALANCER,
    BYPASS,
    DST_PROFILE,
    NETWORK,
    SEEN,
    SOURCE_OWN,
    SRC_PROFILE,
    SRC_TRACKED,
)
from controllers.fabric.numbering import port_masks
from controllers.fabric.spoof_guard import OWNER
from controllers.fabric.view import FabricView, Profile
from controllers.openflow import Action, Copy, Ct, Flow, Match, SetField, match
from controllers.openflow.fields import TCP_OPENS, Target, Value
from testbed.model.desired import Direction, Eni, Protocol, SecurityRule

_IPV4 = 0x0800
_REMEMBER_OUT = Ct(NETWORK, commit=True, force=True)
"""With force an answer that is none opens a connection of its own."""

_LET_IN = Ct(NETWORK, commit=True, sets=(Copy(BALANCER, BALANCED), SetField(ACCEPTED, 1)))

Clauses = dict[Target, Value]


def plan(view: FabricView) -> Iterator[Flow]:
    yield from _outbound()
    yield from _inbound()
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
    track = (SetField(SEEN, 1), Ct(NETWORK, table="egress_state"))
    opens = match(ct_state="+trk+est", tcp_flags=TCP_OPENS)
    open_out = match({SRC_PROFILE: 0}, eth_type=_IPV4)
    return (
        _flow("egress", 100, tracked, track, note="track in its VPC's zone"),
        _flow("egress_state", 300, match(ct_state="+trk+inv"), note="no packet of any connection"),
        _flow("egress_state", 220, match(ct_state="+trk+rpl"), goto="egress_answer", note="answer"),
        _flow("egress_state", 210, opens, goto="egress_remote", note="new connection between known ports"),
        _flow("egress_state", 200, match(ct_state="+trk+est"), goto="hop", note="connection is known"),
        _flow("egress_state", 200, match(ct_state="+trk+rel"), goto="hop", note="about a known connection"),
        _flow("egress_state", 100, match(ct_state="+trk+new"), goto="egress_remote", note="new connection"),
        _flow("egress_answer", 100, match({ACCEPTED: 1}), goto="hop", note="of a connection that was let in"),
        _flow("egress_rules", 100, open_out, (_REMEMBER_OUT,), "hop", note="no security group applies"),
    )


@lru_cache(1)
def _inbound() -> tuple[Flow, ...]:
    """What doesn't depend on any rule, where the receiver's part is decided."""
    seen = match({SEEN: 1}, eth_type=_IPV4)
    track = (Ct(NETWORK, table="ingress_state"),)
    bypass = match({BYPASS: 1}, ct_state="+trk-inv")
    open_in = match({DST_PROFILE: 0}, eth_type=_IPV4)
    new = match(ct_state="+trk+new", eth_type=_IPV4)
    just_remembered = match({SEEN: 1}, ct_state="-trk", eth_type=_IPV4)
    return (
        _flow("ingress", 200, seen, goto="ingress_state", note="the sender's connection is the receiver's"),
        _flow("ingress", 100, match(eth_type=_IPV4), track, note="track in its VPC's zone"),
        _flow("ingress_state", 300, match(ct_state="+trk+inv"), note="no packet of any connection"),
        _flow("ingress_state", 200, match(ct_state="+trk+rpl"), goto="output", note="answer"),
        _flow("ingress_state", 200, match(ct_state="+trk+rel"), goto="output", note="about a known connection"),
        _flow("ingress_state", 150, bypass, goto="accept", note="a load balancer keeps the client's address"),
        _flow("ingress_rules", 100, open_in, goto="accept", note="no security group applies"),
        _flow("accept", 100, new, (_LET_IN,), "output", note="new connection, let in"),
        _flow("accept", 100, just_remembered, (_LET_IN,), "output", note="remembered for the sender, let in"),
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
    return Flow("egress_rules", 100, what, (_REMEMBER_OUT,), "hop", owner=rule.owner, note=f"allows {_text(rule)}")


def _allow_in(what: Match, rule: SecurityRule) -> Flow:
    return Flow("ingress_rules", 100, what, goto="accept", owner=rule.owner, note=f"allows {_text(rule)}")


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
