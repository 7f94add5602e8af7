"""A packet in the network stack of a host: made there, delivered there, or forwarded; each step asked of the kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from ipaddress import IPv4Address

from testbed.observe.trace.kernels import Kernel, RouteAnswer
from testbed.observe.trace.machine import Machine
from testbed.observe.trace.packet import TUNNEL_PORT, Packet, changes
from testbed.observe.trace.places import AtKernel, AtSwitch, End, OnWire, Passed, Place
from testbed.observe.trace.results import Decision, Hop, HopKind, Outcome
from testbed.observe.trace.ruleset import Context, Judgement, judge
from testbed.observe.trace.tracking import Connections, translate_to

Neighbour = Callable[[str, str, IPv4Address, IPv4Address], tuple[str, str]]

_STATES = {"new": "new", "est": "established", "rel": "related", "inv": "invalid"}
_BEFORE_CONNTRACK, _BEFORE_DNAT, _AFTER_DNAT = (-1000, -201), (-199, -101), (-99, 1000)
_BEFORE_SNAT, _AFTER_SNAT = (-1000, 99), (101, 1000)
"""Priorities of a hook's chains before and after what conntrack and translation do there."""


class _EndedError(Exception):
    """The packet goes no further here."""

    def __init__(self, place: Place) -> None:
        self.place = place


