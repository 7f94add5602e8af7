"""Pods: scheduled on nodes, given an address of their model, or left Pending with the reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network

from testbed.model.cloud import Cluster, Subnet
from testbed.model.desired import FIRST_POD_PORT, NetworkModel
from testbed.model.lab import Lab
from testbed.model.planning.allocator import Allocator, ExhaustedError
from testbed.model.planning.ledger import BoundNic, ChosenGroups, Ledger, PodLease
from testbed.model.planning.names import eni_mac, pod_mac
from testbed.model.planning.nics import NodeNics
from testbed.model.planning.nodes import block_pool
from testbed.model.planning.pod_groups import PodGroups
from testbed.model.planning.requests import PodRequest
from testbed.model.planning.resolved import PlannedNode, PlannedPod
from testbed.model.planning.static_addresses import StaticAddresses

BLOCK_PREFIX = 28
"""Prefix length of the tunnel network's blocks: 16 addresses each, handed out on demand."""


@dataclass(slots=True)
class _Room:
    """One node while pods are being placed on it."""

    node: PlannedNode
    cluster: Cluster
    nics: NodeNics | None
    pods: list[PodRequest] = field(default_factory=list)
    crowds: Counter[str] = field(default_factory=Counter)
    """How many of them there are of each ``slot_group``."""

    addresses: set[IPv4Address] = field(default_factory=set)
    ports: set[int] = field(default_factory=set)
    host_ports: set[tuple[int, str]] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class PlacedPods:
    pods: tuple[PlannedPod, ...]
    nodes: tuple[PlannedNode, ...]
    leases: dict[str, PodLease]
    nics: dict[str, tuple[BoundNic, ...]]
    statics: StaticAddresses


class UnplaceableError(Exception):
    """The pod stays Pending; the text is the reason, as the scheduler or the network would say it."""


def plan_pods(
    lab: Lab,
    requests: Sequence[PodRequest],
    nodes: Sequence[PlannedNode],
    old: Ledger,
    allocator: Allocator,
    hosts: Iterable[str],
    now: float,
) -> PlacedPods:
    """Place ``requests``: pods that have a lease keep node and address, the others are spread over the nodes."""
    placer = _Placer(lab, requests, nodes, old, allocator, set(hosts), now)
    kept = [request for request in requests if placer.lease_of(request)]
    new = [request for request in requests if not placer.lease_of(request)]
    planned = {request.key: placer.place(request) for request in (*kept, *new)}
    return placer.result(tuple(planned[request.key] for request in requests))


