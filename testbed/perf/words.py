"""Where the models differ and why, in words, from what was seen: hops, header bytes, passes. Pure.

Nothing here knows how long a header is or how many switches a model has; the captures and traces do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from testbed.perf.conditions import FOREIGN, foreign
from testbed.perf.results import PLAIN, RAW, Cell, Facts, Figure, Measure, Path, Result, ordered
from testbed.perf.statistics import Quantity, ratio, to_raw

PLAIN_TARGET, SERVICE_TARGET = 0.9, 0.8
"""What a path should reach of the same hops on plain bridges, and a cluster address of the direct path."""

VENDOR_LOSS = (0.05, 0.15)
"""What the vendor of the real cloud says a container tunnel loses (CCE user guide, "Container Tunnel Network")."""

_ETHERNET, _HEADERS = 14, 40
"""Bytes of an Ethernet header and of IPv4 and TCP headers without options."""


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


def models_of(result: Result) -> tuple[str, ...]:
    """Subjects that are models, in the order in which they were measured."""
    found = dict.fromkeys(cell.subject for cell in result.cells)
    return tuple(name for name in found if name != RAW and not name.startswith(PLAIN))


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
            "A switch looks a packet up {} times on average (once to forward, again after each connection tracking)",
        )


def _by_value(facts: Sequence[Facts], of: Callable[[Facts], float], text: str) -> str:
    """``text`` with the value, once for those that share one: ``... 6 times in vpc and eni, 8 in tunnel.``"""
    groups: dict[float, list[str]] = {}
    for item in facts:
        groups.setdefault(of(item), []).append(item.subject)
    (first, who), *others = groups.items()
    rest = "".join(f", {value:g} in {_and(names)}" for value, names in others)
    return f"{text.format(f'{first:g}')} in {_and(who)}{rest}."


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


@dataclass(frozen=True, slots=True)
class Judged:
    """One stream of TCP beside another path: ratio of throughputs, and of processor time for each byte (theirs by mine,
    so that less than one is dearer too). ``disturbed``: others kept the processors busy; throughput is then what they
    left over, and processor time decides.
    """

    what: str
    rate: Quantity
    cpu: Quantity | None
    target: float
    disturbed: bool

    @property
    def reached(self) -> bool:
        judged = self.cpu if self.disturbed and self.cpu else self.rate
        return judged.median >= self.target


def judge(result: Result) -> tuple[Judged, ...]:
    """Every path beside the same hops on plain bridges, then every cluster address beside the direct path."""
    return (*_beside_plain(result), *_beside_direct(result))


def _beside_plain(result: Result) -> Iterator[Judged]:
    for model in models_of(result):
        for path in ordered(Path, (cell.path for cell in result.cells if cell.subject == PLAIN + model)):
            mine, plain = Cell(model, path, Measure.TCP_1), Cell(PLAIN + model, path, Measure.TCP_1)
            yield from _judge(result, f"{model} {path} / plain bridges", mine, plain, PLAIN_TARGET)


def _beside_direct(result: Result) -> Iterator[Judged]:
    for model in models_of(result):
        through, direct = (Cell(model, path, Measure.TCP_1) for path in (Path.CLUSTER_IP, Path.OTHER))
        yield from _judge(result, f"{model} cluster-ip / direct", through, direct, SERVICE_TARGET)


def _judge(result: Result, what: str, mine: Cell, other: Cell, target: float) -> Iterator[Judged]:
    rate = ratio(result, mine, other, Figure.RATE)
    if rate is not None:
        disturbed = max(foreign(result, mine), foreign(result, other)) > FOREIGN
        yield Judged(what, rate, ratio(result, other, mine, Figure.CPU), target, disturbed)


def explain_tunnel(result: Result) -> tuple[str, ...]:
    """The tunnel beside the VPC network on the path where they differ, and the vendor's figure beside ours."""
    tunnel, vpc = (Cell(model, Path.OTHER, Measure.TCP_1) for model in ("tunnel", "vpc"))
    found = ratio(result, tunnel, vpc, Figure.RATE)
    facts = {item.subject: item for item in result.facts if item.path is Path.OTHER}
    if found is None or not {"tunnel", "vpc"} <= facts.keys():
        return ()
    loss = 1 - found.median
    inside = VENDOR_LOSS[0] <= loss <= VENDOR_LOSS[1]
    agrees = ", and so it is here" if inside else ""
    first = (
        f"tunnel carries {found.median:.2f} ({found.low:.2f}-{found.high:.2f}) of what vpc carries to the other node: "
        f"{abs(loss):.0%} {'less' if loss >= 0 else 'more'}; the vendor says 5-15 % less{agrees}."
    )
    said = [first]
    latency = ratio(
        result, Cell("tunnel", Path.OTHER, Measure.LATENCY), Cell("vpc", Path.OTHER, Measure.LATENCY), Figure.P50
    )
    if latency is not None:
        said.append(f"Its latency (p50) is x{latency.median:.2f} of vpc's.")
    if not inside:
        said.append(_why_not(result, facts["tunnel"], facts["vpc"], loss))
    return tuple(said)


def _why_not(result: Result, tunnel: Facts, vpc: Facts, loss: float) -> str:
    mtus = {item.subject: item.client_mtu for item in result.conditions.subjects}
    by_headers = 1 - payload_share(tunnel, mtus["tunnel"]) / payload_share(vpc, mtus["vpc"])
    more = "more" if loss > VENDOR_LOSS[1] else "less"
    return (
        f"Why {more}: {tunnel.header_bytes} header bytes alone make {by_headers:.1%}. The rest is work by the packet: "
        f"look-ups (x{tunnel.passes:g} in tunnel, x{vpc.passes:g} in vpc for each packet and switch), and the "
        f"switches' own wrapping, which has no device to help it on the {_datapath(result)} datapath."
    )


def _datapath(result: Result) -> str:
    return result.conditions.subjects[0].datapath
