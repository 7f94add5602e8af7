"""What NetworkPolicies let through to and from pods of the ``tunnel`` model, the only one that has them. Pure.

Allowed by default; a pod that a policy selects for a direction is isolated in it, and what any such policy allows is
allowed. Nodes always reach pods.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address

from testbed.model.desired import NetworkModel, Protocol
from testbed.model.kubernetes import NetworkPolicy, PolicyPeer, PolicyPort, PolicyRule
from testbed.model.lab import Lab
from testbed.model.planning.pod_groups import selects
from testbed.model.planning.resolved import PlannedPod
from testbed.observe.matrix.cloud import DeniedError, Traffic

_NAME_LABEL = "kubernetes.io/metadata.name"


@dataclass(frozen=True)
class Policies:
    """``lab`` has the policies and the namespaces' labels, ``pods`` those that are planned."""

    lab: Lab
    pods: tuple[PlannedPod, ...]

    @cached_property
    def _by_owner(self) -> dict[tuple[str, IPv4Address | None], PlannedPod]:
        return {(pod.owner, pod.address): pod for pod in self.pods if pod.model is NetworkModel.TUNNEL}

    def judge(
        self,
        source: tuple[str, IPv4Address],
        destination: tuple[str, IPv4Address],
        traffic: Traffic,
        from_node: bool,
    ) -> None:
        """``source``, ``destination``: owner and address. Raises ``DeniedError`` naming the policies that isolate."""
        if not self.lab.network_policies:
            return
        one, other = self._by_owner.get(source), self._by_owner.get(destination)
        if one is not None:
            self._may(one, other, destination[1], traffic, other, egress=True)
        if other is not None and not from_node:
            self._may(other, one, source[1], traffic, other, egress=False)

    def _may(
        self,
        pod: PlannedPod,
        peer: PlannedPod | None,
        address: IPv4Address,
        traffic: Traffic,
        receiver: PlannedPod | None,
        *,
        egress: bool,
    ) -> None:
        isolating = list(self._isolating(pod, egress))
        if not isolating:
            return
        for policy in isolating:
            for rule in (policy.egress if egress else policy.ingress) or ():
                if self._fits(rule, policy.namespace, peer, address) and _has_port(rule, traffic, receiver):
                    return
        names = ", ".join(policy.name for policy in isolating)
        way = "to" if egress else "from"
        raise DeniedError(f"NetworkPolicy {names} of {pod.name} allows no {traffic} {way} {address}")

    def _isolating(self, pod: PlannedPod, egress: bool) -> Iterator[NetworkPolicy]:
        for policy in self.lab.network_policies:
            same = (policy.cluster, policy.namespace) == (pod.cluster, pod.namespace)
            rules = policy.egress if egress else policy.ingress
            if same and rules is not None and selects(policy.selector, dict(pod.template.labels)):
                yield policy

    def _fits(self, rule: PolicyRule, namespace: str, peer: PlannedPod | None, address: IPv4Address) -> bool:
        return not rule.peers or any(self._is(wanted, namespace, peer, address) for wanted in rule.peers)

    def _is(self, wanted: PolicyPeer, namespace: str, peer: PlannedPod | None, address: IPv4Address) -> bool:
        if wanted.cidr is not None:
            return address in wanted.cidr and not any(address in cidr for cidr in wanted.excepted)
        if peer is None:
            return False
        if wanted.namespaces is None:
            there = peer.namespace == namespace
        else:
            there = selects(wanted.namespaces, self._labels_of(peer.namespace))
        return there and (wanted.pods is None or selects(wanted.pods, dict(peer.template.labels)))

    def _labels_of(self, namespace: str) -> dict[str, str]:
        own = next((dict(one.labels) for one in self.lab.namespaces if one.name == namespace), {})
        return {_NAME_LABEL: namespace, **own}


def _has_port(rule: PolicyRule, traffic: Traffic, receiver: PlannedPod | None) -> bool:
    return not rule.ports or any(_is_port(port, traffic, receiver) for port in rule.ports)


def _is_port(wanted: PolicyPort, traffic: Traffic, receiver: PlannedPod | None) -> bool:
    if traffic.protocol is Protocol.ICMP or wanted.protocol.lower() != traffic.protocol:
        return False
    if not wanted.port:
        return True
    if wanted.port.isdigit():
        return int(wanted.port) <= traffic.port <= (wanted.end_port or int(wanted.port))
    containers = receiver.template.spec.containers if receiver else ()
    return any(
        (port.name, port.protocol.upper(), port.port) == (wanted.port, wanted.protocol.upper(), traffic.port)
        for container in containers
        for port in container.ports
    )
