"""The lab's nodes, pods and hosts once they have addresses, MACs, ports and a place."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from testbed.model.cloud import NodePool
from testbed.model.desired import NetworkModel
from testbed.model.kubernetes import Container, Template
from testbed.model.source import Source


@dataclass(frozen=True, slots=True)
class PlannedNic:
    """A sub-ENI or ENI of a node: ``eni`` is its id, ``vlan`` None when it is an exclusive ENI."""

    eni: int
    address: IPv4Address
    subnet: str
    vlan: int | None
    pod: str  # its pod's key, empty while pre-bound


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """``eni`` is the id of the primary ENI and its port on the fabric; ``carrier`` the same for eth1."""

    cluster: str
    name: str
    owner: str
    index: int
    vpc: str
    subnet: str
    address: IPv4Address
    eni: int
    mac: str
    int_mac: str
    pool: NodePool
    source: Source
    blocks: tuple[IPv4Network, ...] = ()
    carrier: int | None = None
    carrier_address: IPv4Address | None = None
    carrier_subnet: str | None = None
    nics: tuple[PlannedNic, ...] = ()
    master: bool = False

    @property
    def key(self) -> str:
        return f"{self.cluster}/{self.name}"


@dataclass(frozen=True, slots=True)
class PlannedPod:
    """A pod. ``node`` None: it is Pending, for ``pending``'s reason. ``port`` is its port on br-int.

    ``slot`` is what its controller wants filled; deleting the pod gives the slot a new incarnation.
    """

    cluster: str
    namespace: str
    name: str
    key: str
    owner: str
    slot: str
    uid: str
    controller: str
    template: Template
    source: Source
    model: NetworkModel
    host: str = ""
    node: str | None = None
    address: IPv4Address | None = None
    mac: str = ""
    port: int = 0
    nic: PlannedNic | None = None
    security_groups: tuple[str, ...] = ()
    pending: str = ""

    @property
    def host_network(self) -> bool:
        return self.template.spec.host_network


@dataclass(frozen=True, slots=True)
class PlannedHost:
    """A master, server or load balancer (``vpc`` and ``subnet`` given) or an internet host.

    ``filtered`` False: no security group applies, as on a load balancer. ``sends_as``: an address that is its own too,
    which its programs choose to send with.
    """

    name: str
    owner: str
    address: IPv4Address
    eni: int
    mac: str
    containers: tuple[Container, ...]
    source: Source
    vpc: str | None = None
    subnet: str | None = None
    security_groups: tuple[str, ...] = ()
    source_dest_check: bool = True
    cluster: str | None = None  # a master belongs to one
    filtered: bool = True
    balancer: bool = False
    sends_as: IPv4Address | None = None
