"""The same hops on plain bridges: what forwarding costs when nothing is decided.

Which bridges and ports a path uses is taken from the traces of the model's running lab; each of these bridges gets one
rule for each receiver: what came in here for this MAC goes out there, with the tag that it has on that wire in the
model, as a switch does that connects access ports with a trunk. The pods know each other's MAC, so nothing else is
rewritten on the way.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.emulation.errors import EmulationError
from testbed.emulation.processes import run_in
from testbed.model.wiring import Bridge, PortKind, Wiring
from testbed.observe.trace.results import HopKind, Trace, Way
from testbed.perf.subjects import Subject

_LIMIT = 15.0
_VLAN_PRESENT = 0x1000
"""OpenFlow's bit of ``vlan_vid`` that says there is a tag."""


@dataclass(frozen=True, slots=True, order=True)
class Rule:
    """``bridge`` is ``n1/br-int``; ports are numbers, tags VLANs or 0 for none."""

    bridge: str
    in_port: int
    in_tag: int
    receiver: str
    out_port: int
    out_tag: int

    def __str__(self) -> str:
        tag = f"dl_vlan={self.in_tag or '0xffff'}"
        actions = ",".join((*self._retag(), f"output:{'in_port' if self.out_port == self.in_port else self.out_port}"))
        return f"priority=1,in_port={self.in_port},{tag},dl_dst={self.receiver},actions={actions}"

    def _retag(self) -> Iterator[str]:
        if self.out_tag == self.in_tag:
            return
        if not self.out_tag:
            yield "pop_vlan"
            return
        if not self.in_tag:
            yield "push_vlan:0x8100"
        yield f"set_field:{_VLAN_PRESENT | self.out_tag}->vlan_vid"


@dataclass(frozen=True, slots=True)
class Neighbour:
    """In ``namespace``, ``address`` is on the link and has ``mac``."""

    namespace: str
    address: IPv4Address
    mac: str


def plan_rules(way: Way, wiring: Wiring) -> tuple[Rule, ...]:
    """One rule for each bridge of a way. Raises ``EmulationError`` for a way that a kernel in between forwards."""
    hops = way.hops[1:-1]
    if strange := [hop.where for hop in hops if hop.kind is not HopKind.SWITCH]:
        raise EmulationError(f"plain bridges can't stand for the kernel of {', '.join(strange)}")
    bridges = {f"{item.namespace}/{bridge.name}": bridge for item in wiring.switches for bridge in item.bridges}
    return tuple(
        Rule(
            hop.where,
            _port(bridges[hop.where], hop.entered),
            hop.before.vlan or 0,
            way.packet.eth_dst,
            _port(bridges[hop.where], hop.left),
            hop.after.vlan or 0,
        )
        for hop in hops
    )


def _port(bridge: Bridge, device: str) -> int:
    """The number of a port; a hop without a device name came or went by the patch port."""
    found = [port.number for port in bridge.ports if port.interface == device]
    found = found or [port.number for port in bridge.ports if not device and port.kind is PortKind.PATCH]
    if len(found) != 1:
        raise EmulationError(f"{bridge.name} has no port {device or 'to the other bridge'}")
    return found[0]


def plan_neighbours(there: Way, back: Way, client: str) -> Iterator[Neighbour]:
    yield Neighbour(client, there.packet.destination, there.packet.eth_dst)
    yield Neighbour(there.host, back.packet.destination, back.packet.eth_dst)


def apply_trace(subject: Subject, trace: Trace) -> None:
    """Rules and neighbours for both directions of a path. Raises ``EmulationError`` when a switch refuses."""
    if trace.back is None:
        raise EmulationError(f"{trace.question}: nothing comes back")
    apply_rules(subject, (*plan_rules(trace.there, subject.wiring), *plan_rules(trace.back, subject.wiring)))
    apply_neighbours(subject, plan_neighbours(trace.there, trace.back, trace.question.source))


def apply_rules(subject: Subject, rules: Iterable[Rule]) -> None:
    for rule in sorted(set(rules)):
        namespace, _, bridge = rule.bridge.partition("/")
        socket = subject.rundir.ovs(namespace) / f"{bridge}.mgmt"
        _run(("ovs-ofctl", "-O", "OpenFlow14", "add-flow", f"unix:{socket}", str(rule)))


def apply_neighbours(subject: Subject, neighbours: Iterable[Neighbour]) -> None:
    for item in neighbours:
        address = f"{item.address}/32"
        for command in (
            ("ip", "route", "replace", address, "dev", "eth0"),
            ("ip", "neigh", "replace", str(item.address), "lladdr", item.mac, "dev", "eth0", "nud", "permanent"),
        ):
            done = run_in(subject.rundir, item.namespace, command)
            if done.returncode:
                raise EmulationError(f"{' '.join(command)} in {item.namespace}: {done.stderr.strip()}")


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT, check=False)
    if done.returncode:
        raise EmulationError(f"{' '.join(command)}: {done.stderr.strip()}")
