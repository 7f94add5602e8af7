"""NICs of Cloud Native Network 2.0 nodes: taken by pods first in first out, pre-bound, cooled down, given back."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Address

from testbed.model.cloud import Cluster, Subnet
from testbed.model.planning.allocator import Allocator, ExhaustedError
from testbed.model.planning.ledger import BoundNic
from testbed.model.planning.resolved import PlannedNic, PlannedNode
from testbed.model.planning.warm_pool import nics_to_bind, nics_to_unbind


class NodeNics:
    """One node's NICs during one planning run."""

    def __init__(
        self,
        node: PlannedNode,
        cluster: Cluster,
        subnets: Mapping[str, Subnet],
        held: Sequence[BoundNic],
        allocator: Allocator,
        now: float,
    ) -> None:
        self._node, self._cluster, self._subnets = node, cluster, subnets
        self._allocator, self._now = allocator, now
        self._nics = list(held)
        for nic in held:
            self._keep(nic)

    @property
    def quota(self) -> int:
        return self._node.pool.enis if self._node.pool.bare_metal else self._node.pool.sub_enis

    @property
    def used(self) -> int:
        return sum(1 for nic in self._nics if nic.pod)

    def free_all_but(self, pods: set[str]) -> None:
        """NICs whose pod is gone become idle now; they may be reused at once."""
        self._nics = [
            replace(nic, pod="", idle_since=self._now) if nic.pod and nic.pod not in pods else nic for nic in self._nics
        ]

    def let_go(self, address: IPv4Address) -> None:
        """Unbind an idle NIC with ``address``, because its static address is wanted on another node."""
        for nic in [nic for nic in self._nics if nic.address == address and not nic.pod]:
            self._release(nic)

    def take(self, pod: str, wanted: IPv4Address | None = None, reserved: Container[IPv4Address] = ()) -> BoundNic:
        """A NIC for ``pod``: its own, one with the ``wanted`` static address, the longest idle one, or a new one.

        ``reserved`` addresses wait for other pods. Raises :class:`ExhaustedError` at the flavour's quota or when
        no pod subnet has an address.
        """
        for nic in self._nics:
            if nic.pod == pod:
                return nic
        idle = [
            nic
            for nic in self._nics
            if not nic.pod and (nic.address == wanted if wanted else nic.address not in reserved)
        ]
        if idle:
            chosen = min(idle, key=lambda nic: nic.idle_since)
            return self._swap(chosen, replace(chosen, pod=pod, idle_since=0.0))
        if len(self._nics) >= self.quota:
            self._preempt(wanted)
        return self._bind(pod, wanted)

    def settle(self) -> None:
        """Bind and unbind as the warm-pool formulas say (bare-metal ENIs are bound with their pod)."""
        if self._node.pool.bare_metal:
            self._nics = [nic for nic in self._nics if nic.pod]
            return
        pool = self._node.pool.warm_pool
        for _ in range(nics_to_bind(self.used, len(self._nics), self.quota, pool)):
            try:
                self._bind("", None)
            except ExhaustedError:
                return  # pre-binding is best effort; the pod that needs the address is told
        surplus = nics_to_unbind(self.used, len(self._nics), self.quota, pool)
        cooled = [nic for nic in self._nics if not nic.pod and self._now - nic.idle_since >= pool.cooldown]
        for nic in cooled[:surplus]:
            self._release(nic)

    def held(self) -> tuple[BoundNic, ...]:
        return tuple(self._nics)

    def planned(self, nic: BoundNic) -> PlannedNic:
        vlan = None if self._node.pool.bare_metal else nic.vlan
        eni = self._allocator.eni(self._owner(nic.vlan))
        return PlannedNic(eni, nic.address, nic.subnet, vlan, nic.pod)

    def _keep(self, nic: BoundNic) -> None:
        self._allocator.claim(self._subnets[nic.subnet], self._owner(nic.vlan), nic.address)

    def _bind(self, pod: str, wanted: IPv4Address | None) -> BoundNic:
        vlan = self._free_vlan()
        subnet, address = self._free_address(vlan, wanted)
        nic = BoundNic(address, subnet, vlan, pod)
        self._nics.append(nic)
        return nic

    def _free_vlan(self) -> int:
        taken = {nic.vlan for nic in self._nics}
        return next(vlan for vlan in range(1, 4095) if vlan not in taken)

    def _free_address(self, vlan: int, wanted: IPv4Address | None) -> tuple[str, IPv4Address]:
        reasons = []
        for name in self._cluster.pod_subnets:
            subnet = self._subnets[name]
            if wanted is not None and wanted in subnet.cidr:
                self._allocator.claim(subnet, self._owner(vlan), wanted)
                return name, wanted
            if wanted is not None:
                continue
            try:
                return name, self._allocator.address(subnet, self._owner(vlan))
            except ExhaustedError as error:
                reasons.append(str(error))
        raise ExhaustedError("; ".join(reasons) or f"{wanted} is in none of the pod subnets")

    def _preempt(self, wanted: IPv4Address | None) -> None:
        """A static address may displace a pre-bound NIC; otherwise the flavour's quota is the end."""
        idle = [nic for nic in self._nics if not nic.pod]
        if wanted is None or not idle:
            what = "ENIs" if self._node.pool.bare_metal else "sub-ENIs"
            raise ExhaustedError(f"no free {what} on node {self._node.name} (quota {self.quota}, all in use)")
        self._release(idle[0])

    def _release(self, nic: BoundNic) -> None:
        self._nics.remove(nic)
        self._allocator.give_back(nic.subnet, nic.address)

    def _swap(self, old: BoundNic, new: BoundNic) -> BoundNic:
        self._nics[self._nics.index(old)] = new
        return new

    def _owner(self, vlan: int) -> str:
        return f"Nic/{self._node.name}/{vlan}"
