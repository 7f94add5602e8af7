"""``lab capture``: frames by the names of objects."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from threading import Event

import click

from testbed.cli.choosing import chosen_lab
from testbed.cli.completing import complete_hosts
from testbed.cli.options import OutputFile, lab_option
from testbed.cli.output import show
from testbed.observe.captures import decode
from testbed.observe.sniffing import Sniffed, compile_filter, sniff
from testbed.observe.spots import Map, Spot
from testbed.observe.status import View
from testbed.observe.subjects import Subject, find_subjects, names_of_addresses
from testbed.operations.errors import BadRequestError, OperationError
from testbed.report.frames import describe_frame, render_frame


@click.command()
@click.argument("objects", nargs=-1, required=True, shell_complete=complete_hosts)
@click.option("--at", "where", type=click.Choice(["object", "every-hop"]), default="object",
              help="The objects' own interfaces, or each place between them and the cloud.")  # fmt: skip
@click.option("-o", "--output", type=OutputFile(), help="Write a pcapng file.")
@click.option("--text", is_flag=True, help="Print each frame, decoded, with names; so without a file.")
@click.option("--count", type=click.IntRange(1), help="Stop after so many frames.")
@click.option("--seconds", type=click.FloatRange(0.1), help="Stop after this time; Ctrl-C stops at any time.")
@click.option("--filter", "expression", default="", help="Which frames, in tcpdump's language: 'tcp port 80'.")
@click.option("--all", "everything", is_flag=True, help="At shared places, frames of others as well.")
@click.option("-n", "--namespace", default="default", help="Of pods and Services; default if not given.")
@lab_option
def capture(
    objects: tuple[str, ...],
    where: str,
    output: str | None,
    text: bool,
    count: int | None,
    seconds: float | None,
    expression: str,
    everything: bool,
    namespace: str,
) -> None:
    """Capture frames of OBJECTS (pods, nodes, servers, hosts, Services, or places such as n1/eth0), until Ctrl-C.

    With --at every-hop at each place from the object to the cloud; where packets of others pass as well, only frames
    with an address of the objects are kept. The file has one interface for each place, with comments that name the
    objects; Wireshark and tcpdump read it.

    \b
    Example:
      lab capture web-0 --text --count 10
      lab capture web-0 vm-1 --at every-hop -o way.pcapng --seconds 10
      lab capture svc/web --at every-hop --text --filter 'tcp port 8080'
    """
    view = View(chosen_lab())
    subjects, spots = _find(view, objects, where, namespace)
    program = compile_filter(expression) if expression else b""
    names = names_of_addresses(view)
    wanted = _wanted(spots, {address for one in subjects for address in one.addresses}, everything)
    click.echo(f"capturing at {', '.join(spot.place.name for spot in spots)}; Ctrl-C stops", err=True)
    with _stopped_by_signals() as stopped:
        frames = sniff([spot.place for spot in spots], program, _finished(stopped, count, seconds), wanted)
        if text or output is None:
            frames = _shown(frames, names, max(len(spot.place.name) for spot in spots))
        if output is None:
            seen = sum(1 for _ in frames)
        else:
            seen = _write(output, spots, frames, f"lab {view.rundir.lab}: {' '.join(objects)}", names)
    places = f"{len(spots)} place{'s' * (len(spots) != 1)}"
    click.echo(
        f"{seen} frame{'s' * (seen != 1)} at {places}{f', in {output}' if output else ''}{_if_none(seen)}", err=True
    )


def _if_none(seen: int) -> str:
    return "" if seen else "; send something meanwhile, from another terminal: lab exec POD -- ping -c 3 ADDRESS"


def _finished(stopped: Event, count: int | None, seconds: float | None) -> Callable[[int], bool]:
    end = time.monotonic() + seconds if seconds is not None else None

    def finished(seen: int) -> bool:
        enough = count is not None and seen >= count
        return stopped.is_set() or enough or (end is not None and time.monotonic() > end)

    return finished


def _find(view: View, words: Sequence[str], where: str, namespace: str) -> tuple[list[Subject], list[Spot]]:
    if view.state is None:
        raise OperationError(f"lab {view.rundir.lab} has no state; lab down --lab {view.rundir.lab}")
    places = Map(view.rundir, view.state.wiring)
    hosts = {one.name for one in view.state.wiring.namespaces}
    subjects: list[Subject] = []
    spots: list[Spot] = []
    for word in words:
        if word.partition("/")[0] in hosts and "/" in word:
            spots.append(places.at(word))
            continue
        found = find_subjects(view, word, namespace)
        subjects += found
        for subject in found:
            spots += places.every_hop(subject) if where == "every-hop" else places.own(subject)
    if not spots:
        raise BadRequestError(f"{' '.join(words)} has no interface to capture at")
    return subjects, _without_repetition(spots)


def _without_repetition(spots: Sequence[Spot]) -> list[Spot]:
    """A place that is one object's own and another's way is not shared."""
    found: dict[str, Spot] = {}
    for spot in spots:
        known = found.get(spot.place.name)
        if known is None or (known.shared and not spot.shared):
            found[spot.place.name] = spot
    return list(found.values())


def _wanted(spots: Sequence[Spot], addresses: set[IPv4Address], everything: bool) -> Callable[[Sniffed], bool]:
    shared = {spot.place.name for spot in spots if spot.shared}
    texts = {str(address) for address in addresses}

    def wanted(frame: Sniffed) -> bool:
        if everything or frame.place.name not in shared:
            return True
        decoded = decode(frame.place.name, frame.at, frame.data)
        return decoded is not None and any({one.source, one.destination} & texts for one in decoded.flattened)

    return wanted


@contextmanager
def _stopped_by_signals() -> Iterator[Event]:
    """Ctrl-C is how a capture ends that has no other end: what was seen is kept, and the file is whole."""
    stopped = Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: stopped.set()) for number in numbers}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _shown(frames: Iterator[Sniffed], names: dict[IPv4Address, str], width: int) -> Iterator[Sniffed]:
    first = 0.0
    for frame in frames:
        first = first or frame.at
        decoded = decode(frame.place.name, frame.at, frame.data)
        if decoded is not None:
            show(render_frame(decoded, names, first, width, frame.leaving))
            sys.stdout.flush()
        yield frame


def _write(
    path: str, spots: Sequence[Spot], frames: Iterator[Sniffed], title: str, names: dict[IPv4Address, str]
) -> int:
    from testbed.observe.pcapng import write_pcapng

    def comment(frame: Sniffed) -> str:
        decoded = decode(frame.place.name, frame.at, frame.data)
        return f"{frame.place.name}: {describe_frame(decoded, names)}" if decoded else ""

    return write_pcapng(Path(path), spots, frames, title, comment)
