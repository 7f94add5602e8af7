"""What the network models promise between the members of a lab. Pure.

``tunnel``: pods and nodes of a cluster see each other by VXLAN between the nodes; to all others a pod is its node,
and nobody else has a way in. ``vpc``: pods have addresses that the VPC routes to their node; what is on the list of
networks that are not masqueraded sees these, all others see the node's. ``eni``: a pod is an ENI like any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.model.desired import ClusterNode, ClustersState, ClusterState, Eni, NetworkModel, PodPort, Protocol
from testbed.observe.matrix.cloud import Arrival, Cloud, DeniedError, Traffic

VXLAN = Traffic(Protocol.UDP, 4789)


@dataclass(frozen=True, slots=True)
class Party:
    """Who speaks or is spoken to: an ENI of the cloud, or a node's pod that has none (``tunnel``, ``vpc``)."""

    address: IPv4Address
    eni: Eni
    cluster: ClusterState | None = None
    node: ClusterNode | None = None
    pod: PodPort | None = None

    @property
    def behind_node(self) -> bool:
        """A pod whose packets enter the cloud by its node's interface, if they do."""
        return self.pod is not None and self.cluster is not None and self.cluster.model is not NetworkModel.ENI


@dataclass(frozen=True)
class Promises:
    cloud: Cloud
    clusters: ClustersState

    def party(self, owner: str, address: IPv4Address) -> Party:
        """``owner`` tells pods of two clusters apart. Raises ``LookupError`` for what the documents do not have."""
        for cluster in self.clusters.clusters:
            for node in cluster.nodes:
                for pod in node.pods:
                    if (pod.owner, pod.address) == (owner, address):
                        return Party(address, self._eni_of(pod, node, cluster), cluster, node, pod)
                if (node.owner, node.address) == (owner, address):
                    return Party(address, self._eni(address), cluster, node)
        return Party(address, self._eni(address))

    def connect(self, one: Party, other: Party, traffic: Traffic) -> str:
        """How ``other`` sees ``one``: an address. Raises ``DeniedError`` when they can't talk."""
        if one.behind_node:
            return self._from_pod(one, other, traffic)
        if other.behind_node:
            return self._to_pod(one, other, traffic)
        return str(self.cloud.connect(one.eni, one.address, other.address, traffic).packet.source)

    def _from_pod(self, pod: Party, other: Party, traffic: Traffic) -> str:
        assert pod.cluster is not None
        same_cluster = other.cluster is not None and other.cluster.name == pod.cluster.name
        if same_cluster and pod.node == other.node:
            return str(pod.address)
        if pod.cluster.model is NetworkModel.TUNNEL:
            if same_cluster:
                return self._by_tunnel(pod, other)
            return self._as_its_node(pod, other, traffic)
        if _keeps_address(pod.cluster, other.address):
            there = self.cloud.send(pod.eni, pod.address, other.address, traffic)
            self._at_pods_node(there, other)
            self._answered(there, pod, other)
            return str(there.packet.source)
        return self._as_its_node(pod, other, traffic)

    def _to_pod(self, one: Party, pod: Party, traffic: Traffic) -> str:
        assert pod.cluster is not None
        same_cluster = one.cluster is not None and one.cluster.name == pod.cluster.name
        if same_cluster and one.node == pod.node:
            return str(one.address)
        if pod.cluster.model is NetworkModel.TUNNEL:
            if same_cluster:
                return self._by_tunnel(one, pod)
            raise DeniedError("the container tunnel network has no way in from outside")
        there = self.cloud.send(one.eni, one.address, pod.address, traffic)
        self._at_pods_node(there, pod)
        self._answered(there, one, pod)
        return str(there.packet.source)

    def _as_its_node(self, pod: Party, other: Party, traffic: Traffic) -> str:
        """The node's kernel gives the packet the node's address."""
        assert pod.node is not None
        if other.behind_node:
            return self._to_pod(Party(pod.node.address, pod.eni), other, traffic)
        return str(self.cloud.connect(pod.eni, pod.node.address, other.address, traffic).packet.source)

    def _by_tunnel(self, one: Party, other: Party) -> str:
        """VXLAN goes each way as a connection of its own."""
        for sender, receiver in ((one, other), (other, one)):
            assert receiver.node is not None
            self.cloud.send(sender.eni, sender.eni.address, receiver.node.address, VXLAN)
        return str(one.address)

    def _at_pods_node(self, there: Arrival, other: Party) -> None:
        if there.eni.id != other.eni.id:
            raise DeniedError(f"{other.address} is routed to {there.eni.name}")

    def _answered(self, there: Arrival, one: Party, other: Party) -> None:
        """A pod's answer keeps the pod's address only towards networks that are not masqueraded."""
        seen = there.packet.source
        if other.behind_node and other.cluster is not None and not _keeps_address(other.cluster, seen):
            raise DeniedError(f"the answer leaves with the node's address: {seen} is outside nonMasqueradeCIDRs")
        self.cloud.answer(there, one.eni, other.address)

    def _eni_of(self, pod: PodPort, node: ClusterNode, cluster: ClusterState) -> Eni:
        return self._eni(pod.address if cluster.model is NetworkModel.ENI else node.address)

    def _eni(self, address: IPv4Address) -> Eni:
        for eni in self.cloud.state.enis:
            if eni.address == address:
                return eni
        raise LookupError(f"nobody has {address}")


def _keeps_address(cluster: ClusterState, remote: IPv4Address) -> bool:
    own = (cluster.container_cidr,) if cluster.container_cidr else ()
    return any(remote in cidr for cidr in (*own, *cluster.non_masquerade))
