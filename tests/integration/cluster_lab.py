"""A real small lab for tests of the cluster's programs: planned, wired and programmed without any controller process.

The programs are compiled and sent straight to each bridge's management socket, so a failure here is a failure of the
programs or of the wiring. The fabric is a stand-in of a few flows: it routes by address and nothing else.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from controllers.cluster import compile_cluster
from controllers.openflow import (
    Copy,
    Flow,
    InPort,
    Output,
    Pipeline,
    PopVlan,
    Program,
    PushVlan,
    SetField,
    Table,
    build_program,
    match,
)
from controllers.openflow import fields as f
from controllers.openflow import flows as a
from controllers.openflow.diff import plan_changes
from controllers.openflow.messages import barrier, encode_bundle, forget_connections
from testbed.emulation import netns
from testbed.emulation.changes import plan_changes as plan_machine_changes
from testbed.emulation.realise import open_session
from testbed.emulation.rundir import RunDir
from testbed.emulation.teardown import tear_down
from testbed.model.desired import GATEWAY_MAC, Eni, FabricState
from testbed.model.lab import Lab
from testbed.model.planning.ledger import Ledger
from testbed.model.planning.observed import Observed
from testbed.model.planning.plan import Plan, plan_lab
from tests.integration import packets
from tests.integration.emulation_lab import datapath
from tests.limits import LIMIT

_NUMBERS = itertools.count(1)

# --- the stand-in for the VPC ---------------------------------------------------------------------------------

STAND_IN = Pipeline(
    role="stand-in",
    tables=(
        Table(
            "entry",
            "Answers ARP, takes tags off, and lets nobody speak for another.",
            matches=(f.IN_PORT, f.ETH_TYPE, f.IPV4_SRC, f.ARP_OP, f.VLAN_VID),
            sets=(
                f.ETH_SRC,
                f.ETH_DST,
                f.ARP_OP,
                f.ARP_SPA,
                f.ARP_TPA,
                f.ARP_SHA,
                f.ARP_THA,
                f.REGISTERS[2],
                f.VLAN_VID,
            ),
            goes=("route",),
        ),
        Table("route", "By address.", matches=(f.IPV4_DST,), sets=(f.ETH_SRC, f.ETH_DST, f.VLAN_VID)),
    ),
)
_ANSWER = (
    Copy(f.ETH_SRC, f.ETH_DST), SetField(f.ETH_SRC, GATEWAY_MAC), SetField(f.ARP_OP, 2),
    Copy(f.ARP_SHA, f.ARP_THA), SetField(f.ARP_SHA, GATEWAY_MAC), Copy(f.ARP_SPA, f.REGISTERS[2]),
    Copy(f.ARP_TPA, f.ARP_SPA), Copy(f.REGISTERS[2], f.ARP_TPA), InPort(),
)  # fmt: skip


def stand_in(fabric: FabricState) -> Program:
    """Routes every ENI's address, and custom routes, whoever asks."""
    enis = {eni.id: eni for eni in fabric.enis}
    flows = [
        Flow("entry", 100, match(arp_op=1), _ANSWER, owner="test", note="answer"),
        Flow("entry", 100, match(eth_type=0x806, vlan_vid=(0x1000, 0x1000), arp_op=1), _ANSWER, owner="test"),
    ]
    flows += [_from_eni(eni) for eni in fabric.enis]
    flows += [_to_eni(100, match(ipv4_dst=eni.address), eni) for eni in fabric.enis]
    for table in fabric.route_tables:
        for route in table.routes:
            if route.target in enis:
                flows.append(
                    _to_eni(route.destination.prefixlen, match(ipv4_dst=route.destination), enis[route.target])
                )
    return build_program(STAND_IN, flows)


def _from_eni(eni: Eni) -> Flow:
    """The VPC's spoof guard: an ENI sends with its own address, unless it forwards for others."""
    tag = {"vlan_vid": eni.vlan} if eni.vlan else {}
    own = {"ipv4_src": eni.address} if eni.source_dest_check else {}
    what = match(in_port=eni.port, eth_type=0x800, **tag, **own)
    return Flow("entry", 50, what, (PopVlan(),) if eni.vlan else (), "route", owner="test")