class _Placer:
    def __init__(
        self,
        lab: Lab,
        requests: Sequence[PodRequest],
        nodes: Sequence[PlannedNode],
        old: Ledger,
        allocator: Allocator,
        hosts: set[str],
        now: float,
    ) -> None:
        self._clusters = {cluster.name: cluster for cluster in lab.clusters}
        self._old, self._allocator, self._hosts = old, allocator, hosts
        self._groups = PodGroups(lab)
        self._qualified = len(lab.clusters) > 1
        wanted = {request.key for request in requests}
        self._statics = StaticAddresses(old, requests, now)
        subnets = {subnet.name: subnet for subnet in lab.subnets}
        self._reserved = {item.address for item in self._statics.reserved()}
        for item in self._statics.reserved():
            allocator.claim(subnets[item.subnet], f"Reserved/{item.pod}", item.address)
        self._rooms = {node.key: self._room(node, subnets, wanted, now) for node in nodes}
        self._leases: dict[str, PodLease] = {}
        for request in requests:
            lease = self.lease_of(request)
            if lease and lease.address:
                self._rooms[lease.node].addresses.add(lease.address)
            if lease:
                self._hosts.add(lease.host)
                self._rooms[lease.node].ports.add(lease.port)

    def _room(self, node: PlannedNode, subnets: Mapping[str, Subnet], wanted: set[str], now: float) -> _Room:
        cluster = self._clusters[node.cluster]
        nics = None
        if cluster.model is NetworkModel.ENI:
            held = self._old.nics.get(node.key, ())
            nics = NodeNics(node, cluster, subnets, held, self._allocator, now)
            nics.free_all_but(wanted)
        return _Room(node, cluster, nics)

    def lease_of(self, request: PodRequest) -> PodLease | None:
        """The pod's lease, unless it was deleted since or its node is gone."""
        lease = self._old.leases.get(request.key)
        if lease is None or lease.incarnation != request.incarnation or lease.node not in self._rooms:
            return None
        return lease

    def place(self, request: PodRequest) -> PlannedPod:
        planned = self._unplaced(request)
        try:
            room, address, nic, port = self._find_place(request)
        except UnplaceableError as reason:
            return replace(planned, pending=str(reason))
        self._occupy(room, request, address, port)
        host = room.node.name if request.template.spec.host_network else self._host_name(request)
        plan_nic = room.nics.planned(nic) if room.nics and nic else None
        groups = self._choose_groups(request, room) if plan_nic else None
        kept = None if nic or request.template.spec.host_network else address
        self._leases[request.key] = PodLease(room.node.key, host, kept, port, request.incarnation, groups)
        return replace(
            planned,
            host=host,
            node=room.node.name,
            address=address,
            mac=eni_mac(plan_nic.eni) if plan_nic else pod_mac(address),
            port=port,
            nic=plan_nic,
            security_groups=self._groups.of(request, groups) if groups else (),
        )

    def _choose_groups(self, request: PodRequest, room: _Room) -> ChosenGroups:
        lease = self.lease_of(request)
        return self._groups.choose(request, room.node, room.cluster, lease.groups if lease else None)

    def _find_place(self, request: PodRequest) -> tuple[_Room, IPv4Address, BoundNic | None, int]:
        """The room with its address.

        ``vpc`` and ``eni`` nodes are only as large as their block or quota, so the next best one is tried. The
        scheduler knows nothing of the tunnel network's blocks: the pod stays where it was put, without an address.
        """
        reasons: list[str] = []
        for room in self._candidates(request, reasons):
            try:
                address, nic = self._address(request, room)
            except ExhaustedError as error:
                reasons.append(str(error))
                if room.cluster.model is NetworkModel.TUNNEL:
                    break
                continue
            return room, address, nic, self._port(request, room)
        raise UnplaceableError("; ".join(dict.fromkeys(reasons)))

    def _candidates(self, request: PodRequest, reasons: list[str]) -> list[_Room]:
        lease = self.lease_of(request)
        if lease:
            return [self._rooms[lease.node]]
        rooms = [room for room in self._rooms.values() if room.node.cluster == request.cluster]
        fitting = []
        for room in rooms:
            reason = _refusal(request, room)
            if reason is None:
                fitting.append(room)
            else:
                reasons.append(reason)
        if not rooms:
            reasons.append(f"cluster {request.cluster} has no nodes")
        order = {room.node.key: position for position, room in enumerate(rooms)}
        return sorted(fitting, key=lambda room: (*_crowd(request, room), order[room.node.key]))

    def _address(self, request: PodRequest, room: _Room) -> tuple[IPv4Address, BoundNic | None]:
        if request.template.spec.host_network:
            return room.node.address, None
        if room.nics is not None:
            return self._take_nic(request, room.nics)
        lease = self.lease_of(request)
        if lease and lease.address:
            return lease.address, None
        if room.cluster.model is NetworkModel.VPC:
            return _free_in(room, room.node.blocks, skip_ends=True), None
        return self._tunnel_address(room), None

    def _take_nic(self, request: PodRequest, nics: NodeNics) -> tuple[IPv4Address, BoundNic]:
        wanted = self._statics.wanted(request)
        if wanted is not None:
            for room in self._rooms.values():
                if room.nics is not None and room.nics is not nics:
                    room.nics.let_go(wanted)
        nic = nics.take(request.key, wanted, self._reserved)
        return nic.address, nic

    def _tunnel_address(self, room: _Room) -> IPv4Address:
        """The next address of the node's blocks in order; a further /28 when they are full."""
        cidr = room.cluster.container_cidr
        assert cidr is not None  # the spec requires it in this model
        pool = block_pool(room.cluster)
        unusable = {cidr[0], cidr[-1]}
        try:
            return _free_in(room, self._allocator.blocks_of(pool, room.node.name), unusable=unusable)
        except ExhaustedError:
            # The first block given out is the second of the range, as on the documentation's example nodes.
            block = self._allocator.next_block(pool, room.node.name, cidr, BLOCK_PREFIX, 1)
            return _free_in(room, (block,), unusable=unusable)

    def _port(self, request: PodRequest, room: _Room) -> int:
        if request.template.spec.host_network:
            return 0
        lease = self.lease_of(request)
        if lease:
            return lease.port
        return next(port for port in range(FIRST_POD_PORT, 65000) if port not in room.ports)

    def _occupy(self, room: _Room, request: PodRequest, address: IPv4Address, port: int) -> None:
        room.pods.append(request)
        room.crowds[request.slot_group] += 1
        if request.template.spec.host_network:
            room.host_ports |= _container_ports(request)
            return
        room.addresses.add(address)
        room.ports.add(port)

    def _host_name(self, request: PodRequest) -> str:
        """The pod's name if nobody in the lab has it, else with its namespace, else with its cluster as well."""
        lease = self.lease_of(request)
        if lease:
            return lease.host
        name = request.name
        for suffix in ("", f".{request.namespace}", f".{request.namespace}.{request.cluster}"):
            if name + suffix not in self._hosts:
                break
        self._hosts.add(name + suffix)
        return name + suffix

    def _unplaced(self, request: PodRequest) -> PlannedPod:
        scope = f"{request.cluster}/{request.namespace}" if self._qualified else request.namespace
        return PlannedPod(
            cluster=request.cluster,
            namespace=request.namespace,
            name=request.name,
            key=request.key,
            owner=f"Pod/{scope}/{request.name}",
            slot=request.slot,
            uid=request.uid,
            controller=request.controller,
            template=request.template,
            source=request.source,
            model=self._clusters[request.cluster].model,
        )

    def result(self, pods: tuple[PlannedPod, ...]) -> PlacedPods:
        nics: dict[str, tuple[BoundNic, ...]] = {}
        nodes = []
        for room in self._rooms.values():
            node = room.node
            if room.nics is not None:
                room.nics.settle()
                nics[node.key] = room.nics.held()
                node = replace(node, nics=tuple(room.nics.planned(nic) for nic in room.nics.held()))
            elif room.cluster.model is NetworkModel.TUNNEL:
                node = replace(node, blocks=self._live_blocks(room))
            nodes.append(node)
        return PlacedPods(pods, tuple(nodes), self._leases, nics, self._statics)

    def _live_blocks(self, room: _Room) -> tuple[IPv4Network, ...]:
        """The node's blocks; those without a pod go back, except the first, which the node keeps."""
        pool, name = block_pool(room.cluster), room.node.name
        blocks = self._allocator.blocks_of(pool, name)
        empty = [block for block in blocks[1:] if not any(address in block for address in room.addresses)]
        self._allocator.release_blocks(pool, name, empty)
        return self._allocator.blocks_of(pool, name)


