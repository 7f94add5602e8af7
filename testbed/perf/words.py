"""Where the models differ and why, in words, from what was seen: hops, header bytes, passes. Pure.

Nothing here knows how long a header is or how many switches a model has; the captures and traces do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from testbed.perf.results import Cell, Facts, Figure, Measure, Path, Result
from testbed.perf.statistics import Quantity, ratio, to_raw

VENDOR_LOSS = (0.05, 0.15)
"""What the vendor of the real cloud says a container tunnel loses (CCE user guide, "Container Tunnel Network")."""

_ETHERNET, _HEADERS = 14, 40
"""Bytes of an Ethernet header and of IPv4 and TCP headers without options."""

_ONE_THING = re.compile(r"\b1 (bridge|kernel)s\b")

_MAIN = (
    (Measure.TCP_1, Figure.RATE, "TCP, one stream"),
    (Measure.CONNECTIONS, Figure.CONNECTS, "New connections"),
    (Measure.LATENCY, Figure.P50, "Latency"),
)


def explain(result: Result, path: Path) -> tuple[str, ...]:
    """Sentences about one path; none when it was measured in no model."""
    facts = [item for item in result.facts if item.path is path]
    if not facts:
        return ()
    return (
        *_say_why(result, path, facts),
        *_say_ratios(result, path, facts),
        *_say_hops(facts),
        *_say_headers(result, facts),
    )


def _say_why(result: Result, path: Path, facts: Sequence[Facts]) -> Iterator[str]:
    """The models that are furthest apart on a path, and what was seen to differ between them."""
    for measure, figure, title in _MAIN:
        by_size = sorted(
            (found.median, item.subject, item)
            for item in facts
            if (found := to_raw(result, Cell(item.subject, path, measure), figure)) is not None
        )
        if len(by_size) < 2:
            continue
        (_, least, less), (_, most, more) = by_size[0], by_size[-1]
        apart = ratio(result, Cell(least, path, measure), Cell(most, path, measure), figure)
        if apart is None or apart.high >= 1:
            yield f"{title}: {least} and {most} are furthest apart, and that is within the spread."
        else:
            why = ", ".join(_differences(less, more)) or "by the same hops and headers"
            yield f"{title}: {least} has {_times(apart)} of {most}'s: {why}."
        return


def _differences(one: Facts, other: Facts) -> Iterator[str]:
    for mine, theirs, what in (
        (one.switches, other.switches, "entries into an Open vSwitch"),
        (one.bridges, other.bridges, "bridges"),
        (one.kernels, other.kernels, "kernels on the way"),
        (one.passes, other.passes, "look-ups by packet and switch"),
        (one.header_bytes, other.header_bytes, "header bytes more than the client sent"),
    ):
        if mine != theirs:
            yield f"{mine:g} {what} against {theirs:g}"


def _say_ratios(result: Result, path: Path, facts: Sequence[Facts]) -> Iterator[str]:
    for measure, figure, title in _MAIN:
        said = []
        for item in facts:
            found = to_raw(result, Cell(item.subject, path, measure), figure)
            if found is not None:
                said.append(f"{item.subject} {_times(found)}")
        if said:
            yield f"{title}, against the raw veth pair: {', '.join(said)}."


def _say_hops(facts: Sequence[Facts]) -> Iterator[str]:
    yield _by_value(facts, lambda item: item.switches, "A packet and its answer enter an Open vSwitch {} times")
    yield _by_value(facts, lambda item: item.bridges, "They cross {} bridges")
    if any(item.kernels for item in facts):
        yield _by_value(facts, lambda item: item.kernels, "The stacks of {} kernels are on the way")
    if any(item.passes for item in facts):
        yield _by_value(
            facts,
            lambda item: item.passes,
            "A switch looks a packet up {} times on average (once to forward, again to hear what connection tracking "
            "says)",
        )


def _by_value(facts: Sequence[Facts], of: Callable[[Facts], float], text: str) -> str:
    """``text`` with the value, once for those that share one: ``... 6 times in vpc and eni, 8 in tunnel.``"""
    groups: dict[float, list[str]] = {}
    for item in facts:
        groups.setdefault(of(item), []).append(item.subject)
    (first, who), *others = groups.items()
    rest = "".join(f", {value:g} in {_and(names)}" for value, names in others)
    return f"{_singular(text.format(f'{first:g}'))} in {_and(who)}{rest}."


def _singular(text: str) -> str:
    """``1 times`` -> ``once``, ``1 bridges`` -> ``1 bridge``."""
    return _ONE_THING.sub(r"1 \1", text.replace(" 1 times", " once"))


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _say_headers(result: Result, facts: Sequence[Facts]) -> Iterator[str]:
    mtus = {item.subject: item.client_mtu for item in result.conditions.subjects}
    for item in facts:
        if item.header_bytes and item.subject in mtus:
            share = payload_share(item, mtus[item.subject])
            yield (
                f"In {item.subject} the first frame is {item.frame} bytes at the client and {item.widest} at "
                f"{item.widest_at}: {item.header_bytes} more, so of a full frame {share:.1%} are TCP's payload "
                f"(MTU {mtus[item.subject]})."
            )
    if not any(item.header_bytes for item in facts):
        yield "No frame gets longer on the way."


def payload_share(facts: Facts, mtu: int) -> float:
    """TCP's payload in a full frame where it is widest, as a part of all its bytes."""
    return (mtu - _HEADERS) / (mtu + _ETHERNET + facts.header_bytes)


