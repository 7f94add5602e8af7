"""One packet's way through the lab: kernels and switches in turn, each asked for its part.

web-0's kernel -> veth -> br-int of n1 -> patch -> br-ex -> veth -> vpc -> veth -> vm-1's kernel
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address

from testbed.observe.trace.at_kernel import KernelHop
from testbed.observe.trace.at_switch import pass_switch
from testbed.observe.trace.machine import Machine
from testbed.observe.trace.packet import ARP_REPLY, ARP_REQUEST, BROADCAST, Packet, answer_arp, ask_arp
from testbed.observe.trace.places import AtKernel, AtSwitch, End, OnWire, Passed, Place
from testbed.observe.trace.results import Hop, Outcome, Way
from testbed.observe.trace.ruleset import Context, judge
from testbed.observe.trace.tracking import Connections

MOST_HOPS = 60

FIRST_CHOICE = 1
ENOUGH = 16
"""So many hashes in a row without a new choice: a select group with few buckets has shown all of them."""

MOST_HASHES = 256
"""Open vSwitch tells no more of them apart."""


@dataclass
class Walk:
    """The packets of one connection; ``neighbours`` is shared by all of a lab's.

    ``choices`` are hashes, one for each switch on the way that chooses among several ways on; what a real packet has
    can't be known. Past the last of them the first way is taken. ``taken`` are those that were used, ``options`` (as
    long) the hashes that would have led elsewhere, none where the choice was given.
    """

    machine: Machine
    neighbours: dict[tuple[str, str, IPv4Address], tuple[str, str]]
    connections: Connections = field(default_factory=Connections)
    warnings: list[str] = field(default_factory=list)
    choices: tuple[int, ...] = ()
    taken: list[int] = field(default_factory=list)
    options: list[tuple[int, ...]] = field(default_factory=list)

    def send(self, namespace: str, packet: Packet) -> Way:
        """A packet that a program, or the kernel itself, sends from ``namespace``."""
        return self._follow(AtKernel(namespace, ""), packet)

    def _follow(self, place: Place, packet: Packet) -> Way:
        hops: list[Hop] = []
        while not isinstance(place, End):
            if len(hops) > MOST_HOPS:
                place = End(Outcome.DROPPED, hops[-1].namespace, "it goes round in circles")
                break
            passed = self._pass(place, packet)
            hops += passed.hops
            place, packet = passed.place, passed.packet
        return Way(tuple(hops), place.outcome, packet, place.namespace, place.reason, place.device)

    def _pass(self, place: Place, packet: Packet) -> Passed:
        match place:
            case OnWire():
                return Passed((), self._other_end(place), packet)
            case AtSwitch():
                return self._pass_switch(place, packet)
            case AtKernel() if packet.is_arp:
                return self._hear_arp(place, packet)
            case AtKernel():
                return KernelHop(self.machine, self.connections, self.warnings, place, self.neighbour).run(packet)
        raise AssertionError(place)

    def _pass_switch(self, place: AtSwitch, packet: Packet) -> Passed:
        if place.namespace in self.machine.view.dead_switches:
            reason = f"the Open vSwitch of {place.namespace} does not run; `lab status` says more"
            return Passed((), End(Outcome.DROPPED, place.namespace, reason), packet)
        given = len(self.taken) < len(self.choices)
        choice = self.choices[len(self.taken)] if given else FIRST_CHOICE
        before = self.connections.copy()
        passed = pass_switch(self.machine, self.connections, place, packet, choice)
        if passed.chosen:
            self.taken.append(choice)
            self.options.append(() if given else self._elsewhere(before, place, packet, passed))
        return passed

    def _elsewhere(self, before: Connections, place: AtSwitch, packet: Packet, first: Passed) -> tuple[int, ...]:
        """Hashes by which the switch would have sent the packet on otherwise than ``first``, one for each way."""
        found = {(first.place, first.packet): FIRST_CHOICE}
        last_new = FIRST_CHOICE
        for choice in range(FIRST_CHOICE + 1, MOST_HASHES):
            if choice > last_new + ENOUGH:
                break
            passed = pass_switch(self.machine, before.copy(), place, packet, choice)
            if (passed.place, passed.packet) not in found:
                found[passed.place, passed.packet] = last_new = choice
        return tuple(found.values())[1:]

    def _other_end(self, wire: OnWire) -> Place:
        switches = self.machine.switches
        here = (wire.namespace, wire.device)
        if wire.device == "lo":
            return AtKernel(wire.namespace, "lo")
        there = switches.peers.get(here, here)
        if there in switches.attachments:
            bridge, number = switches.attachments[there]
            return AtSwitch(there[0], bridge, number, there[1])
        if there == here:
            return End(Outcome.DROPPED, wire.namespace, f"{wire.device} leads nowhere", wire.device)
        return AtKernel(*there)

    # ARP ---------------------------------------------------------------------------------------------------

    def neighbour(self, namespace: str, device: str, target: IPv4Address, source: IPv4Address) -> tuple[str, str]:
        """The MAC that answers for ``target`` on ``device``'s link, or ("", why nobody does).

        The question itself is walked through the lab: switches answer it by their own flows.
        """
        key = (namespace, device, target)
        if key not in self.neighbours:
            kernel = self.machine.kernel(namespace)
            asked = source if kernel.route(source).local else kernel.route(target, oif=device).source or source
            question = ask_arp(kernel.mac(device), asked, target)
            way = self._follow(OnWire(namespace, device), question)
            came_back = way.outcome is Outcome.DELIVERED and way.host == namespace and way.packet.icmp_type == ARP_REPLY
            self.neighbours[key] = (way.packet.arp_sha, "") if came_back else ("", way.reason or "nobody answers")
        return self.neighbours[key]

    def _hear_arp(self, place: AtKernel, packet: Packet) -> Passed:
        kernel = self.machine.kernel(place.namespace)
        mine = packet.eth_dst in (BROADCAST, kernel.mac(place.device))
        if not mine:
            return _deaf(place, packet, "addressed to another MAC")
        if place.namespace in self.machine.firewalled:
            judged = judge(kernel.ruleset, "input", ("filter",), packet, Context(iif=place.device))
            if judged.verdict != "accept":
                return _deaf(place, packet, f"{place.namespace}'s kernel: {judged.rules[-1]}")
        if packet.icmp_type != ARP_REQUEST:
            return Passed((), End(Outcome.DELIVERED, place.namespace, device=place.device), packet)
        if not kernel.route(packet.destination).local:
            return _deaf(place, packet, f"{place.namespace} does not have {packet.destination}")
        answer = answer_arp(packet, kernel.mac(place.device))
        return Passed((), OnWire(place.namespace, place.device), answer)


def _deaf(place: AtKernel, packet: Packet, reason: str) -> Passed:
    return Passed((), End(Outcome.DROPPED, place.namespace, reason, place.device), packet)
