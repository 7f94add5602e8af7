"""Judging a packet by a kernel's nftables ruleset, as ``nft -j list ruleset`` gives it. Pure.

Only what the lab's own rulesets and everyday ones use is understood; a rule with anything else is passed over and
named, so that no verdict rests on a guess in silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from testbed.observe.trace.packet import Packet
from testbed.observe.trace.ruleset_text import describe

_PRIORITIES = {"raw": -300, "mangle": -150, "dstnat": -100, "filter": 0, "security": 50, "srcnat": 100}


@dataclass(frozen=True, slots=True)
class Context:
    """Where the packet is: devices, and what the kernel's conntrack says of it (``new``, ``established``, ...)."""

    iif: str = ""
    oif: str = ""
    state: str = "untracked"


@dataclass(frozen=True, slots=True)
class Judgement:
    """``verdict``: ``accept``, ``drop``, ``reject``. ``nat``: ``dst=...``, ``src=...`` or ``masquerade``.

    ``rules`` are those that decided, as text; ``unknown`` those that were not understood.
    """

    verdict: str = "accept"
    nat: str = ""
    packet: Packet | None = None
    rules: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


class _NotUnderstoodError(Exception):
    pass


def judge(
    ruleset: Sequence[dict[str, Any]],
    hook: str,
    kinds: tuple[str, ...],
    packet: Packet,
    context: Context,
    priorities: tuple[int, int] = (-1000, 1000),
) -> Judgement:
    """Run the chains of ``hook`` that have one of ``kinds`` (``filter``, ``nat``) in the order of their priority."""
    family = "arp" if packet.is_arp else "ip"
    result = Judgement(packet=packet)
    for chain in _chains(ruleset, hook, kinds, family, priorities):
        result = _run(ruleset, chain, result, context)
        if result.verdict != "accept":
            break
    return result


def _chains(
    ruleset: Sequence[dict[str, Any]], hook: str, kinds: tuple[str, ...], family: str, within: tuple[int, int]
) -> list[dict[str, Any]]:
    found = []
    for item in ruleset:
        chain = item.get("chain")
        if chain and chain.get("hook") == hook and chain.get("type") in kinds and chain["family"] in (family, "inet"):
            priority = chain["prio"]
            number = _PRIORITIES.get(priority, 0) if isinstance(priority, str) else int(priority)
            if within[0] <= number <= within[1]:
                found.append((number, chain))
    return [chain for _, chain in sorted(found, key=lambda pair: pair[0])]


def _run(ruleset: Sequence[dict[str, Any]], chain: dict[str, Any], so_far: Judgement, context: Context) -> Judgement:
    assert so_far.packet is not None
    for rule in _rules(ruleset, chain):
        text = f"{chain['family']} {chain['table']} {chain['name']}: {describe(rule['expr'])}"
        try:
            outcome = _apply(rule["expr"], so_far.packet, context)
        except _NotUnderstoodError:
            so_far = replace(so_far, unknown=(*so_far.unknown, text))
            continue
        if outcome is None:
            continue
        verdict, nat, packet = outcome
        if verdict or nat or packet != so_far.packet:
            rules = (*so_far.rules, text)
            so_far = replace(so_far, nat=nat or so_far.nat, packet=packet, rules=rules)
        if verdict in ("drop", "reject"):
            return replace(so_far, verdict=verdict)
        if verdict == "accept" or nat:
            return so_far
    if chain.get("policy") == "drop":
        return replace(so_far, verdict="drop", rules=(f"{chain['table']} {chain['name']}: policy drop",))
    return so_far


