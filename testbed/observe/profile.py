"""What one running lab is like, measured: addresses, MTUs, hops, flows, routes and verdicts of the same few roles.

Roles and not names, so that labs with the same workload can be set side by side (``compare``): a client pod, a pod
beside it, a pod on another node, their nodes, and one of each thing that a pod may talk to.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

from testbed.emulation.errors import EmulationError
from testbed.emulation.processes import run_in
from testbed.emulation.rundir import RunDir
from testbed.observe import probes
from testbed.observe.cast import Cast, Path, choose_cast, plan_paths
from testbed.observe.flows import read_flows
from testbed.observe.status import View
from testbed.observe.trace.results import Hop, Question, Way
from testbed.observe.trace.tracer import Tracer, tracing
from testbed.observe.verdicts import Verdict
from testbed.operations.memory import Memory

SILENCE = 1.5
"""Seconds without an answer that are a drop."""

SMALLEST, LARGEST = 1200, 1500
"""Bytes of the IP packets that look for the largest that gets through."""

DETAIL = "  "
"""Begins the name of a fact that is a part of the one before it."""

_IP_ICMP = 28  # bytes of the IP and ICMP headers around an echo's data

Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Section:
    """``facts``: (what, value) in the order of showing; what one lab does not have is left out."""

    title: str
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Profile:
    name: str
    datapath: str
    sections: tuple[Section, ...]


def read_profile(view: View, name: str, note: Note) -> Profile:
    """Measure it all. Raises ``EmulationError`` when a part of the lab does not answer or there is no pod to ask."""
    cast = choose_cast(view.memory)
    paths = tuple(plan_paths(cast, view.fabric, view.clusters))
    with tracing(view) as tracer:
        sections = (
            _section("addresses", note, lambda: _addresses(view.rundir, view.memory, cast)),
            _section("MTU", note, lambda: _mtus(view.rundir, cast)),
            _section("hops", note, lambda: _hops(tracer, paths)),
            _section("flows", note, lambda: _flows(view, cast)),
            _section("routes", note, lambda: _routes(view, cast)),
            _section("verdicts", note, lambda: _verdicts(view.rundir, paths)),
        )
    return Profile(name, view.memory.datapath, sections)


def _section(title: str, note: Note, read: Callable[[], Iterator[tuple[str, str]]]) -> Section:
    note(title)
    return Section(title, tuple(read()))


# what is measured ------------------------------------------------------------------------------------------


def _addresses(rundir: RunDir, memory: Memory, cast: Cast) -> Iterator[tuple[str, str]]:
    (pod,) = (device for device in _devices(rundir, cast.client.host) if device["ifname"] == "eth0")
    yield "pod", _shown(pod)
    yield "pod's address is of", _range(memory, cast)
    if cast.client.nic is not None:
        vlan = cast.client.nic.vlan
        yield (
            "pod's interface in the VPC",
            "an ENI" if vlan is None else f"a sub-ENI, VLAN {vlan} of {cast.node.name}/eth1",
        )
    for device in _devices(rundir, cast.node.name):
        if device["addr_info"]:
            yield f"node {device['ifname']}", _shown(device)
    if cast.node.carrier_address is not None:
        yield "node's carrier ENI", f"{cast.node.carrier_address} of {cast.node.carrier_subnet}"
    if cast.node.nics:
        idle = sum(not nic.pod for nic in cast.node.nics)
        yield "node's ENIs for pods", f"{len(cast.node.nics)}, {idle} of them pre-bound"


def _range(memory: Memory, cast: Cast) -> str:
    nic = cast.client.nic
    if nic is not None:
        cidr = next((subnet.cidr for subnet in memory.lab.subnets if subnet.name == nic.subnet), "")
        return f"subnet {nic.subnet} {cidr}"
    assert cast.client.address is not None
    block = next((block for block in cast.node.blocks if cast.client.address in block), None)
    return f"node {cast.node.name}'s block {block}, one of {len(cast.node.blocks)}"


def _mtus(rundir: RunDir, cast: Cast) -> Iterator[tuple[str, str]]:
    for title, namespace in (("pod", cast.client.host), ("node", cast.node.name)):
        for device in _devices(rundir, namespace):
            if device["ifname"] in ("eth0", "eth1", "br-ex", "br-int"):
                yield f"{title} {device['ifname']}", str(device["mtu"])
    for title, target in (("another node", cast.far), ("one node", cast.near)):
        if target is not None and target.address is not None:
            yield f"largest packet, pod to pod on {title}", str(_largest(rundir, cast.client.host, target.address))


def _largest(rundir: RunDir, namespace: str, address: IPv4Address) -> int:
    """Bytes of the largest IP packet with don't-fragment set that is answered; 0 when not even a small one is."""

    def passes(size: int) -> bool:
        seen = probes.ping(rundir.namespace(namespace), address, SILENCE, size - _IP_ICMP, fragment=False)
        return seen.verdict is Verdict.ALLOWED

    if not passes(SMALLEST):
        return 0
    low, high = SMALLEST, LARGEST + 1  # low passes, high does not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if passes(middle) else (low, middle)
    return low


