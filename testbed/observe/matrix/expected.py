"""What should become of a packet from each to each, by the documents that the lab was made of. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from ipaddress import IPv4Address

from testbed.model.desired import ClustersState, ClusterState, FabricState, Protocol, ServiceEndpoint, ServicePort
from testbed.observe.matrix.cloud import Cloud, DeniedError, Traffic
from testbed.observe.matrix.clusters import Party, Promises
from testbed.observe.matrix.members import Member
from testbed.observe.matrix.policies import Policies


class Hope(StrEnum):
    """``DEPENDS``: on the endpoint that is chosen."""

    ALLOWED = "allowed"
    DENIED = "denied"
    DEPENDS = "depends"


@dataclass(frozen=True, slots=True)
class Expected:
    """``source``: the address that the receiver sees. ``reason``: why it does not get through."""

    hope: Hope
    source: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Expectations:
    fabric: FabricState
    clusters: ClustersState
    policies: Policies

    @cached_property
    def _promises(self) -> Promises:
        return Promises(Cloud(self.fabric), self.clusters)

    @cached_property
    def _parties(self) -> dict[Member, Party]:
        return {}

    def one(self, source: Member, target: Member, traffic: Traffic) -> Expected:
        try:
            if target.kind == "service":
                return self._service(source, target)
            seen = self._direct(source, target.owner, self._party(target), traffic)
        except DeniedError as denied:
            return Expected(Hope.DENIED, reason=str(denied))
        return Expected(Hope.ALLOWED, seen)

    def _party(self, member: Member) -> Party:
        if member not in self._parties:
            self._parties[member] = self._promises.party(member.owner, member.address)
        return self._parties[member]

    def _direct(self, source: Member, owner: str, other: Party, traffic: Traffic) -> str:
        one = self._party(source)
        seen = self._promises.connect(one, other, traffic)
        from_node = source.kind == "node"
        self.policies.judge((source.owner, source.address), (owner, other.address), traffic, from_node)
        return seen

    def _service(self, source: Member, target: Member) -> Expected:
        """Every endpoint that may be chosen, each by itself; the address is what the source's cluster knows by it."""
        one = self._party(source)
        port = _port_at(one.cluster, target) if one.cluster else None
        if port is None:
            raise DeniedError("cluster addresses are known inside of the cluster only")
        endpoints = [each for each in port.endpoints if each.ready]
        if port.internal_local and one.node is not None:
            endpoints = [each for each in endpoints if each.node == one.node.name]
        if not endpoints:
            where = " on its node" if port.internal_local else ""
            raise DeniedError(f"Service {port.service} has no ready endpoint{where}")
        denials = [reason for each in endpoints if (reason := self._denial(source, each, port))]
        if len(denials) == len(endpoints):
            raise DeniedError(denials[0])
        return Expected(Hope.DEPENDS, reason=denials[0]) if denials else Expected(Hope.ALLOWED)

    def _denial(self, source: Member, endpoint: ServiceEndpoint, port: ServicePort) -> str:
        if endpoint.address == source.address:
            return ""
        try:
            other = self._promises.party(self._owner_of(endpoint.address), endpoint.address)
            self._direct(source, other.pod.owner if other.pod else "", other, Traffic(port.protocol, endpoint.port))
        except DeniedError as denied:
            return str(denied)
        return ""

    def _owner_of(self, address: IPv4Address) -> str:
        for cluster in self.clusters.clusters:
            for node in cluster.nodes:
                if node.address == address:
                    return node.owner
                for pod in node.pods:
                    if pod.address == address:
                        return pod.owner
        return ""


def _port_at(cluster: ClusterState, target: Member) -> ServicePort | None:
    wanted = (target.address, target.port, target.protocol or Protocol.TCP)
    return next((one for one in cluster.services if (one.cluster_ip, one.port, one.protocol) == wanted), None)
