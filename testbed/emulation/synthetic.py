"""A lab of N nodes and M pods as bare wiring, for measuring: no cloud, no cluster, no controller program."""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv4Network

from testbed.model.wiring import (
    Address,
    Bridge,
    Endpoint,
    Namespace,
    NamespaceKind,
    Port,
    PortKind,
    Route,
    Switch,
    Veth,
    Wiring,
)

_DEFAULT_ROUTE = IPv4Network("0.0.0.0/0")
_FIRST_POD_PORT = 100


def synthetic_wiring(nodes: int, pods: int) -> Wiring:
    """``nodes`` nodes (at most 250) on one fabric switch, ``pods`` pods spread over them, at most 250 on a node.

    Node i has address 192.168.0.i/24 on br-ex, pod j of node i 10.0.i.j/24 with gateway 10.0.i.254 on br-int.
    """
    parts = [_fabric(nodes)]
    for node in range(1, nodes + 1):
        count = pods // nodes + (1 if node <= pods % nodes else 0)
        parts.append(_node(node, count))
    return Wiring(
        namespaces=tuple(item for part in parts for item in part.namespaces),
        veths=tuple(item for part in parts for item in part.veths),
        switches=tuple(item for part in parts for item in part.switches),
        addresses=tuple(item for part in parts for item in part.addresses),
        routes=tuple(item for part in parts for item in part.routes),
    )


def _fabric(nodes: int) -> Wiring:
    ports = tuple(Port(f"n{n}", n, PortKind.SYSTEM, f"Node/n{n}") for n in range(1, nodes + 1))
    bridge = Bridge("vpc", 0xFAB, "fabric", "02:fa:00:00:00:01", 1500, ports, "Lab/fabric")
    return Wiring(
        namespaces=(Namespace("fabric", NamespaceKind.FABRIC, "Lab/fabric"),),
        switches=(Switch("fabric", (bridge,), "Lab/fabric"),),
    )


def _node(node: int, pods: int) -> Wiring:
    name, owner = f"n{node}", f"Node/n{node}"
    uplink = Veth(Endpoint(name, "eth0", _mac(1, node, 0)), Endpoint("fabric", name, _mac(2, node, 0)), 1500, owner)
    numbers = range(1, pods + 1)
    outer = (
        Port("eth0", 1, PortKind.SYSTEM, owner),
        Port("patch-int", 10, PortKind.PATCH, owner, (("peer", "patch-ex"),)),
    )
    inner = (
        Port("patch-ex", 1, PortKind.PATCH, owner, (("peer", "patch-int"),)),
        *(Port(f"p{pod}", _FIRST_POD_PORT + pod, PortKind.SYSTEM, _pod_owner(node, pod)) for pod in numbers),
    )
    bridges = (
        Bridge("br-ex", 0xE000 + node, "cluster", _mac(3, node, 0), 1500, outer, owner),
        Bridge("br-int", 0x1000 + node, "cluster", _mac(4, node, 0), 1500, inner, owner),
    )
    return Wiring(
        namespaces=(
            Namespace(name, NamespaceKind.NODE, owner, (("net.ipv4.ip_forward", "1"),)),
            *(Namespace(_pod(node, pod), NamespaceKind.POD, _pod_owner(node, pod)) for pod in numbers),
        ),
        veths=(
            uplink,
            *(
                Veth(
                    Endpoint(_pod(node, pod), "eth0", _mac(5, node, pod)),
                    Endpoint(name, f"p{pod}", _mac(6, node, pod)),
                    1450,
                    _pod_owner(node, pod),
                )
                for pod in numbers
            ),
        ),
        switches=(Switch(name, bridges, owner),),
        addresses=(
            Address(name, "br-ex", IPv4Interface(f"192.168.0.{node}/24"), owner),
            Address(name, "br-int", IPv4Interface(f"10.0.{node}.254/24"), owner),
            *(
                Address(_pod(node, pod), "eth0", IPv4Interface(f"10.0.{node}.{pod}/24"), _pod_owner(node, pod))
                for pod in numbers
            ),
        ),
        routes=tuple(
            Route(
                _pod(node, pod),
                _DEFAULT_ROUTE,
                "eth0",
                _pod_owner(node, pod),
                gateway=IPv4Interface(f"10.0.{node}.254/24").ip,
            )
            for pod in numbers
        ),
    )


def _pod(node: int, pod: int) -> str:
    return f"pod-{node}-{pod}"


def _pod_owner(node: int, pod: int) -> str:
    return f"Pod/default/{_pod(node, pod)}"


def _mac(kind: int, node: int, pod: int) -> str:
    return f"02:{kind:02x}:00:00:{node:02x}:{pod:02x}"
