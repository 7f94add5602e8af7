"""A real packet beside a trace: sent as asked, and looked for at every place that the trace says it passes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from testbed.emulation.rundir import RunDir
from testbed.observe import probes
from testbed.observe.captures import Capture, Frame, Place, capturing
from testbed.observe.probes import Seen
from testbed.observe.trace.packet import Packet
from testbed.observe.trace.results import Hop, Question, Request, Trace, Way
from testbed.observe.verdicts import Verdict

TIMEOUT = 1.5


@dataclass(frozen=True, slots=True)
class Sighting:
    """Whether the packet was seen at a device that it was said to pass, and as what."""

    namespace: str
    device: str
    seen: bool
    frame: str = ""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """``differences``: what was otherwise than traced, a line each."""

    seen: Seen
    agrees: bool
    there: tuple[Sighting, ...]
    back: tuple[Sighting, ...]
    differences: tuple[str, ...]


def confirm(rundir: RunDir, trace: Trace) -> tuple[Trace, Confirmation]:
    """Send what was asked about, and compare. The trace that comes back is that of the choices really made.

    Raises ``OSError`` for a namespace that is gone.
    """
    candidates = tuple(_each_server((trace, *trace.others)))
    devices = dict.fromkeys(device for one in candidates for device in _devices(one) if device[1] != "lo")
    places = [Place(f"{namespace}/{device}", rundir.namespace(namespace), device) for namespace, device in devices]
    with capturing(places, settle=0.1) as capture:
        seen = _send(rundir, trace.question)
    compared = [(one, _compare(one, seen, capture)) for one in candidates]
    found, confirmation = min(compared, key=lambda pair: len(pair[1].differences))
    if found.relay is not None:
        return found, confirmation
    return replace(found, others=tuple(one for one in candidates if one is not found)), confirmation


def _each_server(traces: Sequence[Trace]) -> Iterator[Trace]:
    """A proxy asks one of its servers: each is a way that the request may have gone."""
    for trace in traces:
        if trace.relay is None or not trace.relay.servers:
            yield trace
            continue
        for server in trace.relay.servers:
            rest = tuple(one for one in trace.relay.servers if one is not server)
            for way in (server, *server.others):
                yield replace(trace, relay=replace(trace.relay, servers=(way, *rest)))


def _ways(trace: Trace) -> tuple[Way, ...]:
    """There and back, and the same of what a proxy asked."""
    asked = trace.relay.servers[:1] if trace.relay else ()
    return tuple(way for one in (trace, *asked) for way in (one.there, one.back) if way)


def _devices(trace: Trace) -> list[tuple[str, str]]:
    return [device for way in _ways(trace) for hop in way.hops for device in hop.devices]


def _compare(trace: Trace, seen: Seen, capture: Capture) -> Confirmation:
    there = _sightings(capture, trace.there)
    back = _sightings(capture, trace.back) if trace.back else ()
    relayed = [one for way in _ways(trace)[2:] for one in _sightings(capture, way)] if trace.relay else []
    differences = tuple(_differences(trace, seen, (*there, *relayed), back))
    return Confirmation(seen, not differences, there, back, differences)


def _send(rundir: RunDir, question: Question) -> Seen:
    namespace = rundir.namespace(question.namespace)
    if question.request is not None:
        return _ask(namespace, question, question.request)
    if question.protocol == "icmp":
        return probes.ping(namespace, question.address, TIMEOUT)
    if question.protocol == "tcp":
        return probes.tcp(namespace, question.address, question.port, TIMEOUT)
    return probes.udp(namespace, question.address, question.port, TIMEOUT, payload=probes.ANY_QUESTION)


def _ask(namespace: Path, question: Question, request: Request) -> Seen:
    """A request; an answer of the proxy itself says no as a refusal does."""
    seen = probes.http(namespace, question.address, question.port, request.path, request.host, TIMEOUT)
    words = seen.detail.split(" ")
    if seen.verdict is Verdict.ALLOWED and not seen.server and len(words) > 1 and words[1] in ("404", "503"):
        return replace(seen, verdict=Verdict.REFUSED)
    return seen


def _sightings(capture: Capture, way: Way) -> tuple[Sighting, ...]:
    found: dict[tuple[str, str], Sighting] = {}
    for hop in way.hops:
        for (namespace, device), packet in _expected(hop):
            if device == "lo" or (namespace, device) in found:
                continue
            frames = [frame for frame in capture.at(f"{namespace}/{device}") if _is_it(frame, packet)]
            text = str(frames[0]) if frames else ""
            found[namespace, device] = Sighting(namespace, device, bool(frames), text)
    return tuple(found.values())


def _expected(hop: Hop) -> list[tuple[tuple[str, str], Packet]]:
    packets = []
    if hop.entered:
        packets.append(((hop.namespace, hop.entered), hop.before))
    if hop.left:
        packets.append(((hop.namespace, hop.left), hop.after))
    return packets


def _is_it(frame: Frame, packet: Packet) -> bool:
    """By addresses and the port that is no choice of the sender's; the choices themselves can't be known before."""
    if (frame.source, frame.destination) != (str(packet.source), str(packet.destination)):
        return False
    if frame.protocol.lower() != packet.protocol:
        return False
    if packet.inner is not None:
        return frame.inner is not None and _is_it(frame.inner, packet.inner)
    known = {packet.source_port, packet.destination_port} - {_CHOSEN}
    return packet.protocol == "icmp" or not known or bool(known & {frame.source_port, frame.destination_port})


_CHOSEN = 40000


def _differences(trace: Trace, seen: Seen, there: Sequence[Sighting], back: Sequence[Sighting]) -> list[str]:
    found = []
    if seen.verdict is not trace.verdict:
        found.append(f"the trace says {trace.verdict}, the packet was {seen.verdict}")
    for title, sightings in (("there", there), ("back", back)):
        found += [f"{title}: not seen at {one.namespace}/{one.device}" for one in sightings if not one.seen]
    return found
