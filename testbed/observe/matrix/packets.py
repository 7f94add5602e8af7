"""Packets of a matrix as values: what is sent, who gets it and as what, or why nobody does."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.model.desired import Eni, Protocol


class DeniedError(Exception):
    """It does not get through; the text is the reason."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """``port`` 0 for ICMP."""

    protocol: Protocol
    port: int = 0

    def __str__(self) -> str:
        return f"{self.protocol.upper()} {self.port}" if self.port else self.protocol.upper()


@dataclass(frozen=True, slots=True)
class Packet:
    """``own``: from the sender's own address, not one that it forwards for or that was translated on the way."""

    source: IPv4Address
    destination: IPv4Address
    traffic: Traffic
    own: bool = True


@dataclass(frozen=True, slots=True)
class Arrival:
    """Who gets a packet, and as what. ``snat``, ``dnat``: by the NAT gateway that translated it so."""

    eni: Eni
    packet: Packet
    snat: bool = False
    dnat: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """What an answer answers: who asked which address, and how it arrived."""

    asker: Eni
    asked: IPv4Address
    there: Arrival
