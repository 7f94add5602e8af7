"""What a path is made of, as seen: traces of a first connection, frames of a real one, passes through the switches."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from itertools import groupby

from testbed.emulation.errors import EmulationError
from testbed.emulation.jsonrpc import JsonRpc, JsonRpcError
from testbed.emulation.rundir import RunDir
from testbed.observe import probes
from testbed.observe.captures import Capture, Place, capturing, decode
from testbed.observe.trace.results import Hop, HopKind, Question, Trace, Way
from testbed.observe.trace.tracer import Tracer
from testbed.observe.verdicts import Verdict
from testbed.perf.results import Facts, Path
from testbed.perf.subjects import Site, Subject

_TIMEOUT = 10.0
_PASSES = re.compile(r"packets received: (\d+)\s+packet recirculations: (\d+)")


def trace_path(tracer: Tracer, site: Site) -> tuple[Trace, ...]:
    """A first TCP packet to the path's HTTP port, and the proxy's own if there is one.

    Raises ``EmulationError`` when one would not get through.
    """
    return (_trace(tracer, site), *([_trace(tracer, site.onward)] if site.onward else []))


def _trace(tracer: Tracer, site: Site) -> Trace:
    address = site.target.address
    question = Question(site.client, site.client, str(address), address, "tcp", site.target.ports.http)
    found = tracer.trace(question)
    if found.verdict is not Verdict.ALLOWED or found.back is None:
        raise EmulationError(f"{question}: {found.verdict}, {found.summary}; lab trace says more")
    return found


def read_facts(subject: Subject, path: Path, traces: Sequence[Trace]) -> Facts:
    """Counts of both directions, and what one connection looked like everywhere on its way there."""
    site = subject.sites[path]
    ways = [way for trace in traces for way in (trace.there, trace.back) if way is not None]
    hops = [hop for trace in traces for hop in trace.there.hops]
    before = _passes(subject.rundir, _switches(ways))
    frame, widest, widest_at = _widths(capture_connection(subject.rundir, site, hops), site)
    after = _passes(subject.rundir, _switches(ways))
    return Facts(
        subject=subject.name,
        path=path,
        switches=sum(count_switches(way) for way in ways),
        bridges=sum(hop.kind is HopKind.SWITCH for way in ways for hop in way.hops),
        kernels=sum(hop.kind is HopKind.KERNEL for way in ways for hop in way.hops[1:-1]) + 2 * (len(traces) - 1),
        tables=sum(len(hop.decisions) for way in ways for hop in way.hops if hop.kind is HopKind.SWITCH),
        frame=frame,
        widest=widest,
        widest_at=widest_at,
        passes=_mean_passes(before, after),
    )


def count_switches(way: Way) -> int:
    """Open vSwitch daemons that a packet enters: bridges in a row in one namespace are one entry."""
    places = groupby(way.hops, key=lambda hop: (hop.kind, hop.namespace))
    return sum(kind is HopKind.SWITCH for (kind, _), _ in places)


def capture_connection(rundir: RunDir, site: Site, hops: Sequence[Hop]) -> Capture:
    """One HTTP request seen at every device on the way. Raises ``EmulationError`` when it is not answered."""
    devices = dict.fromkeys(device for hop in hops for device in hop.devices)
    places = [Place(f"{name}/{device}", rundir.namespace(name), device) for name, device in devices]
    with capturing(places) as capture:
        seen = probes.http(rundir.namespace(site.client), site.target.address, site.target.ports.http, timeout=_TIMEOUT)
    if seen.verdict is not Verdict.ALLOWED:
        raise EmulationError(f"{site.client} to {site.target.address}:{site.target.ports.http}: {seen}")
    return capture


def _widths(capture: Capture, site: Site) -> tuple[int, int, str]:
    """Lengths of the connection's first frame: at the client, and where it is longest."""
    first: dict[str, int] = {}
    for place, at, data in capture.raw:
        frame = decode(place.name, at, data)
        if frame is not None and frame.flattened[-1].protocol == "TCP":
            first.setdefault(place.name, len(data))
    at_client = next((length for place, length in first.items() if place.startswith(f"{site.client}/")), 0)
    if not at_client:
        raise EmulationError(f"no frame of the connection was seen at {site.client}")
    widest = max(first.values())
    return at_client, widest, next(place for place, length in first.items() if length == widest)


def _switches(ways: Sequence[Way]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(hop.namespace for way in ways for hop in way.hops if hop.kind is HopKind.SWITCH))


def _passes(rundir: RunDir, namespaces: Sequence[str]) -> tuple[int, int]:
    """(packets received, recirculations) of the userspace datapaths so far; noughts with the kernel's."""
    received, recirculated = 0, 0
    for namespace in namespaces:
        found = None
        with JsonRpc(rundir.ovs_control(namespace)) as control, suppress(JsonRpcError):
            found = _PASSES.search(str(control.call("dpif-netdev/pmd-stats-show")))
        if found:
            received, recirculated = received + int(found[1]), recirculated + int(found[2])
    return received, recirculated


def _mean_passes(before: tuple[int, int], after: tuple[int, int]) -> float:
    """Passes through a switch's flow cache for each packet that it receives; nought when that is not counted."""
    received = after[0] - before[0]
    return round(1 + (after[1] - before[1]) / received, 2) if received > 0 else 0.0
