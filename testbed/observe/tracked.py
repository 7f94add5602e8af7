"""Tracked connections of a switch and of a node's own kernel, with names for zones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.emulation.conntrack import DUMP, Side, parse_entry, parse_side
from testbed.emulation.errors import EmulationError
from testbed.emulation.processes import run_in
from testbed.emulation.state import Datapath
from testbed.observe.flows import silent
from testbed.observe.status import View
from testbed.observe.trace.switches import Switch
from testbed.observe.zones import zone_names

_ICMP = ("icmp", "icmpv6")


@dataclass(frozen=True, slots=True)
class TrackedConnection:
    """``sent`` as its opener sends, ``answered`` as its answers come: where these differ it is translated.

    ``zone`` is the zone's name, ``state`` TCP's ("" for others).
    """

    where: str
    zone: str
    protocol: str
    sent: Side
    answered: Side
    state: str = ""
    mark: int = 0

    @property
    def translation(self) -> tuple[Side, Side] | None:
        """(as sent, as it goes on), None where nothing is translated."""
        onward = Side(
            self.answered.destination,
            self.answered.source,
            self.answered.destination_port,
            self.answered.source_port,
        )
        if self.protocol in _ICMP:
            same = (self.sent.source, self.sent.destination) == (onward.source, onward.destination)
        else:
            same = self.sent == onward
        return None if same else (self.sent, onward)

    @property
    def addresses(self) -> set[IPv4Address]:
        return {self.sent.source, self.sent.destination, self.answered.source, self.answered.destination}


def read_tracked(view: View, namespace: str) -> Iterator[TrackedConnection]:
    """Of the switch there, and of the kernel where that tracks by itself. Raises ``EmulationError``."""
    yield from parse_tracked(_dump(view, namespace), namespace, zone_names(view, namespace))
    if view.state is not None and view.state.datapath is Datapath.USERSPACE and _has_firewall(view, namespace):
        done = run_in(view.rundir, namespace, ("conntrack", "-L"), 10.0)
        yield from parse_kernel(done.stdout, namespace)


def _dump(view: View, namespace: str) -> str:
    switch = Switch(view.rundir, namespace)
    try:
        return switch.call(DUMP)
    except EmulationError as error:
        raise silent(f"the Open vSwitch of {namespace}", str(error)) from error
    finally:
        switch.close()


def _has_firewall(view: View, namespace: str) -> bool:
    assert view.state is not None
    return any(one.namespace == namespace for one in view.state.wiring.firewalls)


def parse_tracked(text: str, where: str, names: dict[int, str]) -> Iterator[TrackedConnection]:
    """``ovs-appctl dpctl/dump-conntrack``."""
    for entry in filter(None, map(parse_entry, text.splitlines())):
        zone = names.get(entry.zone, str(entry.zone))
        yield TrackedConnection(where, zone, entry.protocol, entry.sent, entry.answered, entry.state, entry.mark)


def parse_kernel(text: str, where: str) -> Iterator[TrackedConnection]:
    """``conntrack -L``: each pair of addresses and ports twice, as sent and as answered."""
    for line in text.splitlines():
        words = line.split()
        fields = [word for word in words if "=" in word]
        second = [number for number, word in enumerate(fields) if word.startswith("src=")][1:]
        if not second or "zone=" in line:
            continue
        state = words[3] if words[0] == "tcp" else ""
        sent, answered = parse_side(fields[: second[0]]), parse_side(fields[second[0] :])
        yield TrackedConnection(where, "kernel", words[0], sent, answered, state)