def _times(found: Quantity) -> str:
    return f"x{found.median:.3g}"


def explain_tunnel(result: Result) -> tuple[str, ...]:
    """The tunnel beside the VPC network on the path where they differ, and the vendor's figure beside ours."""
    tunnel, vpc = (Cell(model, Path.OTHER, Measure.TCP_1) for model in ("tunnel", "vpc"))
    found = ratio(result, tunnel, vpc, Figure.RATE)
    facts = {item.subject: item for item in result.facts if item.path is Path.OTHER}
    if found is None or not {"tunnel", "vpc"} <= facts.keys():
        return ()
    said = [_say_loss(found)]
    if (cpu := ratio(result, tunnel, vpc, Figure.CPU)) is not None:
        said.append(f"A byte costs it {_times(cpu)} of vpc's processor time.")
    if (latency := _latency(result)) is not None:
        said.append(f"Its latency (p50) is {_times(latency)} of vpc's.")
    if not VENDOR_LOSS[0] <= 1 - found.median <= VENDOR_LOSS[1]:
        said.append(_why_not(result, facts["tunnel"], facts["vpc"], 1 - found.median))
    return tuple(said)


def _say_loss(found: Quantity) -> str:
    loss, (least, most) = 1 - found.median, VENDOR_LOSS
    if least <= loss <= most:
        verdict = ", and so it is here"
    else:
        verdict = ", which is within the spread" if found.low <= 1 - least and found.high >= 1 - most else ""
    return (
        f"tunnel carries {found.median:.2f} ({found.low:.2f}-{found.high:.2f}) of what vpc carries to the other node, "
        f"{abs(loss):.0%} {'less' if loss >= 0 else 'more'}; the vendor says 5-15 % less{verdict}."
    )


def _latency(result: Result) -> Quantity | None:
    tunnel, vpc = (Cell(model, Path.OTHER, Measure.LATENCY) for model in ("tunnel", "vpc"))
    return ratio(result, tunnel, vpc, Figure.P50)


def _why_not(result: Result, tunnel: Facts, vpc: Facts, loss: float) -> str:
    """Where the difference comes from, as far as it was seen."""
    subjects = {item.subject: item for item in result.conditions.subjects}
    mtus = {name: item.client_mtu for name, item in subjects.items()}
    by_headers = 1 - payload_share(tunnel, mtus["tunnel"]) / payload_share(vpc, mtus["vpc"])
    headers = f"{tunnel.header_bytes} header bytes alone make {by_headers:.1%}"
    lookups = f"{tunnel.passes:g} look-ups by packet and switch against {vpc.passes:g}"
    if loss > VENDOR_LOSS[1]:
        return (
            f"Why more: {headers}; the rest is work on every packet, {lookups} and the switches' own wrapping, which "
            f"no device helps on the {_datapath(result)} datapath."
        )
    whole = "" if subjects["vpc"].offloads else ", and without offloads both models send every frame whole"
    return f"Why less: {headers}, {lookups}; both are little beside what {tunnel.switches} switch entries cost{whole}."


def _datapath(result: Result) -> str:
    return result.conditions.subjects[0].datapath