def _free_in(
    room: _Room, blocks: Iterable[IPv4Network], skip_ends: bool = False, unusable: Iterable[IPv4Address] = ()
) -> IPv4Address:
    """The lowest free address of ``blocks`` in order; ``skip_ends`` leaves out network, gateway and broadcast."""
    full = []
    for block in blocks:
        first, last = (2, block.num_addresses - 1) if skip_ends else (0, block.num_addresses)
        base = int(block.network_address)
        for offset in range(first, last):
            address = IPv4Address(base + offset)
            if address not in room.addresses and address not in unusable:
                return address
        full.append(f"{block} ({last - first} in use)")
    raise ExhaustedError(f"no free address on node {room.node.name} in {', '.join(full) or 'any block'}")


def _refusal(request: PodRequest, room: _Room) -> str | None:
    """Why the scheduler does not consider the node, in Kubernetes' words where it has them."""
    spec, pool = request.template.spec, room.node.pool
    if spec.node_name and spec.node_name != room.node.name:
        return f"node {room.node.name} is not the one that nodeName asks for"
    labels = {**dict(pool.labels), "kubernetes.io/hostname": room.node.name}
    if any(labels.get(key) != value for key, value in spec.node_selector):
        return f"node {room.node.name} didn't match Pod's node affinity/selector"
    if len(room.pods) >= pool.max_pods:
        return f"node {room.node.name} has too many pods (maxPods {pool.max_pods})"
    if spec.host_network and room.host_ports & _container_ports(request):
        return f"node {room.node.name} didn't have free ports for the requested pod ports"
    if spec.anti_affinity_hostname and room.crowds[request.slot_group]:
        return f"node {room.node.name} didn't match pod anti-affinity rules"
    return None


def _crowd(request: PodRequest, room: _Room) -> tuple[int, int]:
    """Spread: first away from pods of the same controller, then away from other pods."""
    return room.crowds[request.slot_group], len(room.pods)


def _container_ports(request: PodRequest) -> set[tuple[int, str]]:
    return {(port.port, port.protocol) for box in request.template.spec.containers for port in box.ports}
