"""What is measured, made real: a lab for each model, the same wiring with plain bridges, a raw veth pair.

Each has a run directory of its own (``perf-<run>-<subject>``), is removed whatever happens, and touches nothing else.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path as File

from testbed.emulation import ethtool
from testbed.emulation.changes import plan_changes
from testbed.emulation.netns import Enter, inside, visiting, write_sysctls
from testbed.emulation.processes import Program, launch_in, python_program
from testbed.emulation.realise import open_session
from testbed.emulation.rundir import RunDir
from testbed.emulation.waiting import until
from testbed.model.wiring import Address, Endpoint, Namespace, NamespaceKind, Veth, Wiring
from testbed.observe import probes
from testbed.observe.verdicts import Verdict
from testbed.operations.datapath import choose_datapath
from testbed.operations.models import up_in_model
from testbed.perf.results import PLAIN, RAW, Measure, Path
from testbed.perf.tools import DIRECT, SERVED, Ports, Target, plan_servers
from testbed.scenario.hosts import Host
from testbed.scenario.running import RunningLab

TOPOLOGY = File(__file__).resolve().parents[2] / "topologies" / "perf.yaml"
MTU = 1500
_INGRESS_PORT = 80
_READY_LIMIT = 30.0
_LISTEN_LIMIT = 15.0
_ANSWER_LIMIT = 20.0
_LISTEN = "0A"
_NO_TIME_WAIT = (("net.ipv4.tcp_max_tw_buckets", "0"),)
"""Servers forget connections at once: a client's port that comes again, by another path, is a new connection."""

_CLIENT, _SERVER = IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2")

Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Site:
    """One path of one subject: namespaces of client and server, where the client asks, what the server listens on.

    ``onward``: the second connection of a path that ends in a proxy. ``measures`` are those that the path can carry.
    """

    client: str
    server: str
    target: Target
    listens: Ports = DIRECT
    measures: tuple[Measure, ...] = tuple(Measure)
    onward: Site | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """``wiring`` is what its namespaces are made of; ``wire`` (namespace, device) is where its MTU counts."""

    name: str
    rundir: RunDir
    datapath: str
    wiring: Wiring
    wire: tuple[str, str]
    client: str
    sites: Mapping[Path, Site]


def make_model(model: str, rundir: RunDir, datapath: str, note: Note) -> Subject:
    """The lab of ``topologies/perf.yaml`` in one model, ready. Raises what ``lab up`` raises."""
    outcome = up_in_model((str(TOPOLOGY),), model, rundir, datapath, note)
    lab = RunningLab(rundir, model)
    note("wait until everything is ready")
    lab.wait_ready(_READY_LIMIT)
    wiring = outcome.plan.wiring
    return Subject(model, rundir, outcome.datapath, wiring, ("n1", "eth0"), lab.pod("client").host, plan_sites(lab))


def plan_sites(lab: RunningLab) -> dict[Path, Site]:
    """Every path that ``topologies/perf.yaml`` has."""
    client, near, far, vm, inet = (lab.pod("client"), lab.pod("near"), lab.pod("far"), lab.host("vm"), lab.host("inet"))
    node_ports = {port.port: port.node_port or 0 for port in lab.service("node-port").ports}
    through_node = Ports(node_ports[SERVED.iperf3], node_ports[SERVED.sockperf], node_ports[SERVED.http])
    inside = Target(IPv4Address(lab.service("inside").cluster_ip), SERVED)
    return {
        Path.SAME: Site(client.host, near.host, Target(near.address, DIRECT)),
        Path.OTHER: Site(client.host, far.host, Target(far.address, DIRECT)),
        Path.CLUSTER_IP: Site(client.host, far.host, inside, SERVED),
        Path.NODE_PORT: Site(vm.host, far.host, Target(lab.node("n1").address, through_node), SERVED),
        Path.BALANCER: Site(vm.host, far.host, Target(lab.host("elb").address, SERVED), SERVED),
        Path.INGRESS: _ingress(lab, vm, far, through_node),
        Path.NAT: Site(client.host, inet.host, Target(inet.address, DIRECT)),
    }


def _ingress(lab: RunningLab, vm: Host, far: Host, through_node: Ports) -> Site:
    """To the balancer's proxy, and from it to what the balancer's members are: the pod itself, or a node's port."""
    balancer = lab.host("elb")
    members = lab.members(balancer.name, SERVED.http)
    direct = Target(far.address, SERVED)
    target = direct if far.name in members else Target(lab.node("n2").address, through_node)
    onward = Site(balancer.host, far.host, target, SERVED)
    front = Target(balancer.address, replace(SERVED, http=_INGRESS_PORT))
    return Site(vm.host, far.host, front, SERVED, (Measure.CONNECTIONS,), onward)


