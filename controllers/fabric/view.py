"""The document with its references resolved: what the modules of the compiler look things up in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import TypeAlias

from controllers.fabric.errors import StateError
from controllers.fabric.fields import NAT_ZONES
from controllers.fabric.numbering import stable_numbers
from testbed.model.desired import (
    INTERNET,
    Eni,
    FabricLoadBalancer,
    FabricRouteTable,
    FabricSecurityGroup,
    FabricState,
    FabricSubnet,
    NatGateway,
    Peering,
    Protocol,
)

LAST_ENI = LAST_PROFILE = 0xFFFF

Place: TypeAlias = tuple[int, IPv4Address]
"""An address in a network (its id)."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A distinct set of security groups. ENIs with equal sets share its rules, so rules don't grow with ENIs."""

    number: int
    network: int
    groups: tuple[str, ...]

    @property
    def owner(self) -> str:
        return f"SecurityGroup/{'+'.join(self.groups) or '(none)'}"


@dataclass(frozen=True)
class FabricView:
    """``profiles`` is keyed by (network, sorted group names); ``tracked_open`` are unfiltered ENIs whose connections
    are tracked all the same, because a load balancer must find the replies among their packets."""

    state: FabricState
    enis: dict[int, Eni]
    subnets: dict[tuple[int, str], FabricSubnet]
    groups: dict[str, FabricSecurityGroup]
    tables: dict[int, FabricRouteTable]
    peerings: dict[int, Peering]
    gateways: dict[int, NatGateway]
    profiles: dict[tuple[int, tuple[str, ...]], Profile]
    tracked_open: frozenset[int]
    shared_ports: frozenset[int]
    group_numbers: dict[str, int]

    def eni(self, number: int, wanted_by: str) -> Eni:
        """Raises StateError when there is none."""
        if number not in self.enis:
            raise StateError(f"{wanted_by}: ENI {number} isn't in the document")
        return self.enis[number]

    def profile(self, eni: Eni) -> int:
        """Number of the ENI's profile, 0 when no security group applies to it."""
        return self.profiles[_profile_key(eni)].number if eni.filtered else 0

    def tracked(self, eni: Eni) -> bool:
        return eni.filtered or eni.id in self.tracked_open

    def subnet(self, network: int, name: str | None, wanted_by: str) -> FabricSubnet:
        """Raises StateError when there is none."""
        if name is None or (network, name) not in self.subnets:
            raise StateError(f"{wanted_by}: subnet {name} of network {network} isn't in the document")
        return self.subnets[network, name]

    def route_table(self, eni: Eni) -> int:
        """0 for hosts of the internet, which has no route tables."""
        return 0 if eni.network == INTERNET else self.subnet(eni.network, eni.subnet, eni.owner).route_table

    def networks_entered(self) -> frozenset[int]:
        """Networks that packets can enter from outside: by a peering or through a NAT gateway."""
        peered = {network for peering in self.state.peerings for network in (peering.a, peering.b)}
        return frozenset(peered | {gateway.network for gateway in self.state.nat_gateways})

    def networks_balanced(self) -> dict[int, bool]:
        """Networks with load balancers; True where a member has an address that is no ENI's own."""
        own = {(eni.network, eni.address) for eni in self.state.enis}
        found: dict[int, bool] = {}
        for balancer in self.state.load_balancers:
            members = (member for listener in balancer.listeners for member in listener.members)
            forwarded = any((balancer.network, member.address) not in own for member in members)
            found[balancer.network] = found.get(balancer.network, False) or forwarded
        return found

    def tables_of(self, network: int) -> Iterator[FabricRouteTable]:
        """In the order of their ids."""
        return (self.tables[number] for number in sorted(self.tables) if self.tables[number].network == network)

    def listener_group(self, balancer: FabricLoadBalancer, protocol: Protocol, port: int) -> int:
        """Number of the OpenFlow group that picks a member."""
        return self.group_numbers[listener_key(balancer, protocol, port)]


def fabric_view(state: FabricState) -> FabricView:
    """Raises StateError for a dangling reference or a number out of range."""
    _check_ids(state)
    groups = {group.name: group for group in state.security_groups}
    return FabricView(
        state=state,
        enis={eni.id: eni for eni in state.enis},
        subnets={(subnet.network, subnet.name): subnet for subnet in state.subnets},
        groups=groups,
        tables={table.id: table for table in state.route_tables},
        peerings={peering.id: peering for peering in state.peerings},
        gateways={gateway.id: gateway for gateway in state.nat_gateways},
        profiles=_profiles(state.enis, groups),
        tracked_open=_tracked_open(state),
        shared_ports=_shared_ports(state.enis),
        group_numbers=_group_numbers(state.load_balancers),
    )


def listener_key(balancer: FabricLoadBalancer, protocol: Protocol, port: int) -> str:
    return f"{balancer.id}/{protocol}/{port}"


def _check_ids(state: FabricState) -> None:
    _check_distinct(((eni.owner, eni.id) for eni in state.enis), LAST_ENI)
    networks = ((network.owner, network.id) for network in state.networks if network.id != INTERNET)
    balancers = ((balancer.owner, balancer.id) for balancer in state.load_balancers)
    _check_distinct((*networks, *balancers), NAT_ZONES - 1)
    for gateway in state.nat_gateways:
        if not 1 <= gateway.id <= 0xFFFF - NAT_ZONES:
            raise StateError(f"{gateway.owner}: id {gateway.id} is not in 1..{0xFFFF - NAT_ZONES}")


def _check_distinct(numbered: Iterable[tuple[str, int]], last: int) -> None:
    """Raises StateError for an id that two owners have, or that is not in 1..``last``."""
    owners: dict[int, str] = {}
    for owner, number in numbered:
        if not 1 <= number <= last:
            raise StateError(f"{owner}: id {number} is not in 1..{last}")
        if number in owners:
            raise StateError(f"{owner} and {owners[number]} both have id {number}")
        owners[number] = owner


def _profile_key(eni: Eni) -> tuple[int, tuple[str, ...]]:
    return (eni.network, tuple(sorted(set(eni.security_groups))))


def _profiles(
    enis: Iterable[Eni], groups: dict[str, FabricSecurityGroup]
) -> dict[tuple[int, tuple[str, ...]], Profile]:
    owners = {_profile_key(eni): eni.owner for eni in enis if eni.filtered}
    for (_, names), owner in owners.items():
        if missing := [name for name in names if name not in groups]:
            raise StateError(f"{owner}: security group {missing[0]} isn't in the document")
    texts = {key: f"{key[0]} {' '.join(key[1])}" for key in owners}
    numbers = stable_numbers(texts.values(), LAST_PROFILE)
    return {key: Profile(numbers[text], *key) for key, text in texts.items()}


def _tracked_open(state: FabricState) -> frozenset[int]:
    members: set[Place] = {
        (balancer.network, member.address)
        for balancer in state.load_balancers
        for listener in balancer.listeners
        for member in listener.members
    }
    if not members:
        return frozenset()
    return frozenset(e.id for e in state.enis if not e.filtered and (e.network, e.address) in members)


def _shared_ports(enis: Iterable[Eni]) -> frozenset[int]:
    """Ports of carriers: several ENIs are behind them."""
    users: dict[int, int] = defaultdict(int)
    for eni in enis:
        users[eni.port] += 1
    return frozenset(port for port, count in users.items() if count > 1)


def _group_numbers(balancers: Iterable[FabricLoadBalancer]) -> dict[str, int]:
    keys = (listener_key(b, item.protocol, item.port) for b in balancers for item in b.listeners)
    return stable_numbers(keys, 0xFFFFFF)
