"""Hands out numbers, addresses and blocks for one planning run, starting from the old ledger's."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

from testbed.model.cloud import Subnet
from testbed.model.planning.ledger import Ledger

MAX_ENIS = 65_535
BALANCER_ZONES = (4_096, 64_999)  # conntrack zones of the fabric: the VPCs' are below, the NAT gateways' above


class ExhaustedError(ValueError):
    """A pool has nothing left to give; the text says which and how much is in use."""


class Allocator:
    """The mutable side of one planning run. What is not claimed again is not in :meth:`ledger`'s result."""

    def __init__(self, old: Ledger) -> None:
        self._old = old
        self._numbers: dict[str, dict[str, int]] = {}
        self._cursors = dict(old.cursors)
        self._addresses: dict[str, dict[str, IPv4Address]] = {}
        self._blocks: dict[str, tuple[IPv4Network, ...]] = {}
        self._taken_blocks: dict[str, set[IPv4Network]] = {}
        self._taken_numbers: dict[str, set[int]] = {}
        self._taken_addresses: dict[str, set[IPv4Address]] = {}

    def number(self, pool: str, owner: str, first: int, last: int) -> int:
        """``owner``'s number of ``pool``, the same as last time, else the next free one in cyclic order.

        Raises :class:`ExhaustedError` when all of ``first``..``last`` are in use.
        """
        mine = self._numbers.setdefault(pool, {})
        if owner in mine:
            return mine[owner]
        held = self._old.numbers.get(pool, {})
        value = held.get(owner)
        if value is None:
            value = self._next_number(pool, held, first, last)
        mine[owner] = value
        self._taken_numbers.setdefault(pool, set(held.values())).add(value)
        return value

    def eni(self, owner: str) -> int:
        """``owner``'s ENI. Raises :class:`ExhaustedError`."""
        return self.number("eni", owner, 1, MAX_ENIS)

    def balancer(self, owner: str) -> int:
        """The number of ``owner``'s listeners. Raises :class:`ExhaustedError`."""
        return self.number("listeners", owner, *BALANCER_ZONES)

    def fix(self, pool: str, owner: str, value: int) -> None:
        """Note that ``owner`` has number ``value`` of ``pool``, chosen by the user."""
        self._numbers.setdefault(pool, {})[owner] = value
        self._taken_numbers.setdefault(pool, set(self._old.numbers.get(pool, {}).values())).add(value)

    def _next_number(self, pool: str, held: dict[str, int], first: int, last: int) -> int:
        taken = self._taken_numbers.setdefault(pool, set(held.values()))
        start = self._cursors.get(pool, first)
        span = last - first + 1
        for offset in range(span):
            candidate = first + (start - first + offset) % span
            if candidate not in taken:
                self._cursors[pool] = candidate + 1 if candidate < last else first
                return candidate
        raise ExhaustedError(f"no free number in {pool} ({span} in use)")

    def claim(self, subnet: Subnet, owner: str, address: IPv4Address) -> None:
        """Note that ``owner`` has ``address`` of ``subnet``, chosen by the user."""
        self._addresses.setdefault(subnet.name, {})[owner] = address
        self._taken_in(subnet).add(address)

    def address(self, subnet: Subnet, owner: str) -> IPv4Address:
        """``owner``'s address in ``subnet``: the same as last time, else the lowest free one.

        Raises :class:`ExhaustedError` when the subnet is full.
        """
        mine = self._addresses.setdefault(subnet.name, {})
        if owner in mine:
            return mine[owner]
        held = self._old.addresses.get(subnet.name, {}).get(owner)
        if held is None:
            held = self._free_address(subnet)
        self._taken_in(subnet).add(held)
        mine[owner] = held
        return held

    def _taken_in(self, subnet: Subnet) -> set[IPv4Address]:
        if subnet.name not in self._taken_addresses:
            old = self._old.addresses.get(subnet.name, {}).values()
            self._taken_addresses[subnet.name] = {*old, *subnet.reserved}
        return self._taken_addresses[subnet.name]

    def _free_address(self, subnet: Subnet) -> IPv4Address:
        taken = self._taken_in(subnet)
        base = int(subnet.cidr.network_address)
        for offset in range(2, subnet.cidr.num_addresses - 3):
            candidate = IPv4Address(base + offset)
            if candidate not in taken:
                return candidate
        used = len(taken) - len(subnet.reserved)
        raise ExhaustedError(f"no free address in subnet {subnet.name} {subnet.cidr} ({used} in use)")

    def give_back(self, subnet: str, address: IPv4Address) -> None:
        """Make ``address`` free for the rest of this run (a sub-ENI that was unbound)."""
        mine = self._addresses.get(subnet, {})
        for owner in [owner for owner, held in mine.items() if held == address]:
            del mine[owner]
        self._taken_addresses.get(subnet, set()).discard(address)

    def blocks_of(self, pool: str, owner: str) -> tuple[IPv4Network, ...]:
        """The blocks that ``owner`` holds in ``pool`` (kept from last time)."""
        key = f"{pool}/{owner}"
        if key not in self._blocks:
            self._blocks[key] = self._old.blocks.get(key, ())
            self._taken(pool).update(self._blocks[key])
        return self._blocks[key]

    def next_block(self, pool: str, owner: str, cidr: IPv4Network, prefix: int, first: int) -> IPv4Network:
        """One more block for ``owner``, cyclically through ``cidr`` from block number ``first``.

        Raises :class:`ExhaustedError` when every block has an owner.
        """
        held = self.blocks_of(pool, owner)
        taken = self._taken(pool)
        count = 2 ** (prefix - cidr.prefixlen) if prefix >= cidr.prefixlen else 0
        size = 2 ** (32 - prefix)
        start = self._cursors.get(pool, first)
        for offset in range(count):
            index = (start + offset) % count
            block = IPv4Network((int(cidr.network_address) + index * size, prefix))
            if block not in taken:
                taken.add(block)
                self._cursors[pool] = index + 1
                self._blocks[f"{pool}/{owner}"] = (*held, block)
                return block
        raise ExhaustedError(f"no free /{prefix} block in {cidr} ({count} in use)")

    def _taken(self, pool: str) -> set[IPv4Network]:
        if pool not in self._taken_blocks:
            prefix = f"{pool}/"
            held = [blocks for key, blocks in self._old.blocks.items() if key.startswith(prefix)]
            self._taken_blocks[pool] = {block for blocks in held for block in blocks}
        return self._taken_blocks[pool]

    def release_blocks(self, pool: str, owner: str, unused: Iterable[IPv4Network]) -> None:
        """Give ``unused`` blocks of ``owner`` back."""
        gone = set(unused)
        key = f"{pool}/{owner}"
        self._blocks[key] = tuple(block for block in self._blocks.get(key, ()) if block not in gone)
        self._taken(pool).difference_update(gone)

    def parts(self) -> tuple[dict[str, dict[str, int]], dict[str, int], dict[str, dict[str, IPv4Address]]]:
        """Numbers, cursors and addresses as the new ledger keeps them."""
        return self._numbers, self._cursors, self._addresses

    def blocks(self) -> dict[str, tuple[IPv4Network, ...]]:
        return {key: blocks for key, blocks in self._blocks.items() if blocks}
