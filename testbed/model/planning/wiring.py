"""The wiring of a planned lab: namespaces, links, switches, addresses, routes and firewalls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from testbed.model import tables
from testbed.model.cloud import Cluster, Subnet
from testbed.model.desired import (
    CARRIER_PORT,
    DISGUISE_ZONE,
    GATEWAY_MAC,
    PATCH_EX_PORT,
    PATCH_INT_PORT,
    SERVICE_ZONE,
    TUNNEL_PORT,
    UPLINK_PORT,
    VIRTUAL_RANGE,
    NetworkModel,
    ServicePort,
)
from testbed.model.lab import Lab
from testbed.model.planning import firewall
from testbed.model.planning.dns import resolver_of
from testbed.model.planning.names import (
    FABRIC,
    FABRIC_BRIDGE,
    FABRIC_DATAPATH,
    LINK_LOCAL_GATEWAY,
    eni_mac,
    ex_datapath,
    fabric_interface,
    int_datapath,
    pod_interface,
    service_link_mac,
)
from testbed.model.planning.resolved import PlannedHost, PlannedNode, PlannedPod
from testbed.model.wiring import (
    Address,
    Bridge,
    Endpoint,
    Firewall,
    Namespace,
    NamespaceKind,
    Offload,
    Port,
    PortKind,
    Route,
    Switch,
    TunnelNeighbour,
    Veth,
    Wiring,
)

VXLAN_OVERHEAD = 50
"""Bytes that VXLAN adds on IPv4: inner Ethernet 14, IP 20, UDP 8, VXLAN 8."""

DEFAULT = IPv4Network("0.0.0.0/0")

_NODE_SYSCTLS = (
    ("net.ipv4.ip_forward", "1"),
    # Replies of pods come in on br-int for connections that went out on br-ex, and the other way round.
    ("net.ipv4.conf.all.rp_filter", "0"),
    ("net.ipv4.conf.default.rp_filter", "0"),
    # What enters and leaves by one bridge does so on purpose.
    ("net.ipv4.conf.all.send_redirects", "0"),
    ("net.ipv4.conf.default.send_redirects", "0"),
)


def plan_wiring(
    lab: Lab,
    nodes: Sequence[PlannedNode],
    pods: Sequence[PlannedPod],
    hosts: Sequence[PlannedHost],
    datapath: str,
    services: Mapping[str, Sequence[ServicePort]],
) -> Wiring:
    """``datapath`` is ``kernel`` or ``userspace``; the latter's limits decide about offloads and neighbours.

    ``services`` by cluster.
    """
    scene = _Scene(lab, nodes, pods, hosts, datapath == "userspace", services)
    return Wiring(
        namespaces=tuple(scene.namespaces()),
        veths=tuple(scene.veths()),
        switches=tuple(scene.switches()),
        addresses=tuple(scene.addresses()),
        routes=tuple(scene.routes()),
        firewalls=tuple(scene.firewalls()),
        tunnel_neighbours=tuple(scene.tunnel_neighbours()),
        offloads=tuple(scene.offloads()),
    )


class _Scene:
    def __init__(
        self,
        lab: Lab,
        nodes: Sequence[PlannedNode],
        pods: Sequence[PlannedPod],
        hosts: Sequence[PlannedHost],
        userspace: bool,
        services: Mapping[str, Sequence[ServicePort]],
    ) -> None:
        self._services = services
        self._nodes, self._hosts, self._userspace = nodes, hosts, userspace
        self._pods = [pod for pod in pods if pod.node is not None and not pod.host_network]
        self._clusters: Mapping[str, Cluster] = {cluster.name: cluster for cluster in lab.clusters}
        self._subnets: Mapping[str, Subnet] = {subnet.name: subnet for subnet in lab.subnets}
        self._underlay = max((cluster.underlay_mtu for cluster in lab.clusters), default=1500)
        self._node_of = {(node.cluster, node.name): node for node in nodes}

    # namespaces ------------------------------------------------------------------------------------------

    def namespaces(self) -> Iterator[Namespace]:
        yield Namespace(FABRIC, NamespaceKind.FABRIC, "Fabric")
        for node in self._nodes:
            yield Namespace(node.name, NamespaceKind.NODE, node.owner, _NODE_SYSCTLS)
        for pod in self._pods:
            nameserver, search = resolver_of(pod, self._clusters)
            yield Namespace(pod.host, NamespaceKind.POD, pod.owner, nameserver=nameserver, search=search)
        for host in self._hosts:
            kind = NamespaceKind.SERVER if host.vpc else NamespaceKind.INTERNET
            if host.balancer:
                kind = NamespaceKind.LOAD_BALANCER
            sysctls = () if host.source_dest_check else (("net.ipv4.ip_forward", "1"),)
            yield Namespace(host.name, kind, host.owner, sysctls)

    # links -----------------------------------------------------------------------------------------------

    def veths(self) -> Iterator[Veth]:
        for node in self._nodes:
            yield self._fabric_link(node.name, "eth0", node.mac, node.eni, node.owner)
            if node.carrier is not None:
                yield self._fabric_link(node.name, "eth1", eni_mac(node.carrier), node.carrier, node.owner)
        for host in self._hosts:
            yield self._fabric_link(host.name, "eth0", host.mac, host.eni, host.owner)
        for pod in self._pods:
            yield from self._pod_links(pod)

    def _fabric_link(self, namespace: str, interface: str, mac: str, port: int, owner: str) -> Veth:
        far = Endpoint(FABRIC, fabric_interface(port), f"fe:16:3e:01:{port >> 8:02x}:{port & 0xFF:02x}")
        return Veth(Endpoint(namespace, interface, mac), far, self._underlay, owner)

    def _pod_links(self, pod: PlannedPod) -> Iterator[Veth]:
        assert pod.node is not None
        far = Endpoint(pod.node, pod_interface(pod.port), "fe" + pod.mac[2:])
        exclusive = pod.nic is not None and pod.nic.vlan is None
        if exclusive and pod.nic is not None:
            yield self._fabric_link(pod.host, "eth0", pod.mac, pod.nic.eni, pod.owner)
            yield Veth(Endpoint(pod.host, "eth1", service_link_mac(pod.mac)), far, self._underlay, pod.owner)
            return
        yield Veth(Endpoint(pod.host, "eth0", pod.mac), far, self._pod_mtu(pod), pod.owner)

    def _pod_mtu(self, pod: PlannedPod) -> int:
        cluster = self._clusters[pod.cluster]
        return cluster.underlay_mtu - (VXLAN_OVERHEAD if cluster.model is NetworkModel.TUNNEL else 0)

    # switches --------------------------------------------------------------------------------------------

    def switches(self) -> Iterator[Switch]:
        yield Switch(FABRIC, (self._fabric_bridge(),), "Fabric")
        pods: dict[tuple[str, str], list[PlannedPod]] = {}
        for pod in self._pods:
            assert pod.node is not None
            pods.setdefault((pod.cluster, pod.node), []).append(pod)
        for node in self._nodes:
            bridges = (self._ex_bridge(node), self._int_bridge(node, pods.get((node.cluster, node.name), ())))
            yield Switch(node.name, bridges, node.owner, (SERVICE_ZONE, DISGUISE_ZONE))

    def _fabric_bridge(self) -> Bridge:
        ports = []
        for veth in self.veths():
            if veth.b.namespace == FABRIC:
                number = int(veth.b.interface.removeprefix("e"))
                ports.append(Port(veth.b.interface, number, PortKind.SYSTEM, veth.owner))
        mac, mtu = GATEWAY_MAC, self._underlay
        return Bridge(FABRIC_BRIDGE, FABRIC_DATAPATH, "fabric", mac, mtu, tuple(ports), "Fabric", tables.VPC)

    def _ex_bridge(self, node: PlannedNode) -> Bridge:
        ports = [Port("eth0", UPLINK_PORT, PortKind.SYSTEM, node.owner)]
        if node.carrier is not None:
            ports.append(Port("eth1", CARRIER_PORT, PortKind.SYSTEM, node.owner))
        patch = (("peer", "patch-ex"),)
        ports.append(Port("patch-int", PATCH_INT_PORT, PortKind.PATCH, node.owner, patch))
        mtu = self._clusters[node.cluster].underlay_mtu
        datapath = ex_datapath(node.index)
        return Bridge(
            "br-ex", datapath, "cluster", node.mac, mtu, tuple(ports), node.owner, tables.BR_EX, by_prefix=False
        )

    def _int_bridge(self, node: PlannedNode, pods: Iterable[PlannedPod]) -> Bridge:
        cluster = self._clusters[node.cluster]
        ports = [Port("patch-ex", PATCH_EX_PORT, PortKind.PATCH, node.owner, (("peer", "patch-int"),))]
        mtu = cluster.underlay_mtu
        if cluster.model is NetworkModel.TUNNEL:
            # Flows set the tunnel's destination and VNI; UDP checksums outside are left out, as RFC 7348 allows.
            options = (("remote_ip", "flow"), ("key", "flow"), ("dst_port", "4789"), ("csum", "false"))
            ports.append(Port("vxlan", TUNNEL_PORT, PortKind.VXLAN, node.owner, options))
            mtu -= VXLAN_OVERHEAD
        ports += [Port(pod_interface(pod.port), pod.port, PortKind.SYSTEM, pod.owner) for pod in pods]
        datapath = int_datapath(node.index)
        return Bridge(
            "br-int", datapath, "cluster", node.int_mac, mtu, tuple(ports), node.owner, tables.BR_INT, by_prefix=False
        )

    # addresses and routes --------------------------------------------------------------------------------

    def addresses(self) -> Iterator[Address]:
        for node in self._nodes:
            cidr = self._subnets[node.subnet].cidr
            yield Address(node.name, "br-ex", _interface(node.address, cidr), node.owner)
        for host in self._hosts:
            host_cidr = self._subnets[host.subnet].cidr if host.subnet else None
            yield Address(host.name, "eth0", _interface(host.address, host_cidr), host.owner)
            if host.sends_as is not None:
                yield Address(host.name, "eth0", _interface(host.sends_as, None), host.owner)
        for pod in self._pods:
            assert pod.address is not None
            pod_cidr = self._subnets[pod.nic.subnet].cidr if pod.nic else None
            yield Address(pod.host, "eth0", _interface(pod.address, pod_cidr), pod.owner)

    def routes(self) -> Iterator[Route]:
        for node in self._nodes:
            yield from self._node_routes(node)
        for host in self._hosts:
            yield from self._default_route(host.name, host.subnet, host.owner)
        for pod in self._pods:
            yield from self._default_route(pod.host, pod.nic.subnet if pod.nic else None, pod.owner)
            if pod.nic is not None and pod.nic.vlan is None:
                service_cidr = self._clusters[pod.cluster].service_cidr
                yield Route(pod.host, service_cidr, "eth1", pod.owner, source=pod.address)

    def _default_route(self, namespace: str, subnet: str | None, owner: str) -> Iterator[Route]:
        """By the subnet's gateway; alone on its link by a link-local next hop that its switch answers for."""
        if subnet is not None:
            yield Route(namespace, DEFAULT, "eth0", owner, gateway=self._subnets[subnet].gateway)
            return
        yield Route(namespace, IPv4Network(LINK_LOCAL_GATEWAY), "eth0", owner)
        yield Route(namespace, DEFAULT, "eth0", owner, gateway=LINK_LOCAL_GATEWAY)

    def _node_routes(self, node: PlannedNode) -> Iterator[Route]:
        cluster = self._clusters[node.cluster]
        yield Route(node.name, DEFAULT, "br-ex", node.owner, gateway=self._subnets[node.subnet].gateway)
        for served in (cluster.service_cidr, VIRTUAL_RANGE):
            yield Route(node.name, served, "br-int", node.owner, source=node.address)
        if cluster.model is NetworkModel.TUNNEL and cluster.container_cidr:
            yield Route(node.name, cluster.container_cidr, "br-int", node.owner, source=node.address)
        elif cluster.model is NetworkModel.VPC:
            for block in node.blocks:
                yield Route(node.name, block, "br-int", node.owner, source=node.address)

    # what a real node's kernel does ----------------------------------------------------------------------

    def firewalls(self) -> Iterator[Firewall]:
        for node in self._nodes:
            ruleset = firewall.render_node_ruleset(
                self._clusters[node.cluster], node, self._services.get(node.cluster, ())
            )
            yield Firewall(node.name, ruleset, node.owner)

    # limits of the userspace datapath --------------------------------------------------------------------

    def tunnel_neighbours(self) -> Iterator[TunnelNeighbour]:
        """Open vSwitch in user space resolves tunnel peers itself and drops what it sends meanwhile."""
        tunnel = [node for node in self._nodes if self._clusters[node.cluster].model is NetworkModel.TUNNEL]
        for node in tunnel if self._userspace else ():
            for peer in tunnel:
                if peer is node or peer.cluster != node.cluster:
                    continue
                same_link = peer.address in self._subnets[node.subnet].cidr
                address = peer.address if same_link else self._subnets[node.subnet].gateway
                yield TunnelNeighbour(node.name, "br-ex", address, peer.mac if same_link else GATEWAY_MAC)

    def offloads(self) -> Iterator[Offload]:
        """Open vSwitch 3.1 in user space can't tunnel frames that still need segmenting or a checksum.

        Any sender's frames may end in a VXLAN port (through a NodePort), and on the way there a translated address
        spoils a checksum that was left for later. So in a lab with a tunnel network everybody sends frames whole.
        """
        if not self._userspace or not self._tunnelled():
            return
        for node in self._nodes:
            yield Offload(node.name, "br-ex")
            yield Offload(node.name, "br-int")
        for host in self._hosts:
            yield Offload(host.name, "eth0")
        for pod in self._pods:
            yield Offload(pod.host, "eth0")
            if pod.nic is not None and pod.nic.vlan is None:
                yield Offload(pod.host, "eth1")

    def _tunnelled(self) -> bool:
        return any(cluster.model is NetworkModel.TUNNEL for cluster in self._clusters.values())


def _interface(address: IPv4Address, cidr: IPv4Network | None) -> IPv4Interface:
    return IPv4Interface((int(address), cidr.prefixlen if cidr else 32))
