"""What would let a packet through that was dropped: the change that the user can make, in the words of the YAML."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.model.desired import Direction, Eni, NetworkModel, ServicePort
from testbed.observe.trace.advice_services import advise_balance
from testbed.observe.trace.machine import Machine
from testbed.observe.trace.packet import Packet
from testbed.observe.trace.results import STRANGER, HopKind, Question, Way


@dataclass(frozen=True, slots=True)
class _Case:
    machine: Machine
    question: Question
    packet: Packet
    host: str

    def eni(self, address: IPv4Address) -> Eni | None:
        return next((eni for eni in self.machine.view.fabric.enis if eni.address == address), None)

    def tunnel_pod(self, address: IPv4Address) -> bool:
        return any(
            cluster.model is NetworkModel.TUNNEL and cluster.container_cidr and address in cluster.container_cidr
            for cluster in self.machine.view.clusters.clusters
        )

    def public(self, address: IPv4Address) -> bool:
        memory = self.machine.view.memory
        return any(host.vpc is None and host.address == address for host in memory.hosts) or any(
            eip.address == address for eip in memory.eips
        )

    def service(self, address: IPv4Address) -> ServicePort | None:
        """Of a cluster address."""
        ports = [port for cluster in self.machine.view.clusters.clusters for port in cluster.services]
        return next((port for port in ports if port.cluster_ip == address), None)

    def pod_range(self, address: IPv4Address) -> str:
        """The container range that an address is of, "" for none."""
        for cluster in self.machine.view.clusters.clusters:
            if cluster.container_cidr and address in cluster.container_cidr:
                return str(cluster.container_cidr)
        return ""


def advise(machine: Machine, question: Question, way: Way) -> str:
    """One sentence, or "" where there is nothing to do."""
    hop = way.last
    if hop is None or hop.kind is not HopKind.SWITCH or not hop.decisions:
        return ""
    if hop.decisions[-1].why.startswith(STRANGER):
        return "that flow taken away, as its controller does within seconds while it runs; see: lab status"
    host, _, bridge = hop.where.rpartition("/")
    case, table = _Case(machine, question, way.packet, host), hop.decisions[-1].what
    known = _BY_TABLE.get((bridge, table))
    return known(case) if known else ""


def from_outside(service: ServicePort) -> str:
    """How a Service is reached where its cluster address means nothing."""
    ways = [f"{address}, port {service.port}" for address in service.external_addresses]
    if service.node_port is not None:
        ways.append(f"a node's address, port {service.node_port}")
    if not ways:
        return f"another type of Service {service.service}: NodePort or LoadBalancer; its cluster address is for inside"
    return f"from outside of the cluster: {' or '.join(ways)}"


def advise_answer(machine: Machine, back: Way) -> str:
    """When the answer comes from another address than was asked: by the elastic IP of who answers."""
    eip = next((eip for eip in machine.view.memory.eips if eip.address == back.packet.source and eip.eni), None)
    if eip is None:
        return ""
    return (
        f"elastic IP {eip.name} not bound to {(eip.bound_to or '?').rpartition('/')[2]}: an interface that has one "
        "sends by it, past the NAT gateway"
    )


def _ingress(case: _Case) -> str:
    return _rule(case, Direction.INGRESS, case.packet.destination, case.packet.source)


def _egress(case: _Case) -> str:
    return _rule(case, Direction.EGRESS, case.packet.source, case.packet.destination)


def _rule(case: _Case, direction: Direction, mine: IPv4Address, other: IPv4Address) -> str:
    eni = case.eni(mine)
    groups = eni.security_groups if eni else ()
    if not groups:
        return f"a security group with an {direction} rule for {mine}"
    names = " or ".join(_group(case, name) for name in groups)
    port = f", ports: {case.packet.destination_port}" if case.packet.protocol != "icmp" else ""
    rule = f"{{protocol: {case.packet.protocol}{port}, cidr: {other}/32}}"
    return f"an {direction} rule of security group {names}: {rule}"


def _group(case: _Case, name: str) -> str:
    _, source = case.machine.owners.read(f"SecurityGroup/{name}")
    return f"{name.rpartition('/')[2]}{f' ({source})' if source else ''}"


def _no_route(case: _Case) -> str:
    destination, source = case.packet.destination, case.packet.source
    if service := case.service(destination):
        return from_outside(service)
    if case.tunnel_pod(destination):
        return _BY_SERVICE
    if case.public(destination):
        return (
            f"an ElasticIP bound to what has {source}, or a NatGateway with an SNAT rule for {source}'s subnet and a "
            "route 0.0.0.0/0 to it"
        )
    wanted = case.pod_range(destination) or f"{destination}/32"
    return f"a route for {wanted} in the route table of {source}'s subnet"


_BY_SERVICE = (
    "a Service (NodePort or LoadBalancer), for pods of the tunnel model have no way in from outside of the cluster; or "
    "another network model"
)


def _arrival(case: _Case) -> str:
    if case.tunnel_pod(case.packet.destination):
        return _BY_SERVICE
    return f"somebody with the address {case.packet.destination}, or a route for it in the VPC where it arrives"


def _nobody(case: _Case) -> str:
    address, memory = case.packet.destination, case.machine.view.memory
    known = {pod.address for pod in memory.pods} | {node.address for node in memory.nodes}
    if address in known | {host.address for host in memory.hosts}:
        return ""
    return f"a pod, node or server with the address {address}; nobody has it"


def _internet(case: _Case) -> str:
    if service := case.service(case.packet.destination):
        return from_outside(service)
    eni = case.eni(case.packet.destination)
    if eni is not None:
        for eip in case.machine.view.fabric.eips:
            if eip.eni == eni.id:
                return f"the elastic IP of {eni.name}, {eip.address}: the internet knows no private addresses"
        return f"an ElasticIP bound to {eni.name}: the internet knows no private addresses"
    return f"an InternetHost or a bound ElasticIP with the address {case.packet.destination}; nobody has it"


def _snat(case: _Case) -> str:
    return f"an SNAT rule of the NAT gateway for {case.packet.source}"


def _dnat(case: _Case) -> str:
    packet = case.packet
    return f"a DNAT rule of the NAT gateway for {packet.destination}, {packet.protocol} port {packet.destination_port}"


def _spoof(case: _Case) -> str:
    return (
        f"{case.packet.source} is not the address of the interface that it comes from; what forwards for others needs "
        "sourceDestCheck: false"
    )


def _into_node(case: _Case) -> str:
    if case.tunnel_pod(case.packet.destination):
        return _BY_SERVICE
    return _nobody(case)


def _balance(case: _Case) -> str:
    return advise_balance(case.machine.view, case.packet, case.host)


_BY_TABLE: dict[tuple[str, str], Callable[[_Case], str]] = {
    ("vpc", "spoof_guard"): _spoof,
    ("vpc", "egress_rules"): _egress,
    ("vpc", "ingress_rules"): _ingress,
    ("vpc", "routing"): _no_route,
    ("vpc", "internet_exit"): _no_route,
    ("vpc", "arrival"): _arrival,
    ("vpc", "deliver"): _nobody,
    ("vpc", "internet"): _internet,
    ("vpc", "nat_out"): _snat,
    ("vpc", "nat_in"): _dnat,
    ("br-ex", "entry"): _into_node,
    ("br-int", "balance"): _balance,
    ("br-int", "local"): _nobody,
    ("br-int", "remote"): _nobody,
}
