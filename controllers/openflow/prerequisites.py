"""What Open vSwitch wants to be matched before a field or an action may be used, checked before it is sent.

The switch answers OFPBAC_MATCH_INCONSISTENT or OFPBMC_BAD_PREREQ, with no hint at the cause; the sentences
here name it. :func:`flows.match` fills in what matches themselves need; actions can't be guessed, so they
are checked. Source: ovs-fields(7) "Prerequisites"; ``ofpact_check__`` in Open vSwitch 3.1
``lib/ofp-actions.c``.
"""

from __future__ import annotations

from controllers.openflow import fields as f
from controllers.openflow import flows as a

_TRACKED_FIELDS = frozenset((f.CT_NW_SRC, f.CT_NW_DST, f.CT_NW_PROTO, f.CT_TP_SRC, f.CT_TP_DST))
_NEW_EST_REL_RPL = 0x0F
_INVALID = 0x10
_TRACKED = 0x20


def prerequisite_problem(match: a.Match, actions: tuple[a.Action, ...]) -> str | None:
    """What the flow has to match besides, or None."""
    matched = {field: (value, mask) for field, value, mask in match.items}
    if not _TRACKED_FIELDS.isdisjoint(matched) and not _is_tracked(matched.get(f.CT_STATE)):
        return "matches ct_nw_* or ct_tp_*, which needs ct_state=+trk-inv (or +trk with +new, +est, +rel or +rpl)"
    tagged = bool(matched.get(f.VLAN_VID, (0, 0))[0] & f.VLAN_PRESENT)
    for action in actions:
        if problem := _action_problem(matched, tagged, action):
            return problem
        if isinstance(action, a.PushVlan | a.PopVlan):
            tagged = isinstance(action, a.PushVlan)
    return None


def _is_tracked(ct_state: tuple[int, int] | None) -> bool:
    if ct_state is None or not ct_state[0] & _TRACKED:
        return False
    value, mask = ct_state
    return bool(value & _NEW_EST_REL_RPL) or bool(mask & _INVALID and not value & _INVALID)


def _action_problem(matched: dict[f.Field, tuple[int, int]], tagged: bool, action: a.Action) -> str | None:
    match action:
        case a.SetField(target=f.Field() as field):
            if field is f.VLAN_VID and not tagged:
                return "sets vlan_vid without PushVlan before, or matching a tag"
            return _missing(matched, field, "sets")
        case a.Copy(source=source, target=target):
            source_field, target_field = f.target_field(source), f.target_field(target)
            return _missing(matched, source_field, "copies") or _missing(matched, target_field, "sets")
        case a.PopVlan():
            return None if tagged else "pops a tag without matching one, as vlan_vid=(0x1000, 0x1000)"
        case a.DecTtl():
            return _missing(matched, f.IP_TTL, "decreases")
        case a.Ct():
            return _missing(matched, f.IP_PROTO, "tracks the connection and so uses")
        case a.Learn(matches=matches, sets=sets):
            sources = (source for _, source in (*matches, *sets) if not isinstance(source, int))
            return next(filter(None, (_missing(matched, f.target_field(each), "copies") for each in sources)), None)
        case a.Clone(actions=actions):
            return next(filter(None, (_action_problem(matched, tagged, each) for each in actions)), None)
        case _:
            return None


def _missing(matched: dict[f.Field, tuple[int, int]], field: f.Field, verb: str) -> str | None:
    for name, value in field.needs:
        if matched.get(f.FIELDS[name]) != (value, f.FIELDS[name].full):
            return f"{verb} {field.name}, which needs a match on {name}={value:#x}"
    return None
