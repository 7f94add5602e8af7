"""Flows and programs as text: one line per flow with the names of tables, bits and zones, and who asked for it.

For golden files and people::

    route 100 vpc=7,ipv4_dst=10.0.1.0/24 actions=set(dst_eni=12),dec_ttl,goto:deliver  # RouteTable/main: to web
"""

from __future__ import annotations

from collections.abc import Iterator

from controllers.openflow import fields as f
from controllers.openflow import flows as a
from controllers.openflow.pipeline import Pipeline
from controllers.openflow.program import Program

_PORTS = {f.LOCAL: "LOCAL", f.IN_PORT_NUMBER: "IN_PORT"}


def render_program(program: Program) -> str:
    """Every flow in the order of lookup, then the groups. Ends with a newline."""
    order = program.pipeline.ids
    rows = [
        ((order[flow.table], -flow.priority), render_flow(program.pipeline, flow)) for flow in program.flows.values()
    ]
    lines = [line for _, line in sorted(rows)]
    lines += [render_group(program.pipeline, program.groups[number]) for number in sorted(program.groups)]
    return "\n".join(lines) + "\n"


def render_flow(pipeline: Pipeline, flow: a.Flow) -> str:
    actions = [render_action(pipeline, each) for each in flow.actions]
    if flow.goto is not None:
        actions.append(f"goto:{flow.goto}")
    timeout = f" idle_timeout={flow.idle_timeout}" if flow.idle_timeout else ""
    note = f": {flow.note}" if flow.note else ""
    matched = render_match(pipeline, flow.match)
    return (
        f"{flow.table} {flow.priority} {matched}{timeout} actions={','.join(actions) or 'drop'}  # {flow.owner}{note}"
    )


def render_group(pipeline: Pipeline, group: a.Group) -> str:
    buckets = []
    for bucket in group.buckets:
        weight = f"weight={bucket.weight}," if group.kind is a.GroupKind.SELECT else ""
        watch = f"watch_port={bucket.watch_port}," if bucket.watch_port is not None else ""
        actions = ",".join(render_action(pipeline, each) for each in bucket.actions) or "drop"
        buckets.append(f" bucket=({weight}{watch}{actions})")
    return f"group {group.id} {group.kind}{''.join(buckets)}  # {group.owner}"


def render_match(pipeline: Pipeline, match: a.Match) -> str:
    """``vpc=7,in_port=3,ipv4_dst=10.0.1.0/24``; ``any`` for every packet; implied eth_type, ip_proto are left out."""
    implied = {name for field, _, _ in match.items for name, _ in field.needs}
    parts = [
        text
        for field, value, mask in match.items
        if field.name not in implied
        for text in _render_item(pipeline, field, value, mask)
    ]
    return ",".join(parts) or "any"


def _render_item(pipeline: Pipeline, field: f.Field, value: int, mask: int) -> Iterator[str]:
    """The named bits of a field first; what is left over, or has no names, as the field."""
    for bits in pipeline.bits:
        if bits.field is field and (covered := mask & bits.mask):
            yield f"{bits.name}={_render_bits(bits, (value & bits.mask) >> bits.low, covered >> bits.low)}"
            mask &= ~bits.mask
    if mask:
        yield f"{field.name}={render_value(field, value & mask, mask)}"


def _render_bits(bits: f.Bits, value: int, mask: int) -> str:
    if mask == bits.full:
        return dict(bits.meanings).get(value) or render_value(bits, value, mask)
    return f"{value:#x}/{mask:#x}"


def render_value(target: f.Target, value: int, mask: int) -> str:
    """A value as people write it; a mask only when it isn't full."""
    kind = f.target_field(target).kind
    if kind is f.Kind.STATE and not isinstance(target, f.Bits):
        return f.render_ct_state(value, mask)
    if kind is f.Kind.VLAN and mask == f.VLAN_PRESENT:
        return "any" if value else "none"
    prefix = mask.bit_count()
    if kind is f.Kind.IPV4 and mask == (target.full >> (32 - prefix) << (32 - prefix)):
        return _render_whole(kind, target, value) + ("" if prefix == 32 else f"/{prefix}")
    shown = _render_whole(kind, target, value)
    return shown if mask == target.full else f"{shown}/{_render_whole(kind, target, mask)}"


