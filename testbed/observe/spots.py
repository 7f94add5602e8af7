"""Which devices the packets of an object pass: its own, and those on the way from it to the cloud. Pure.

web-0/eth0, n1/p100, n1/br-int, n1/br-ex, n1/eth0, fabric/e1
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from testbed.emulation.rundir import RunDir
from testbed.model.planning.names import FABRIC
from testbed.model.wiring import Wiring
from testbed.observe.sniffing import Place
from testbed.observe.subjects import Subject
from testbed.operations.errors import BadRequestError


@dataclass(frozen=True, slots=True)
class Spot:
    """A place with what it is. ``shared``: packets of others pass as well."""

    place: Place
    description: str
    shared: bool = False


@dataclass(frozen=True)
class Map:
    """The lab's devices."""

    rundir: RunDir
    wiring: Wiring

    def own(self, subject: Subject) -> Iterator[Spot]:
        """Its own interfaces: the ends of veth pairs in its namespace; of a node those to the cloud."""
        is_node = subject.namespace == subject.node
        for device, (peer, _) in self._links(subject.namespace):
            if peer == FABRIC or not is_node:
                yield self._spot(subject.namespace, device, f"{subject.owner}, its {device}")

    def every_hop(self, subject: Subject) -> Iterator[Spot]:
        """From it to the cloud, in this order."""
        if subject.namespace != subject.node:
            yield from self.own(subject)
            for _, (namespace, device) in self._links(subject.namespace):
                what = "port of the fabric" if namespace == FABRIC else f"port of br-int on {namespace}"
                yield self._spot(namespace, device, f"{subject.owner}, its {what}")
        if subject.node:
            yield from self._node(subject)

    def _node(self, subject: Subject) -> Iterator[Spot]:
        shared = subject.namespace != subject.node
        for bridge in self._bridges(subject.node):
            yield self._spot(subject.node, bridge, f"Node/{subject.node}, its own port of {bridge}", shared)
        for device, (namespace, peer) in self._links(subject.node):
            if namespace == FABRIC:
                yield self._spot(subject.node, device, f"Node/{subject.node}, its {device}", shared)
                yield self._spot(FABRIC, peer, f"Node/{subject.node}, the fabric's end of its {device}", shared)

    def at(self, word: str) -> Spot:
        """``n1/eth0``. Raises ``BadRequestError`` with what there is."""
        namespace, _, device = word.partition("/")
        devices = [*self._bridges(namespace), *(device for device, _ in self._links(namespace))]
        if device not in devices:
            known = ", ".join(f"{namespace}/{one}" for one in devices) or "none: there is no such namespace"
            raise BadRequestError(f"there is no {word} to capture at; there are: {known}")
        owner = next(one.owner for one in self.wiring.namespaces if one.name == namespace)
        return self._spot(namespace, device, f"{owner}, its {device}")

    def _spot(self, namespace: str, device: str, description: str, shared: bool = False) -> Spot:
        place = Place(f"{namespace}/{device}", self.rundir.namespace(namespace), device)
        return Spot(place, description, shared)

    def _links(self, namespace: str) -> Iterator[tuple[str, tuple[str, str]]]:
        """(device, (namespace, device) at the other end) of each veth pair with an end there."""
        for veth in self.wiring.veths:
            for mine, other in ((veth.a, veth.b), (veth.b, veth.a)):
                if mine.namespace == namespace:
                    yield mine.interface, (other.namespace, other.interface)

    def _bridges(self, namespace: str) -> Sequence[str]:
        return [b.name for one in self.wiring.switches if one.namespace == namespace for b in reversed(one.bridges)]