def _rules(ruleset: Sequence[dict[str, Any]], chain: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for item in ruleset:
        rule = item.get("rule")
        if rule and (rule["family"], rule["table"], rule["chain"]) == (chain["family"], chain["table"], chain["name"]):
            yield rule


def _apply(expressions: Iterable[dict[str, Any]], packet: Packet, context: Context) -> tuple[str, str, Packet] | None:
    """None: it does not match. Else (verdict or "", translation or "", the packet)."""
    verdict, nat = "", ""
    for expression in expressions:
        ((name, value),) = expression.items()
        match name:
            case "match":
                if not _matches(value, packet, context):
                    return None
            case "counter" | "comment" | "log":
                pass
            case "accept" | "drop" | "reject":
                verdict = name
            case "masquerade":
                nat = "masquerade"
            case "snat" | "dnat":
                target = _nat_target(value, packet, context)
                if target is None:
                    return None
                nat = f"{'src' if name == 'snat' else 'dst'}={target}"
            case "mangle":
                packet = _mangle(value, packet)
            case _:
                raise _NotUnderstoodError(name)
    return verdict, nat, packet


def _nat_target(value: dict[str, Any], packet: Packet, context: Context) -> str | None:
    """``address`` or ``address:port``; None when a map has nothing for this packet."""
    parts = [value["addr"], *([value["port"]] if value.get("port") else [])]
    found = [_look_up(part["map"], packet, context) if isinstance(part, dict) else part for part in parts]
    return None if None in found else ":".join(map(str, found))


def _look_up(value: dict[str, Any], packet: Packet, context: Context) -> str | None:
    """What ``map`` has for the packet: ``ip daddr . tcp dport map { 10.0.0.1 . 80 : 10.0.0.2 }``."""
    keys = _parts(value["key"])
    actual = [_value(key, packet, context) for key in keys]
    if not isinstance(value["data"], dict) or "set" not in value["data"]:
        raise _NotUnderstoodError("a named map")
    for key, target in value["data"]["set"]:
        wanted = _parts(key)
        if all(have is not None and _is_in(have, want) for have, want in zip(actual, wanted, strict=True)):
            return ":".join(map(str, _parts(target)))
    return None


def _parts(value: Any) -> list[Any]:
    return value["concat"] if isinstance(value, dict) and "concat" in value else [value]


def _mangle(value: dict[str, Any], packet: Packet) -> Packet:
    payload = value["key"].get("payload", {})
    if (payload.get("protocol"), payload.get("field")) == ("ip", "saddr"):
        return replace(packet, source=IPv4Address(value["value"]))
    if (payload.get("protocol"), payload.get("field")) == ("ip", "daddr"):
        return replace(packet, destination=IPv4Address(value["value"]))
    raise _NotUnderstoodError("mangle")


def _matches(value: dict[str, Any], packet: Packet, context: Context) -> bool:
    actual = _value(value["left"], packet, context)
    if actual is None:  # a field that this packet does not have
        return False
    hit = _is_in(actual, value["right"])
    if value["op"] in ("==", "in"):
        return hit
    if value["op"] == "!=":
        return not hit
    raise _NotUnderstoodError(value["op"])


def _value(left: dict[str, Any], packet: Packet, context: Context) -> Any:
    ((name, what),) = left.items()
    if name == "meta":
        metas = {"iifname": context.iif, "oifname": context.oif, "l4proto": packet.protocol, "protocol": "ip"}
        if what["key"] in metas:
            return metas[what["key"]]
    elif name == "ct" and what["key"] == "state":
        return context.state
    elif name == "payload" and "protocol" in what:
        return _payload(what["protocol"], what["field"], packet)
    raise _NotUnderstoodError(str(left))


def _payload(protocol: str, name: str, packet: Packet) -> Any:
    values: dict[tuple[str, str], Any] = {
        ("ip", "saddr"): packet.source,
        ("ip", "daddr"): packet.destination,
        ("ip", "protocol"): packet.protocol,
        ("ether", "saddr"): packet.eth_src,
        ("ether", "daddr"): packet.eth_dst,
    }
    if (protocol, name) in values:
        return values[protocol, name]
    if protocol in ("tcp", "udp", "th") and name in ("sport", "dport"):
        if packet.protocol not in ("tcp", "udp") or protocol not in ("th", packet.protocol):
            return None
        return packet.source_port if name == "sport" else packet.destination_port
    if protocol == "icmp" and name == "type":
        return {8: "echo-request", 0: "echo-reply", 3: "destination-unreachable"}.get(packet.icmp_type)
    raise _NotUnderstoodError(f"{protocol} {name}")


def _is_in(actual: Any, wanted: Any) -> bool:
    if isinstance(wanted, list):
        return any(_is_in(actual, one) for one in wanted)
    if not isinstance(wanted, dict):
        if isinstance(wanted, str) and wanted.endswith("*") and isinstance(actual, str):
            return actual.startswith(wanted[:-1])
        return str(actual) == str(wanted)
    ((kind, inner),) = wanted.items()
    if kind == "set":
        return any(_is_in(actual, one) for one in inner)
    if kind == "prefix":
        return IPv4Address(actual) in IPv4Network(f"{inner['addr']}/{inner['len']}")
    if kind == "range":
        low, high = inner
        if isinstance(actual, IPv4Address):
            return IPv4Address(low) <= actual <= IPv4Address(high)
        return int(low) <= int(actual) <= int(high)
    raise _NotUnderstoodError(kind)