def _hops(tracer: Tracer, paths: Iterable[Path]) -> Iterator[tuple[str, str]]:
    for path in paths:
        found = tracer.trace(Question(path.source, path.source, str(path.address), path.address, "tcp", path.port))
        yield path.title, _way(found.there)


def _way(way: Way) -> str:
    places = ", ".join(hop.where + _header(hop) for hop in way.hops)
    end = "" if way.outcome.value == "delivered" else f": {way.outcome}"
    return f"{len(way.hops)}: {places}{end}"


def _header(hop: Hop) -> str:
    """What the packet leaves with that is not its own, or whose address it takes."""
    marks = []
    if hop.after.inner is not None or hop.after.tunnel is not None:
        marks.append("VXLAN")
    if hop.after.vlan is not None:
        marks.append(f"VLAN {hop.after.vlan}")
    tunnelled = hop.after.inner is not None or hop.before.inner is not None
    if not tunnelled and hop.before.source not in (hop.after.source, IPv4Address(0)):
        marks.append(f"source {hop.after.source}")
    return f" [{', '.join(marks)}]" if marks else ""


def _flows(view: View, cast: Cast) -> Iterator[tuple[str, str]]:
    for bridge in view.bridges:
        if bridge.namespace not in ("fabric", cast.node.name):
            continue
        flows = read_flows(view.rundir, bridge)
        tables = Counter(flow.table_name for flow in flows)
        title = f"{'fabric' if bridge.namespace == 'fabric' else 'node'} {bridge.name}"
        yield title, f"{len(flows)} in {len(tables)} tables"
        for table, count in tables.items():
            yield f"{DETAIL}{title}, {table}", str(count)


def _routes(view: View, cast: Cast) -> Iterator[tuple[str, str]]:
    """What the fabric's routing table and the kernels of the client and its node have."""
    for flow in read_flows(view.rundir, view.bridges[0]):
        if flow.table_name == "routing" and ("->" in flow.note or flow.note.startswith("local ")):
            destination, _, target = flow.note.removeprefix("local ").partition(" -> ")
            yield f"VPC: {destination}", target or "local"
    for title, namespace in (("node", cast.node.name), ("pod", cast.client.host)):
        for route in _json(view.rundir, namespace, "route"):
            via = f"via {route['gateway']} " if "gateway" in route else ""
            yield f"{title}: {route['dst']}", f"{via}dev {route['dev']}"


def _verdicts(rundir: RunDir, paths: Iterable[Path]) -> Iterator[tuple[str, str]]:
    for path in paths:
        seen = probes.http(rundir.namespace(path.source), path.address, path.port, timeout=SILENCE)
        yield path.title, f"{seen.verdict}, the server sees {seen.client}" if seen.client else str(seen.verdict)


def _devices(rundir: RunDir, namespace: str) -> list[dict[str, Any]]:
    return [device for device in _json(rundir, namespace, "address") if device.get("ifname") != "lo"]


def _shown(device: dict[str, Any]) -> str:
    return ", ".join(f"{item['local']}/{item['prefixlen']}" for item in device["addr_info"] if item["family"] == "inet")


def _json(rundir: RunDir, namespace: str, *words: str) -> list[dict[str, Any]]:
    done = run_in(rundir, namespace, ("ip", "-j", *words), limit=10.0)
    if done.returncode:
        raise EmulationError(f"ip {' '.join(words)} in {namespace}: {done.stderr.strip()}")
    return list(json.loads(done.stdout or "[]"))
