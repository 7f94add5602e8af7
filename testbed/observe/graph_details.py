"""What a click on an object of the picture shows: addresses and routes of its kernel, rules, and its decoded flows."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from testbed.emulation.errors import EmulationError
from testbed.emulation.processes import run_in
from testbed.emulation.rundir import RunDir
from testbed.model.desired import Listener
from testbed.observe.flows import FlowLine, read_flows
from testbed.observe.graph import Box, Picture
from testbed.observe.graph_layers import group_id
from testbed.observe.owners import Owners
from testbed.observe.status import View

MOST_FLOWS = 60
"""More flows of an object than this are a number, with the verb that shows them."""

MOST_KERNELS = 200
"""Of a lab with more hosts than this, kernels are not asked: pods are alike."""


_SAY_IT_THEMSELVES = ("route table ", "ingress ", "VXLAN ", "NAT gateway ", "peering ", "EIP ")
_KINDS = {"balancer": "load balancer", "internet": "internet host", "group": "security group"}
_RELATED = {"group": "members", "eip": "leads to", "nat": "leads to", "peering": "routes over it are in"}


@dataclass(frozen=True, slots=True)
class Detail:
    """``parts`` are (title, entries); an entry may have a second line. ``related``: ids of boxes that belong to it and
    are marked with it.
    """

    title: str
    source: str
    parts: tuple[tuple[str, tuple[str, ...]], ...]
    related: tuple[str, ...] = ()


@dataclass
class _Found:
    """What was read of the lab, once for all objects."""

    flows: dict[str, list[tuple[str, FlowLine]]] = field(default_factory=lambda: defaultdict(list))
    hosts: dict[str, str] = field(default_factory=dict)
    related: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    public: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    listeners: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


def read_details(view: View, picture: Picture, missing: Callable[[str], None] = lambda _: None) -> dict[str, Detail]:
    """By the box's id. ``missing`` is told of each switch that does not answer: its flows are not in.

    Raises ``EmulationError`` when a namespace can't be entered.
    """
    found = _read(view, missing)
    owners = Owners.of(view.memory)
    return {box.id: _detail(view, found, owners, box) for box in boxes_of(picture)}


def boxes_of(picture: Picture) -> Iterator[Box]:
    """Everything of the picture that has an id, pods after their nodes."""
    yield from (*picture.internet, *picture.eips)
    for vpc in picture.vpcs:
        yield from (*vpc.tables, *vpc.ways)
        for subnet in vpc.subnets:
            for box in subnet.boxes:
                yield box
                yield from box.inside
    yield from picture.services
    yield from picture.groups
    for tunnel in picture.tunnels:
        yield Box("tunnel", tunnel.title, (), id=tunnel.id)


def _read(view: View, missing: Callable[[str], None]) -> _Found:
    found = _Found()
    for bridge in view.bridges:
        place = f"{bridge.namespace}/{bridge.name}"
        try:
            for flow in read_flows(view.rundir, bridge):
                found.flows[owner_id(flow.owner)].append((place, flow))
        except EmulationError as error:
            missing(str(error))
    found.hosts.update({node.owner: node.name for node in view.memory.nodes})
    found.hosts.update({host.owner: host.name for host in view.memory.hosts})
    for pod in view.memory.pods:
        if pod.node is not None and not pod.host_network:
            found.hosts[pod.owner] = pod.host
    _read_cloud(view, found)
    _read_clusters(view, found)
    return found


def _read_cloud(view: View, found: _Found) -> None:
    for eni in view.fabric.enis:
        for group in eni.security_groups:
            found.related[group_id(group)].append(eni.owner)
    for eip in view.memory.eips:
        if eip.bound_to is not None:
            found.public[eip.bound_to].append(f"{eip.name} {eip.address}")
    for balancer in view.fabric.load_balancers:
        found.listeners[balancer.owner] += map(_listener, balancer.listeners)


def _read_clusters(view: View, found: _Found) -> None:
    for cluster in view.clusters.clusters:
        for port in cluster.services:
            found.related[port.owner] += [end.owner for end in port.endpoints if end.ready]
        found.related[cluster.owner] += [node.owner for node in cluster.nodes]
    for ingress in view.memory.lab.ingresses:
        services = [path.backend.service for rule in ingress.rules for path in rule.paths]
        owner = f"Ingress/{ingress.namespace}/{ingress.name}"
        found.related[owner] += [f"Service/{ingress.namespace}/{service}" for service in services]


def owner_id(owner: str) -> str:
    """The id of the box that a flow is for: rules carry their line, and generated groups their cluster.

    ``SecurityGroup/open (a.yaml:3)`` and ``SecurityGroup/demo/open`` -> ``SecurityGroup/open``;
    ``Cluster/demo (generated group demo-cce-node)`` -> ``SecurityGroup/demo-cce-node``.
    """
    name, _, rest = owner.partition(" (")
    if rest.startswith("generated group "):
        return f"SecurityGroup/{rest.removeprefix('generated group ').rstrip(')')}"
    kind, _, path = name.partition("/")
    return f"{kind}/{path.rpartition('/')[2]}" if kind == "SecurityGroup" else name


def _detail(view: View, found: _Found, owners: Owners, box: Box) -> Detail:
    parts: list[tuple[str, tuple[str, ...]]] = []
    host = found.hosts.get(box.id)
    if host is None and box.lines:
        parts.append(("is", (*box.lines[:-1], *box.rest) if box.rest else box.lines))
    if host is not None and len(found.hosts) <= MOST_KERNELS:
        parts.append(("addresses", tuple(_addresses(view.rundir, host))))
        parts.append(("routes", tuple(_routes(view.rundir, host))))
    parts.append(("elastic IP", tuple(found.public.get(box.id, ()))))
    parts.append(("listeners", tuple(found.listeners.get(box.id, ()))))
    flows = found.flows.get(owner_id(box.id), [])
    parts.append((f"flows ({len(flows)})", tuple(_flow_lines(flows, box))))
    related = tuple(dict.fromkeys((*box.to, *found.related.get(box.id, ()))))
    if related:
        parts.append((_RELATED.get(box.kind, "belongs to it"), related))
    title = box.name if box.name.startswith(_SAY_IT_THEMSELVES) else f"{_KINDS.get(box.kind, box.kind)} {box.name}"
    return Detail(title, owners.read(box.id)[1], tuple(part for part in parts if part[1]), related)


def _listener(listener: Listener) -> str:
    members = [f"{member.owner.rpartition('/')[2]} {member.address}:{member.port}" for member in listener.members]
    return f"{listener.protocol.value} {listener.port} > {', '.join(members) or 'no member'} ({listener.algorithm})"


def _flow_lines(flows: list[tuple[str, FlowLine]], box: Box) -> Iterator[str]:
    for place, flow in flows[:MOST_FLOWS]:
        why = f"{flow.note or flow.owner}, {flow.packets} packets"
        yield f"{place} {flow.table_name} {flow.priority}: {why}\n{flow.match} > {flow.actions.replace(',', ', ')}"
    if len(flows) > MOST_FLOWS:
        yield f"and {len(flows) - MOST_FLOWS} more: lab flows --for {owner_id(box.id)}"


def _addresses(rundir: RunDir, host: str) -> Iterator[str]:
    for device in _ask(rundir, host, "address"):
        inet = [f"{item['local']}/{item['prefixlen']}" for item in device["addr_info"] if item["family"] == "inet"]
        if inet and device["ifname"] != "lo":
            yield f"{device['ifname']}: {', '.join(inet)}, MAC {device['address']}, MTU {device['mtu']}"


def _routes(rundir: RunDir, host: str) -> Iterator[str]:
    for route in _ask(rundir, host, "route"):
        via = f"via {route['gateway']} " if "gateway" in route else ""
        yield f"{route['dst']} {via}dev {route['dev']}"


def _ask(rundir: RunDir, host: str, what: str) -> Iterable[dict[str, Any]]:
    done = run_in(rundir, host, ("ip", "-j", what), limit=10.0)
    answer: list[dict[str, Any]] = json.loads(done.stdout or "[]")
    return answer