@dataclass
class KernelHop:
    """One pass through one kernel."""

    machine: Machine
    connections: Connections
    warnings: list[str]
    at: AtKernel
    neighbour: Neighbour
    decisions: list[Decision] = field(default_factory=list)
    state: str = "untracked"
    _source: tuple[IPv4Address, int] | None = None

    @property
    def name(self) -> str:
        return self.at.namespace

    @cached_property
    def kernel(self) -> Kernel:
        return self.machine.kernel(self.name)

    @property
    def has_rules(self) -> bool:
        return self.name in self.machine.firewalled

    def run(self, packet: Packet) -> Passed:
        before = packet
        try:
            packet, place = self._receive(packet) if self.at.device else self._make(packet)
        except _EndedError as ended:
            place = ended.place
        left = place.device if isinstance(place, OnWire) else ""
        hop = Hop(self.name, HopKind.KERNEL, self.at.device, left, tuple(self.decisions), before, packet, self.name)
        return Passed((hop,), place, packet)

    # from outside ------------------------------------------------------------------------------------------

    def _receive(self, packet: Packet) -> tuple[Packet, Place]:
        device = self.at.device
        if device != "lo" and packet.eth_dst != self.kernel.mac(device):
            self._end(f"addressed to MAC {packet.eth_dst}, {device} of {self.name} is {self.kernel.mac(device)}")
        first = packet
        packet = self._prerouting(packet)
        if device == "lo":  # what loops is local: the way that it was sent by is kept, none is looked up
            return self._deliver(first, packet)
        route = self.kernel.route(packet.destination, packet.source, iif=device)
        if route.refusal:
            self._end(f"no way on: {route.refusal}", f"from {packet.source} to {packet.destination}")
        if route.local:
            return self._deliver(first, packet)
        self._tell("route", f"{packet.destination} by {route.route}")
        packet = self._filter("forward", packet, Context(device, route.device, self.state))
        if packet.ttl <= 1:
            self._end("its time to live is over")
        return self._send_out(first, replace(packet, ttl=packet.ttl - 1, vlan=None), route)

    def _prerouting(self, packet: Packet) -> Packet:
        if not self.has_rules:
            return packet
        context = Context(iif=self.at.device)
        packet = self._filter("prerouting", packet, context, _BEFORE_CONNTRACK)
        packet = self._track(packet)
        context = replace(context, state=self.state)
        packet = self._filter("prerouting", packet, context, _BEFORE_DNAT)
        packet = self._translate("prerouting", packet, context)
        return self._filter("prerouting", packet, context, _AFTER_DNAT)

    def _deliver(self, first: Packet, packet: Packet) -> tuple[Packet, Place]:
        context = Context(iif=self.at.device, state=self.state)
        packet = self._filter("input", packet, context)
        packet = self._translate("input", packet, context)
        self._remember(first, packet)
        if packet.inner is not None and packet.destination_port == TUNNEL_PORT:
            port = self.machine.switches[self.name].tunnel_port()
            if port is not None:
                self._tell("tunnel", "VXLAN taken off")
                return packet.inner, AtSwitch(self.name, port.bridge, port.number, "")
        self._tell("deliver", f"{packet.destination} is {self.name}'s own")
        return packet, End(Outcome.DELIVERED, self.name, device=self.at.device)

    # made here ---------------------------------------------------------------------------------------------

    def _make(self, packet: Packet) -> tuple[Packet, Place]:
        """``packet`` may have 0.0.0.0 as its source: then the kernel chooses one."""
        route = self._route_out(packet)
        if not int(packet.source):
            packet = replace(packet, source=route.source or packet.destination)
        first = packet
        if self.has_rules:
            packet = self._filter("output", packet, Context(oif=route.device), _BEFORE_CONNTRACK)
            packet = self._track(packet)
            context = Context(oif=route.device, state=self.state)
            packet = self._filter("output", packet, context, _BEFORE_DNAT)
            packet = self._translate("output", packet, context)
            packet = self._filter("output", packet, context, _AFTER_DNAT)
            if packet.destination != first.destination:
                route = self._route_out(packet)
        if route.local:
            self._tell("route", f"{packet.destination} is {self.name}'s own")
            return packet, OnWire(self.name, "lo")
        return self._send_out(first, packet, route)

    def _route_out(self, packet: Packet) -> RouteAnswer:
        route = self.kernel.route(packet.destination)
        if route.refusal:
            self.decisions.append(Decision("route", f"{packet.destination}: {route.refusal}"))
            raise _EndedError(End(Outcome.NOT_SENT, self.name, f"{self.name} has {route.refusal}"))
        if not route.local:
            self._tell("route", f"{packet.destination} by {route.route}")
        return route

    def _send_out(self, first: Packet, packet: Packet, route: RouteAnswer) -> tuple[Packet, Place]:
        context = Context(self.at.device, route.device, self.state)
        if self.has_rules:
            packet = self._filter("postrouting", packet, context, _BEFORE_SNAT)
            packet = self._translate("postrouting", packet, context)
            packet = self._filter("postrouting", packet, context, _AFTER_SNAT)
            self._remember(first, packet)
        hop = route.gateway or packet.destination
        mac, why = self.neighbour(self.name, route.device, hop, packet.source)
        if not mac:
            self._end(f"nobody answers ARP for {hop} on {route.device}: {why}")
        self._tell("neighbour", f"{hop} is at {mac}", notable=False)
        packet = replace(packet, eth_src=self.kernel.mac(route.device), eth_dst=mac)
        return packet, OnWire(self.name, route.device)

    # rules and conntrack -----------------------------------------------------------------------------------

    def _track(self, packet: Packet) -> Packet:
        seen = self.connections.track(f"{self.name}:kernel", 0, packet, translate=True)
        self.state = _STATES[next(word for word in ("inv", "rel", "est", "new") if word in seen.state)]
        known = {"new": "new connection", "invalid": "in no connection (invalid)"}.get(self.state, "known connection")
        self._tell("conntrack", known, notable=self.state == "invalid")
        if seen.packet.key == packet.key:
            return packet
        # As netfilter does it: the destination before routing, the source after it.
        self._source = (seen.packet.source, seen.packet.source_port)
        turned = replace(seen.packet, source=packet.source, source_port=packet.source_port)
        if moved := changes(packet, turned):
            self._tell("translation", f"{'; '.join(moved)}, as its connection")
        return turned

    def _filter(
        self, hook: str, packet: Packet, context: Context, priorities: tuple[int, int] = (-1000, 1000)
    ) -> Packet:
        if not self.has_rules:
            return packet
        judged = judge(self.kernel.ruleset, hook, ("filter",), packet, context, priorities)
        self._note(judged, packet)
        assert judged.packet is not None
        if judged.verdict == "drop":
            self._end(f"nft {judged.rules[-1]}")
        if judged.verdict == "reject":
            raise _EndedError(End(Outcome.REFUSED, self.name, f"nft {judged.rules[-1]}", self.at.device))
        return judged.packet

    def _translate(self, hook: str, packet: Packet, context: Context) -> Packet:
        if self._source and hook in ("input", "postrouting"):
            turned = replace(packet, source=self._source[0], source_port=self._source[1])
            if moved := changes(packet, turned):
                self._tell("translation", f"{'; '.join(moved)}, as its connection")
            return turned
        if not self.has_rules or self.state != "new":
            return packet
        judged = judge(self.kernel.ruleset, hook, ("nat",), packet, replace(context, state=self.state))
        self._note(judged, packet)
        if not judged.nat:
            return packet
        nat = judged.nat
        if nat == "masquerade":
            nat = f"src={self.kernel.route(packet.destination, oif=context.oif).source}"
        translated, _ = translate_to(packet, nat)
        self._tell("translation", "; ".join(changes(packet, translated)))
        return translated

    def _remember(self, first: Packet, last: Packet) -> None:
        if self.has_rules and self.state == "new":
            self.connections.remember(f"{self.name}:kernel", 0, first, last)

    def _note(self, judged: Judgement, packet: Packet) -> None:
        for rule in judged.rules:
            self._tell("nft", rule)
        if judged.packet is not None and judged.packet != packet:
            self._tell("translation", "; ".join(changes(packet, judged.packet)))
        for rule in judged.unknown:
            self.warnings.append(f"{self.name}: a rule that trace does not understand was passed over: {rule}")

    def _tell(self, what: str, why: str, notable: bool = True) -> None:
        self.decisions.append(Decision(what, why, notable=notable))

    def _end(self, reason: str, detail: str = "") -> None:
        self.decisions.append(Decision("kernel", reason, detail=detail))
        raise _EndedError(End(Outcome.DROPPED, self.name, f"{self.name}'s kernel: {reason}", self.at.device))