def _render_whole(kind: f.Kind, target: f.Target, value: int) -> str:
    if isinstance(target, f.Bits):
        return str(dict(target.meanings).get(value, value))
    match kind:
        case f.Kind.IPV4:
            return ".".join(str(byte) for byte in value.to_bytes(4, "big"))
        case f.Kind.MAC:
            return f.mac_text(value)
        case f.Kind.HEX:
            return f"{value:#x}"
        case f.Kind.PORT:
            return _PORTS.get(value, str(value))
        case f.Kind.VLAN:
            return str(value & ~f.VLAN_PRESENT) if value & f.VLAN_PRESENT else "none"
        case _:
            return str(value)


_PLAIN = {
    a.InPort: "in_port",
    a.Local: "output:LOCAL",
    a.PushVlan: "push_vlan",
    a.PopVlan: "pop_vlan",
    a.DecTtl: "dec_ttl",
    a.CtClear: "ct_clear",
}


def render_action(pipeline: Pipeline, action: a.Action) -> str:
    if (plain := _PLAIN.get(type(action))) is not None:
        return plain
    match action:
        case a.SetField(target=target, value=value):
            return f"set({target.name}={render_value(target, value, target.full)})"
        case a.Output(port=port):
            return f"output:{_PORTS.get(port, port)}"
        case a.ToGroup(group=group):
            return f"group:{group}"
        case a.Copy(source=source, target=target):
            return f"copy({source.name}->{target.name})"
        case a.Ct():
            return _render_ct(pipeline, action)
        case _:
            return _render_rare(pipeline, action)


def _render_rare(pipeline: Pipeline, action: a.Action) -> str:
    match action:
        case a.Resubmit(table=table):
            return f"resubmit({table})"
        case a.OutputFrom(source=source):
            return f"output({source.name})"
        case a.Conjunction(id=number, clause=clause, clauses=clauses):
            return f"conjunction({number},{clause}/{clauses})"
        case a.Learn():
            return _render_learn(action)
        case a.Clone(actions=actions):
            return f"clone({','.join(render_action(pipeline, each) for each in actions)})"
        case _:
            raise TypeError(f"no text for {action!r}")


def _render_learn(learn: a.Learn) -> str:
    def sides(pairs: tuple[tuple[f.Target, f.Target | int], ...], joint: str) -> list[str]:
        return [f"{target.name}{joint}{_render_source(target, source)}" for target, source in pairs]

    parts = [f"{learn.table} {learn.priority}", f"idle_timeout={learn.idle_timeout}", *sides(learn.matches, "=")]
    return f"learn({','.join(parts)},actions={','.join(sides(learn.sets, ':='))})"


def _render_source(target: f.Target, source: f.Target | int) -> str:
    return render_value(target, source, target.full) if isinstance(source, int) else source.name


def _render_ct(pipeline: Pipeline, ct: a.Ct) -> str:
    parts = [word for word, said in (("commit", ct.commit), ("force", ct.force)) if said]
    parts.append(f"zone={ct.zone.name}")
    parts += [f"table={ct.table}"] if ct.table is not None else []
    parts += [_render_nat(ct.nat)] if ct.nat is not None else []
    parts += [render_action(pipeline, each) for each in ct.sets]
    return f"ct({','.join(parts)})"


def _render_nat(nat: a.Snat | a.Dnat | a.Nat) -> str:
    if isinstance(nat, a.Nat):
        return "nat"
    last = "" if nat.last is None else f"-{nat.last}"
    ports = "" if nat.ports is None else f":{nat.ports[0]}-{nat.ports[1]}"
    return f"nat({'src' if isinstance(nat, a.Snat) else 'dst'}={nat.first}{last}{ports})"
