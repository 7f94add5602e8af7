"""Small wirings for the tests."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network

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

DEFAULT = IPv4Network("0.0.0.0/0")


def node_with_pods(*pods: str, node: str = "n1") -> Wiring:
    """One node with a switch whose br-int has a port for each pod; pod i is 10.0.0.i+1 behind gateway 10.0.0.254."""
    owner = f"Node/{node}"
    ports = tuple(Port(f"p-{pod}", 100 + i, PortKind.SYSTEM, f"Pod/default/{pod}") for i, pod in enumerate(pods))
    bridge = Bridge("br-int", 0x11, "cluster", "02:00:00:00:01:01", 1450, ports, owner, ("start", "end"))
    return Wiring(
        namespaces=(
            Namespace(node, NamespaceKind.NODE, owner, (("net.ipv4.ip_forward", "1"),)),
            *(Namespace(pod, NamespaceKind.POD, f"Pod/default/{pod}") for pod in pods),
        ),
        veths=tuple(
            Veth(
                Endpoint(pod, "eth0", f"02:00:00:00:02:{i:02x}"),
                Endpoint(node, f"p-{pod}", f"02:00:00:00:03:{i:02x}"),
                1450,
                f"Pod/default/{pod}",
            )
            for i, pod in enumerate(pods)
        ),
        switches=(Switch(node, (bridge,), owner),),
        addresses=(
            Address(node, "br-int", IPv4Interface("10.0.0.254/24"), owner),
            *(
                Address(pod, "eth0", IPv4Interface(f"10.0.0.{i + 1}/24"), f"Pod/default/{pod}")
                for i, pod in enumerate(pods)
            ),
        ),
        routes=tuple(
            Route(pod, DEFAULT, "eth0", f"Pod/default/{pod}", gateway=IPv4Address("10.0.0.254")) for pod in pods
        ),
        firewalls=(Firewall(node, "table ip nat {\n}\n", owner),),
        tunnel_neighbours=(TunnelNeighbour(node, "br-int", IPv4Address("192.168.0.2"), "02:00:00:00:04:01"),),
        offloads=tuple(Offload(pod, "eth0") for pod in pods),
    )
