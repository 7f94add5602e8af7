"""Where a packet is between two hops, and how a hop ends."""

from __future__ import annotations

from dataclasses import dataclass

from testbed.observe.trace.packet import Packet
from testbed.observe.trace.results import Hop, Outcome


@dataclass(frozen=True, slots=True)
class OnWire:
    """Leaves ``namespace`` by ``device``: a veth's end, a bridge's local port, loopback."""

    namespace: str
    device: str


@dataclass(frozen=True, slots=True)
class AtSwitch:
    """Comes into ``bridge`` by port ``number``, which is ``device`` (empty for a tunnel port)."""

    namespace: str
    bridge: str
    number: int
    device: str


@dataclass(frozen=True, slots=True)
class AtKernel:
    """Comes into the network stack of ``namespace`` by ``device``; made there when it has none."""

    namespace: str
    device: str


@dataclass(frozen=True, slots=True)
class End:
    """It goes no further."""

    outcome: Outcome
    namespace: str
    reason: str = ""
    device: str = ""


Place = OnWire | AtSwitch | AtKernel | End


@dataclass(frozen=True, slots=True)
class Passed:
    """A place has been passed: its hops, where the packet is now, and the packet."""

    hops: tuple[Hop, ...]
    place: Place
    packet: Packet

    @property
    def chosen(self) -> bool:
        """Whether another packet might have gone another way here."""
        return any(decision.choice for hop in self.hops for decision in hop.decisions)
