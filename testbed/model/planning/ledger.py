"""What planning must remember from one generation to the next, so that nothing moves without a reason.

A ledger is a value: planning reads the old one and returns a new one in which whatever nobody asked for again
has been given back. Numbers are handed out cyclically, so that a number (an ENI, a VLAN, a
port) is reused as late as possible.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from testbed.model.planning.replica_sets import ReplicaSet


@dataclass(frozen=True, slots=True)
class ChosenGroups:
    """Security groups that were found for a pod when it started: its annotation's, its node pool's or cluster's, and
    those that its annotation adds. They stay for its life; only a SecurityGroup policy changes running pods.
    """

    own: tuple[str, ...] = ()
    standing: tuple[str, ...] = ()
    more: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PodLease:
    """Where a pod was placed and what it was given. ``host`` is the name of its network namespace."""

    node: str
    host: str
    address: IPv4Address | None = None
    port: int = 0
    incarnation: int = 0
    groups: ChosenGroups | None = None


@dataclass(frozen=True, slots=True)
class BoundNic:
    """A sub-ENI (``vlan``) or ENI bound to a node. ``pod`` is its user's key, empty while pre-bound.

    ``idle_since`` is the time (seconds since the epoch) at which its last pod left; 0 when it never had one.
    """

    address: IPv4Address
    subnet: str
    vlan: int
    pod: str = ""
    idle_since: float = 0.0


@dataclass(frozen=True, slots=True)
class Reservation:
    """A static pod address. When its pod is gone it is kept for another ``seconds``, until ``expires``.

    ``expires`` is in seconds since the epoch; 0 while the pod runs.
    """

    pod: str
    address: IPv4Address
    subnet: str
    seconds: float
    expires: float = 0.0


@dataclass(frozen=True, slots=True)
class Ledger:
    numbers: dict[str, dict[str, int]] = field(default_factory=dict)
    cursors: dict[str, int] = field(default_factory=dict)
    addresses: dict[str, dict[str, IPv4Address]] = field(default_factory=dict)
    blocks: dict[str, tuple[IPv4Network, ...]] = field(default_factory=dict)
    leases: dict[str, PodLease] = field(default_factory=dict)
    nics: dict[str, tuple[BoundNic, ...]] = field(default_factory=dict)
    reservations: tuple[Reservation, ...] = ()
    incarnations: dict[str, int] = field(default_factory=dict)
    replica_sets: dict[str, tuple[ReplicaSet, ...]] = field(default_factory=dict)
    """By controller, the newest first; more than one while its pods are being replaced."""
