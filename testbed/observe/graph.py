"""The running lab as a picture: what is inside what, and what hangs on the cloud. Pure; rendering is elsewhere.

Pods that a cluster brings with it (cluster DNS) are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from testbed.model.planning.dns import NAMESPACE
from testbed.model.planning.resolved import PlannedHost
from testbed.operations.memory import Memory

MOST_PODS = 24
"""More pods of a node than this are drawn as a number."""

MOST_LINES = 8
"""More routes, rules or endpoints of an object than this are a number."""


@dataclass(frozen=True, slots=True)
class Box:
    """An object: ``kind`` is ``node``, ``server``, ``balancer``, ``internet``, ``eip``, ``pod``, ``table``, ``nat``,
    ``peering``, ``service``, ``ingress`` or ``group``; ``lines`` are under its name.

    ``id`` is what flows and wiring call it (``Pod/default/web-0``). ``groups`` are the numbers of its security groups,
    ``number`` is that of a group. ``rest`` are lines for which the picture has no room. ``to``: ids of what it leads
    to.
    """

    kind: str
    name: str
    lines: tuple[str, ...]
    inside: tuple[Box, ...] = ()
    more: int = 0
    id: str = ""
    groups: tuple[int, ...] = ()
    number: int = 0
    rest: tuple[str, ...] = ()
    to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SubnetBox:
    name: str
    cidr: str
    boxes: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class VpcBox:
    """``tables`` are its route tables, ``ways`` its NAT gateways and peerings."""

    name: str
    cidrs: str
    subnets: tuple[SubnetBox, ...]
    tables: tuple[Box, ...] = ()
    ways: tuple[Box, ...] = ()


@dataclass(frozen=True, slots=True)
class TunnelBox:
    """The tunnels between all nodes of a cluster; ``nodes`` are their boxes' ids."""

    id: str
    title: str
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """``caption``: ``lab demo, generation 3, tunnel, userspace datapath``. What follows ``vpcs`` are layers."""

    caption: str
    internet: tuple[Box, ...]
    vpcs: tuple[VpcBox, ...]
    tunnels: tuple[TunnelBox, ...] = ()
    services: tuple[Box, ...] = ()
    groups: tuple[Box, ...] = ()
    eips: tuple[Box, ...] = ()


def listing(kind: str, name: str, lines: Sequence[str], owner: str, to: tuple[str, ...] = ()) -> Box:
    """A box with as many lines as there is room for."""
    if len(lines) <= MOST_LINES:
        return Box(kind, name, tuple(lines), id=owner, to=to)
    shown = (*lines[: MOST_LINES - 1], f"and {len(lines) - MOST_LINES + 1} more")
    return Box(kind, name, shown, id=owner, rest=tuple(lines[MOST_LINES - 1 :]), to=to)


def plan_picture(lab: str, memory: Memory) -> Picture:
    models = ", ".join(f"cluster {cluster.name}: {cluster.model} model" for cluster in memory.lab.clusters)
    parts = [f"lab {lab}", f"generation {memory.generation}", models, f"{memory.datapath} datapath"]
    internet = tuple(
        Box("internet", host.name, (str(host.address),), id=host.owner) for host in memory.hosts if host.vpc is None
    )
    vpcs = tuple(
        VpcBox(vpc.name, ", ".join(map(str, vpc.cidrs)), _subnets(memory, vpc.name)) for vpc in memory.lab.vpcs
    )
    return Picture("; ".join(filter(None, parts)), internet, vpcs)


def _subnets(memory: Memory, vpc: str) -> tuple[SubnetBox, ...]:
    return tuple(
        SubnetBox(subnet.name, str(subnet.cidr), (*_nodes(memory, subnet.name), *_servers(memory, subnet.name)))
        for subnet in memory.lab.subnets
        if subnet.vpc == vpc
    )


def _nodes(memory: Memory, subnet: str) -> tuple[Box, ...]:
    boxes = []
    for node in memory.nodes:
        if node.subnet != subnet:
            continue
        pods = [
            Box("pod", pod.name, (str(pod.address),), id=pod.owner)
            for pod in memory.pods
            if (pod.cluster, pod.node) == (node.cluster, node.name) and pod.namespace != NAMESPACE
        ]
        blocks = (", ".join(map(str, node.blocks)),) if node.blocks else ()
        more = max(0, len(pods) - MOST_PODS)
        lines = (str(node.address), *blocks)
        boxes.append(Box("node", node.name, lines, tuple(pods[:MOST_PODS]), more, node.owner))
    return tuple(boxes)


def _servers(memory: Memory, subnet: str) -> tuple[Box, ...]:
    return tuple(
        Box("balancer" if host.balancer else "server", host.name, (str(host.address), *_role(host)), id=host.owner)
        for host in memory.hosts
        if host.vpc is not None and host.subnet == subnet
    )


def _role(host: PlannedHost) -> tuple[str, ...]:
    if host.balancer:
        return ("load balancer",)
    return ("control plane",) if host.cluster else ()
