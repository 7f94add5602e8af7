"""A trace for people: the verdict first, then the way and what decided; each place and each table on demand."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import Any

from rich.text import Text

from testbed.observe.trace.live import Confirmation, Sighting
from testbed.observe.trace.packet import changes
from testbed.observe.trace.results import Decision, Hop, HopKind, Relay, Trace, Way
from testbed.observe.verdicts import Verdict

VERDICT_STYLES = {
    Verdict.ALLOWED: "bold green",
    Verdict.REFUSED: "bold yellow",
    Verdict.DROPPED: "bold red",
    Verdict.ERROR: "bold magenta",
}

_DULL = frozenset(
    {"classify", "spoof", "spoof_guard", "restrict", "egress", "egress_state", "egress_answer", "hop", "receive"}
    | {"ingress", "ingress_state", "accept", "leave", "output", "neighbour"}
)
"""Tables that say nothing about this packet unless it ends there; shown with ``-v``."""

_DULL_REASONS = frozenset({"out of the chosen port", "may be an endpoint's answer", "the internet has no route tables"})


_TELLING = frozenset(
    {"translation", "tunnel", "balance", "choose", "pick", "nft", "egress_rules", "ingress_rules", "routing"}
    | {"internet_exit", "internet", "nat_out", "nat_in", "arrival"}
)
"""What is told of the way there when nobody asks for more: choices, translations, routes and rules."""


class Detail(IntEnum):
    """``BRIEF``: the places and what made the difference. ``HOPS``: place by place. ``ALL``: table by table."""

    BRIEF = 0
    HOPS = 1
    ALL = 2


def render_trace(
    trace: Trace, detail: Detail = Detail.BRIEF, confirmation: Confirmation | None = None
) -> Iterator[Text]:
    """Lines; those of decisions are indented below their place."""
    yield Text.assemble(f"{trace.question}: ", (str(trace.verdict), VERDICT_STYLES[trace.verdict]))
    yield Text(f"  {trace.summary}")
    if trace.advice:
        yield Text(f"  would pass with: {trace.advice}", style="yellow")
    if trace.others:
        yield from _others(trace)
    for warning in trace.warnings:
        yield Text(f"  warning: {warning}", style="yellow")
    if confirmation is not None:
        yield from _confirmed(confirmation)
    if detail is Detail.BRIEF:
        yield from _brief(trace)
        yield Text("  --hops tells it place by place, -v table by table", style="dim")
        return
    yield from _hops(trace, detail, confirmation)


def _hops(trace: Trace, detail: Detail, confirmation: Confirmation | None) -> Iterator[Text]:
    yield from _way("there", trace.there, detail is Detail.ALL, confirmation.there if confirmation else ())
    if trace.relay is not None:
        yield Text("")
        yield from _relay(trace.relay)
        for server in trace.relay.servers[:1]:
            yield from _hops(server, detail, None)
    if trace.back is not None:
        yield from _way("back", trace.back, detail is Detail.ALL, confirmation.back if confirmation else ())


def _relay(relay: Relay) -> Iterator[Text]:
    """What the proxy does with the request, and whom it may ask."""
    yield Text.assemble("  by the proxy of ", (relay.proxy, "bold cyan"))
    yield _decision(relay.rule, False, not relay.servers)
    for server in relay.servers:
        question = server.question
        said = f"{question.target} port {question.port}: {server.verdict}, {server.summary}"
        yield Text(f"       server {said}", style="" if server.verdict is Verdict.ALLOWED else "bold red")


def _brief(trace: Trace) -> Iterator[Text]:
    for title, way, told in (("there", trace.there, _TELLING), ("back", trace.back, frozenset({"translation"}))):
        if way is None:
            continue
        yield Text.assemble(f"  {title:<6}", ", ".join(hop.where for hop in way.hops))
        for hop in way.hops:
            for decision in hop.decisions:
                ended = way.outcome != "delivered" and decision is way.hops[-1].decisions[-1]
                if ended or (decision.what in told and _worth_showing(decision)):
                    yield _decision(decision, False, ended)
        if title == "there" and trace.relay is not None:
            yield from _relay(trace.relay)
            yield from (line for server in trace.relay.servers[:1] for line in _brief(server))


def _others(trace: Trace) -> Iterator[Text]:
    """The choices that this packet did not take."""
    count = len(trace.others) + 1
    hosts = ", ".join(dict.fromkeys(other.there.host for other in trace.others))
    yield Text(f"  one of {count} choices; the others: {hosts}")
    different = (f"{one.there.host}: {one.verdict}, {one.summary}" for one in trace.others if _differs(one, trace))
    for text in dict.fromkeys(different):
        yield Text(f"  but {text}", style="bold red")


def _differs(one: Trace, other: Trace) -> bool:
    return one.verdict is not other.verdict


def _confirmed(confirmation: Confirmation) -> Iterator[Text]:
    style = "bold green" if confirmation.agrees else "bold red"
    word = "confirmed" if confirmation.agrees else "DIFFERS"
    yield Text.assemble("  real packet: ", f"{confirmation.seen}, ", (word, style))
    for line in confirmation.differences:
        yield Text(f"    {line}", style="red")


def _way(title: str, way: Way, verbose: bool, sightings: tuple[Sighting, ...]) -> Iterator[Text]:
    first = next((hop.after for hop in way.hops), way.packet)
    yield Text(f"\n{title}: {first}", style="bold")
    for number, hop in enumerate(way.hops, 1):
        ended_here = number == len(way.hops) and way.outcome.value != "delivered"
        yield _place(number, hop, sightings)
        shown = [d for d in hop.decisions if verbose or _worth_showing(d)]
        if ended_here and hop.decisions and hop.decisions[-1] not in shown:
            shown.append(hop.decisions[-1])
        for decision in shown:
            final = ended_here and decision is hop.decisions[-1]
            yield _decision(decision, verbose, final)
        if verbose and (changed := changes(hop.before, hop.after)):
            yield Text(f"       header: {'; '.join(changed)}", style="dim")
    end = {"delivered": "bold green", "dropped": "bold red", "refused": "bold yellow"}.get(way.outcome.value, "")
    yield Text.assemble("    ", (str(way.outcome), end), f" at {way.host}" if way.outcome == "delivered" else "")


def _worth_showing(decision: Decision) -> bool:
    return decision.notable and decision.what not in _DULL and decision.why not in _DULL_REASONS


def _place(number: int, hop: Hop, sightings: tuple[Sighting, ...]) -> Text:
    left = f" > {hop.left}" if hop.left else ""
    text = Text.assemble(f" {number:>2} ", (hop.where, "bold cyan"), f"  {hop.entered}{left}")
    seen = [sighting.seen for sighting in sightings if (sighting.namespace, sighting.device) in hop.devices]
    if seen:
        text.append("  seen" if all(seen) else "  not seen", style="green" if all(seen) else "red")
    return text


def _decision(decision: Decision, verbose: bool, final: bool) -> Text:
    text = Text("       ")
    text.append(f"{decision.what}: ", style="bold red" if final else "cyan")
    text.append(decision.why, style="bold red" if final else "")
    if decision.owner and not decision.owner.startswith(("Fabric", "Pipeline")):
        text.append(f"  [{decision.owner}{', ' + decision.source if decision.source else ''}]", style="dim")
    if verbose and decision.detail:
        text.append(f"\n         {decision.detail}", style="dim")
    return text


def trace_document(trace: Trace, confirmation: Confirmation | None = None) -> dict[str, Any]:
    """For programs."""
    question = trace.question
    document: dict[str, Any] = {
        "source": question.source,
        "target": question.target,
        "address": str(question.address),
        "protocol": question.protocol,
        "port": question.port or None,
        "request": {"host": question.request.host, "path": question.request.path} if question.request else None,
        "verdict": str(trace.verdict),
        "summary": trace.summary,
        "advice": trace.advice or None,
        "sourceSeen": trace.seen_source or None,
        "warnings": list(trace.warnings),
        "others": [
            {"host": one.there.host, "verdict": str(one.verdict), "summary": one.summary} for one in trace.others
        ],
        "there": _way_document(trace.there),
        "back": _way_document(trace.back) if trace.back else None,
        "relay": _relay_document(trace.relay) if trace.relay else None,
    }
    if confirmation is not None:
        document["live"] = {
            "seen": str(confirmation.seen.verdict),
            "detail": confirmation.seen.detail,
            "agrees": confirmation.agrees,
            "differences": list(confirmation.differences),
            "there": [_sighting(one) for one in confirmation.there],
            "back": [_sighting(one) for one in confirmation.back],
        }
    return document


def _relay_document(relay: Relay) -> dict[str, Any]:
    rule = {"text": relay.rule.why, "object": relay.rule.owner or None, "source": relay.rule.source or None}
    return {"proxy": relay.proxy, "rule": rule, "servers": [trace_document(one) for one in relay.servers]}


def _sighting(sighting: Sighting) -> dict[str, Any]:
    return {"place": f"{sighting.namespace}/{sighting.device}", "seen": sighting.seen, "frame": sighting.frame or None}


def _way_document(way: Way) -> dict[str, Any]:
    return {
        "outcome": str(way.outcome),
        "host": way.host,
        "reason": way.reason or None,
        "hops": [_hop_document(hop) for hop in way.hops],
    }


def _hop_document(hop: Hop) -> dict[str, Any]:
    return {
        "place": hop.where,
        "kind": hop.kind.value if isinstance(hop.kind, HopKind) else hop.kind,
        "entered": hop.entered or None,
        "left": hop.left or None,
        "packet": str(hop.before),
        "changes": list(changes(hop.before, hop.after)),
        "decisions": [
            {
                "by": decision.what,
                "why": decision.why,
                "object": decision.owner or None,
                "source": decision.source or None,
                "detail": decision.detail or None,
            }
            for decision in hop.decisions
        ],
    }