def make_raw(rundir: RunDir, datapath: str, note: Note) -> Subject:
    """Two namespaces and a veth pair."""
    owner = "Perf/raw"
    wiring = Wiring(
        namespaces=tuple(Namespace(name, NamespaceKind.SERVER, owner) for name in ("client", "server")),
        veths=(
            Veth(
                Endpoint("client", "eth0", "02:00:00:00:00:01"),
                Endpoint("server", "eth0", "02:00:00:00:00:02"),
                MTU,
                owner,
            ),
        ),
        addresses=(
            Address("client", "eth0", IPv4Interface((_CLIENT, 24)), owner),
            Address("server", "eth0", IPv4Interface((_SERVER, 24)), owner),
        ),
    )
    chosen = _realise(wiring, rundir, datapath, note)
    sites = {Path.PAIR: Site("client", "server", Target(_SERVER, DIRECT))}
    return Subject(RAW, rundir, chosen, wiring, ("client", "eth0"), "client", sites)


def make_plain(model: Subject, paths: Iterable[Path], rundir: RunDir, note: Note) -> Subject:
    """The wiring of a model's lab once more, without controllers; the caller gives the bridges their rules."""
    chosen = _realise(model.wiring, rundir, model.datapath, note)
    sites = {path: model.sites[path] for path in paths}
    return Subject(PLAIN + model.name, rundir, chosen, model.wiring, model.wire, model.client, sites)


def _realise(wiring: Wiring, rundir: RunDir, datapath: str, note: Note) -> str:
    with open_session(rundir, choose_datapath(datapath), progress=note) as session:
        session.apply(plan_changes(wiring, session.found.wiring))
        session.settle(1, ())
        return session.datapath.value


def start_servers(subject: Subject) -> None:
    """iperf3, sockperf and the echo server wherever one of the paths ends; returns when all listen."""
    for namespace, ports in dict.fromkeys((site.server, site.listens) for site in subject.sites.values()):
        inside(subject.rundir.namespace(namespace), partial(write_sysctls, _NO_TIME_WAIT))
        for name, command, port in plan_servers(sys.executable, ports):
            role, log = f"perf-{name}-{port}@{namespace}", f"perf-{name}-{port}-{namespace}"
            environment = python_program(subject.rundir, role, "", log=log).environment
            launch_in(subject.rundir, namespace, Program(role, command, environment, log))
            listens = partial(_listens, subject.rundir.namespace(namespace), port)
            until(listens, _LISTEN_LIMIT, f"{name} to listen in {namespace}, see {subject.rundir.logs}/{log}.log")


def wait_answers(subject: Subject) -> None:
    """Return when every path's server answers HTTP. Raises ``EmulationError`` naming the path that does not."""
    for path, site in subject.sites.items():
        ask = partial(_answers, subject.rundir.namespace(site.client), site.target)
        until(ask, _ANSWER_LIMIT, f"{subject.name} {path} to answer at {site.target.address}:{site.target.ports.http}")


def _answers(namespace: File, target: Target) -> bool:
    return probes.http(namespace, target.address, target.ports.http).verdict is Verdict.ALLOWED


def _listens(namespace: File, port: int) -> bool:
    """Without a connection, which iperf3 would take for a client's."""

    def read() -> bool:
        with open("/proc/thread-self/net/tcp", encoding="ascii") as table:
            rows = [line.split() for line in table][1:]
        return any(row[3] == _LISTEN and int(row[1].rpartition(":")[2], 16) == port for row in rows)

    return inside(namespace, read)


def switch_offloads_off(subject: Subject) -> None:
    """Checksums and segmentation done by every sender itself, as the tunnel network needs them in user space."""
    nodes = {item.name for item in subject.wiring.namespaces if item.kind is NamespaceKind.NODE}
    hubs = nodes | {item.name for item in subject.wiring.namespaces if item.kind is NamespaceKind.FABRIC}
    ends = [end for veth in subject.wiring.veths for end in (veth.a, veth.b)]
    devices = [(end.namespace, end.interface) for end in ends if end.namespace not in hubs]
    devices += [(item.namespace, bridge.name) for item in subject.wiring.switches if item.namespace in nodes
                for bridge in item.bridges]  # fmt: skip

    def work(enter: Enter) -> None:
        for namespace, device in devices:
            enter(subject.rundir.namespace(namespace))
            ethtool.set_tx_checksum(device, on=False)

    visiting(work)