def _to_eni(priority: int, what: a.Match, eni: Eni) -> Flow:
    tag = (PushVlan(), SetField(f.VLAN_VID, eni.vlan)) if eni.vlan else ()
    out = (SetField(f.ETH_SRC, GATEWAY_MAC), SetField(f.ETH_DST, eni.mac), *tag)
    return Flow("route", priority, what, (*out, Output(eni.port), InPort()), owner="test")


# --- sending programs -----------------------------------------------------------------------------------------


class Bridge:
    """A bridge's management socket: gives it a program in one bundle, and then only what differs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._before: Program | None = None
        self._xids = itertools.count(10)

    def load(self, program: Program) -> int:
        """Returns how many messages it took. Raises AssertionError with what the switch refused."""
        before = self._before or Program(program.pipeline, {}, {}, {})
        changes = plan_changes(before, program)
        names: dict[int, str] = {}
        if len(changes):
            bundle = encode_bundle(program.pipeline, changes, 1, lambda: next(self._xids), names.__setitem__)
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(LIMIT)
                connection.connect(str(self._path))
                connection.sendall(struct.pack("!BBHI", 5, 0, 8, 1) + bundle + barrier(9))
                _await_barrier(connection, names)
                self._forget(connection, changes.ended)
        self._before = program
        return len(changes)

    def _forget(self, connection: socket.socket, ended: tuple[a.Answers, ...]) -> None:
        """What was decided by the flows of before, and connections that packets may have met by it meanwhile."""
        control = self._path.parent / "ovs-vswitchd.ctl"
        subprocess.run(["ovs-appctl", "-t", str(control), "revalidator/purge"], check=True, timeout=LIMIT)
        if ended:
            connection.sendall(b"".join(forget_connections(each, 8) for each in ended) + barrier(9))
            _await_barrier(connection, {})


def _await_barrier(connection: socket.socket, names: dict[int, str]) -> None:
    stream = connection.makefile("rb")
    while True:
        header = stream.read(8)
        _, kind, length, xid = struct.unpack("!BBHI", header)
        body = stream.read(length - 8)
        assert kind != 1 or xid < 10, f"refused: {names.get(xid, xid)}: {body[:4].hex()}"
        if kind == 21:
            return


# --- the lab --------------------------------------------------------------------------------------------------


@dataclass
class ClusterLab:
    rundir: RunDir
    plan: Plan
    bridges: dict[int, Bridge]
    sent: dict[int, int]

    def path(self, host: str) -> Path:
        return self.rundir.namespace(host)

    def program(self) -> None:
        """Send what the plan wants; ``sent`` has the number of messages by datapath id."""
        programs = compile_cluster(self.plan.clusters)
        programs[self.plan.fabric.datapath_id] = stand_in(self.plan.fabric)
        for switch in self.plan.wiring.switches:
            for bridge in switch.bridges:
                path = self.rundir.ovs(switch.namespace) / f"{bridge.name}.mgmt"
                known = self.bridges.setdefault(bridge.datapath_id, Bridge(path))
                self.sent[bridge.datapath_id] = known.load(programs[bridge.datapath_id])

    def apply(self, lab: Lab, unready: tuple[str, ...] = ()) -> None:
        """The next generation. Pods named in ``unready`` fail their readiness probes."""
        self.plan = plan_ready(lab, self.plan.ledger, self.plan.generation + 1, unready)
        with open_session(self.rundir, datapath()) as session:
            session.apply(plan_machine_changes(self.plan.wiring, session.found.wiring, session.found.doubtful))
            session.settle(self.plan.generation, ())
        self.program()

    def pod(self, name: str) -> Any:
        return next(pod for pod in self.plan.pods if pod.name == name)

    def node(self, name: str) -> Any:
        return next(node for node in self.plan.nodes if node.name == name)

    def host(self, name: str) -> Any:
        return next(host for host in self.plan.hosts if host.name == name)

    def address(self, name: str) -> IPv4Address:
        """Of a pod, node or host, by name."""
        every: tuple[Any, ...] = (*self.plan.pods, *self.plan.nodes, *self.plan.hosts)
        found: IPv4Address = next(item.address for item in every if item.name == name)
        return found

    def namespace(self, name: str) -> Path:
        pods = {pod.name: pod.host for pod in self.plan.pods}
        return self.path(pods.get(name, name))


def plan_ready(lab: Lab, ledger: Ledger, generation: int, unready: tuple[str, ...] = ()) -> Plan:
    """The plan once every pod but ``unready`` passes its readiness probes."""
    started = plan_lab(lab, ledger, generation, datapath().value, time.time())
    ready = frozenset(pod.uid for pod in started.pods if pod.name not in unready)
    return plan_lab(lab, ledger, generation, datapath().value, time.time(), Observed(ready))


@contextlib.contextmanager
def cluster_lab(lab: Lab) -> Iterator[ClusterLab]:
    """The lab, up and programmed; gone afterwards whatever happened."""
    rundir = RunDir.of(f"cl-{os.getpid()}-{next(_NUMBERS)}")
    plan = plan_ready(lab, Ledger(), 1)
    try:
        with open_session(rundir, datapath()) as session:
            session.apply(plan_machine_changes(plan.wiring, session.found.wiring, session.found.doubtful))
            session.settle(1, ())
        made = ClusterLab(rundir, plan, {}, {})
        made.program()
        yield made
    finally:
        if rundir.exists and not os.environ.get("KEEP_LAB"):
            tear_down(rundir)


# --- packets --------------------------------------------------------------------------------------------------


def within(path: Path, work: Callable[[], Any]) -> Any:
    return netns.inside(path, work)


def serve(lab: ClusterLab, name: str, port: int, kind: int = socket.SOCK_STREAM) -> socket.socket:
    """A listening socket in the namespace of pod, node or host ``name``; close it after."""
    return packets.serve(lab.namespace(name), port, kind)


def connect(
    lab: ClusterLab,
    source: str,
    address: IPv4Address,
    port: int,
    servers: dict[str, socket.socket],
    limit: float = LIMIT,
    source_port: int = 0,
) -> packets.Seen:
    """Open a connection from pod, node or host ``source``; ``servers`` are those that may get it, by name."""
    return packets.connect(lab.namespace(source), address, port, servers, limit, source_port)


def ping(lab: ClusterLab, source: str, address: IPv4Address, limit: float = LIMIT) -> bool:
    """One echo request, answered or not."""
    return packets.ping(lab.namespace(source), address, limit)


class Capture:
    """Frames on an interface of a namespace while the block runs."""

    def __init__(self, lab: ClusterLab, name: str, interface: str) -> None:
        self._path, self._interface = lab.namespace(name), interface
        self.frames: list[bytes] = []

    def __enter__(self) -> Capture:
        def listen() -> socket.socket:
            made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            made.bind((self._interface, 0))
            made.settimeout(0.15)
            return made

        self._socket = within(self._path, listen)
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(TimeoutError):
            while True:
                self.frames.append(self._socket.recv(65536))
        self._socket.close()

    def udp(self, port: int) -> list[tuple[IPv4Address, IPv4Address]]:
        """(source, destination) of UDP packets to ``port``."""
        found = []
        for frame in self.frames:
            if frame[12:14] == b"\x08\x00" and frame[23] == 17:
                offset = 14 + (frame[14] & 15) * 4
                if frame[offset + 2 : offset + 4] == port.to_bytes(2, "big"):
                    found.append((IPv4Address(frame[26:30]), IPv4Address(frame[30:34])))
        return found


def send_frame(lab: ClusterLab, name: str, interface: str, frame: bytes) -> None:
    """Put a crafted frame on an interface of a namespace."""
    packets.send_frame(lab.namespace(name), interface, frame)


def run(lab: ClusterLab, name: str, *command: str) -> str:
    """A program's output, inside a namespace."""
    work = partial(subprocess.run, command, capture_output=True, text=True, timeout=LIMIT)
    ran = within(lab.namespace(name), work)
    return str(ran.stdout + ran.stderr)
