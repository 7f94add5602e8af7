"""What the cloud promises a packet: security groups, route tables, peerings, elastic IPs, NAT gateways. Pure.

A second reading of the same rules that the fabric's controller compiles to flows, on purpose: were it made of those
flows, it could not find them wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address

from testbed.model.desired import Direction, Eni, FabricState, Protocol, SecurityRule
from testbed.observe.matrix.packets import Arrival, DeniedError, Packet, Question, Traffic
from testbed.observe.matrix.routing import Way

__all__ = ["Arrival", "Cloud", "DeniedError", "Packet", "Traffic"]


@dataclass(frozen=True)
class Cloud:
    """The fabric's document, read as promises."""

    state: FabricState

    @cached_property
    def enis(self) -> dict[int, Eni]:
        return {eni.id: eni for eni in self.state.enis}

    @cached_property
    def _by_address(self) -> dict[tuple[int, IPv4Address], Eni]:
        return {(eni.network, eni.address): eni for eni in self.state.enis}

    def connect(self, sender: Eni, source: IPv4Address, destination: IPv4Address, traffic: Traffic) -> Arrival:
        """A question that gets its answer: who answers it, and as what it comes there. Raises ``DeniedError``."""
        there = self.send(sender, source, destination, traffic)
        self.answer(there, sender, destination)
        return there

    def send(self, sender: Eni, source: IPv4Address, destination: IPv4Address, traffic: Traffic) -> Arrival:
        """The first packet of a connection, judged by the security groups of both ends. Raises ``DeniedError``."""
        packet = Packet(source, destination, traffic, own=source == sender.address)
        target = self._by_address.get((sender.network, destination))
        self._may(sender, Direction.EGRESS, destination, traffic, target.security_groups if target else ())
        there = self._way(sender).route(packet)
        groups = sender.security_groups if there.packet.own else ()
        self._may(there.eni, Direction.INGRESS, there.packet.source, there.packet.traffic, groups)
        return there

    def answer(self, there: Arrival, asker: Eni, asked: IPv4Address) -> None:
        """Whether the answer gets back to who asked, from the address that he asked; security groups let it pass.

        Raises ``DeniedError``.
        """
        source = there.packet.destination
        packet = Packet(source, there.packet.source, there.packet.traffic, own=source == there.eni.address)
        back = self._way(there.eni, Question(asker, asked, there)).route(packet)
        if back.eni.id != asker.id:
            raise DeniedError(f"the answer to {there.packet.source} comes to {back.eni.name}")
        if back.packet.source != asked:
            raise DeniedError(f"the answer comes from {back.packet.source}, not from {asked}")

    def _way(self, sender: Eni, answers: Question | None = None) -> Way:
        return Way(self.state, self.enis, self._by_address, sender, answers)

    def _may(
        self, eni: Eni, direction: Direction, remote: IPv4Address, traffic: Traffic, groups: tuple[str, ...]
    ) -> None:
        if not eni.filtered:
            return
        for group in self.state.security_groups:
            rules = group.rules if group.name in eni.security_groups else ()
            if any(rule.direction is direction and _allows(rule, remote, traffic, groups) for rule in rules):
                return
        names = ", ".join(eni.security_groups) or "no security group"
        way = "from" if direction is Direction.INGRESS else "to"
        raise DeniedError(f"{names} of {eni.name} allows no {traffic} {way} {remote}")


def _allows(rule: SecurityRule, remote: IPv4Address, traffic: Traffic, groups: tuple[str, ...]) -> bool:
    if rule.cidr is not None and remote not in rule.cidr:
        return False
    if rule.group is not None and rule.group not in groups:
        return False
    if rule.protocol not in (Protocol.ALL, traffic.protocol):
        return False
    return rule.ports is None or rule.ports[0] <= traffic.port <= rule.ports[1]
