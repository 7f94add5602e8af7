"""What a run measured, as values, and the file that keeps them (``cnlab.dev/perf/v1``)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path as File
from typing import Any

from testbed.model.codec import from_plain, to_plain
from testbed.operations.errors import BadRequestError

SCHEMA = "cnlab.dev/perf/v1"
RAW = "raw"
"""The subject that everything is a ratio to: a veth pair between two namespaces and nothing else."""

PLAIN = "plain-"
"""Before a model's name: the same wiring, each bridge with a plain forwarding rule for each destination."""


class Path(StrEnum):
    """From whom to whom. A client pod is on n1, the far pod on n2; the VM is a server of the VPC."""

    PAIR = "veth-pair"
    SAME = "same-node"
    OTHER = "other-node"
    CLUSTER_IP = "cluster-ip"
    NODE_PORT = "node-port"
    BALANCER = "load-balancer"
    INGRESS = "ingress"
    NAT = "nat-gateway"


WAYS = {
    Path.PAIR: "two namespaces, one veth pair",
    Path.SAME: "client pod to a pod beside it",
    Path.OTHER: "client pod to the far pod",
    Path.CLUSTER_IP: "client pod to the Service's cluster address, the far pod behind it",
    Path.NODE_PORT: "VM to n1's node port, the far pod behind it on n2",
    Path.BALANCER: "VM to the load balancer, the far pod behind it",
    Path.INGRESS: "VM to the Ingress on the load balancer, the far pod behind it",
    Path.NAT: "client pod to an internet host through the NAT gateway",
}


class Measure(StrEnum):
    """TCP and UDP by iperf3, latency (half a round trip of a small TCP message) by sockperf, connections by wrk."""

    TCP_1 = "tcp-1"
    TCP_4 = "tcp-4"
    UDP = "udp"
    LATENCY = "latency"
    CONNECTIONS = "connections"


class Figure(StrEnum):
    """One number of a measure; ``FIGURES`` has units and meanings."""

    RATE = "bits-per-second"
    RETRANSMITS = "retransmits"
    CPU = "cpu-seconds-per-gigabyte"
    LOSS = "lost-percent"
    P50 = "latency-p50"
    P99 = "latency-p99"
    P999 = "latency-p999"
    CONNECTS = "connections-per-second"
    CONNECT_CPU = "cpu-seconds-per-connection"


@dataclass(frozen=True, slots=True)
class Meaning:
    """``scale`` makes of the value a number in ``unit``; ``more`` says whether more of it is better."""

    title: str
    unit: str
    scale: float
    more: bool
    digits: int


FIGURES = {
    Figure.RATE: Meaning("throughput", "Gbit/s", 1e-9, True, 2),
    Figure.RETRANSMITS: Meaning("retransmits", "per GB", 1.0, False, 0),
    Figure.CPU: Meaning("CPU", "s/GB", 1.0, False, 2),
    Figure.LOSS: Meaning("UDP lost", "%", 1.0, False, 0),
    Figure.P50: Meaning("latency p50", "us", 1e6, False, 0),
    Figure.P99: Meaning("latency p99", "us", 1e6, False, 0),
    Figure.P999: Meaning("latency p99.9", "us", 1e6, False, 0),
    Figure.CONNECTS: Meaning("new connections", "/s", 1.0, True, 0),
    Figure.CONNECT_CPU: Meaning("CPU of a connection", "ms", 1e3, False, 2),
}

TCP_FIGURES = (Figure.RATE, Figure.RETRANSMITS, Figure.CPU)
FIGURES_OF = {
    Measure.TCP_1: TCP_FIGURES,
    Measure.TCP_4: TCP_FIGURES,
    Measure.UDP: (Figure.RATE, Figure.LOSS),
    Measure.LATENCY: (Figure.P50, Figure.P99, Figure.P999),
    Measure.CONNECTIONS: (Figure.CONNECTS, Figure.CONNECT_CPU),
}


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One subject (a model, ``raw``, ``plain-vpc``) on one path by one measure."""

    subject: str
    path: Path
    measure: Measure

    def __str__(self) -> str:
        return f"{self.subject} {self.path} {self.measure}"


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of one tool. ``figures`` is empty exactly when ``error`` says why there are none.

    ``foreign`` is how many processors were busy meanwhile with what is not this run's: what disturbs.
    """

    cell: Cell
    round: int
    figures: tuple[tuple[Figure, float], ...] = ()
    foreign: float = 0.0
    error: str = ""


@dataclass(frozen=True, slots=True)
class SubjectConditions:
    """``wire_mtu`` is that of the uplinks (or of the pair), ``client_mtu`` what the client's interface has.

    ``offloads``: checksums and segmentation are left to the devices. ``congestion`` is the algorithm iperf3 names.
    ``settling``: seconds of the same traffic before a stream counted. ``retags``: plain bridges give frames the VLANs
    that the model's have.
    """

    subject: str
    datapath: str
    wire_mtu: int
    client_mtu: int
    offloads: bool
    congestion: str
    settling: int = 0
    retags: bool = False


@dataclass(frozen=True, slots=True)
class Conditions:
    """What held for the whole run. ``load`` is the 1-minute average at the start, ``steal`` percent over the run."""

    kernel: str
    openvswitch: str
    processors: int
    load: float
    steal: float
    tools: tuple[tuple[str, str], ...]
    subjects: tuple[SubjectConditions, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """What a path was seen to be made of, there and back: traces of a first packet, a capture of a real connection.

    ``switches`` are entries into an Open vSwitch daemon, ``bridges`` bridges walked, ``kernels`` network stacks that
    forwarded or were a proxy's (the ends not counted), ``tables`` decisions of flow tables about a first packet.
    ``frame`` is the length of the client's first frame, ``widest`` that of the same packet where it was longest, at
    ``widest_at``. ``passes``: how often a switch looked a packet of the connection up, on average (0: the datapath
    does not count).
    """

    subject: str
    path: Path
    switches: int
    bridges: int
    kernels: int
    tables: int
    frame: int
    widest: int
    widest_at: str
    passes: float = 0.0

    @property
    def header_bytes(self) -> int:
        return self.widest - self.frame


@dataclass(frozen=True, slots=True)
class Result:
    """One run. ``left_out``: (path, why) that this tree can't measure. ``doubts`` are marks, none of them refuses."""

    started: str
    rounds: int
    seconds: float
    conditions: Conditions
    samples: tuple[Sample, ...]
    facts: tuple[Facts, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def cells(self) -> tuple[Cell, ...]:
        return tuple(dict.fromkeys(sample.cell for sample in self.samples))

    def of(self, cell: Cell) -> tuple[Sample, ...]:
        return tuple(sample for sample in self.samples if sample.cell == cell)

    @property
    def errors(self) -> tuple[Sample, ...]:
        return tuple(sample for sample in self.samples if sample.error)


def models_of(result: Result) -> tuple[str, ...]:
    """Subjects that are models, in the order in which they were measured."""
    found = dict.fromkeys(cell.subject for cell in result.cells)
    return tuple(name for name in found if name != RAW and not name.startswith(PLAIN))


def ordered(kinds: Iterable[Any], found: Iterable[Any]) -> tuple[Any, ...]:
    """Those of ``kinds`` that are in ``found``, in the order of ``kinds``."""
    there = set(found)
    return tuple(kind for kind in kinds if kind in there)


def to_document(result: Result) -> dict[str, Any]:
    document = to_plain(result)
    assert isinstance(document, dict)
    return {"schema": SCHEMA, **document}


def read_result(file: File) -> Result:
    """Raises ``BadRequestError`` for a file that is not a result of this schema, ``OSError``."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        schema = document.pop("schema", "none")
    except (ValueError, AttributeError, TypeError) as error:
        raise BadRequestError(f"{file} is no result of lab perf -o json: {error}") from None
    if schema != SCHEMA:
        raise BadRequestError(f"{file} has schema {schema}, this lab reads {SCHEMA}: measure again")
    try:
        return from_plain(Result, document)
    except (KeyError, TypeError, ValueError) as error:
        raise BadRequestError(f"{file} is no result of lab perf -o json: {error!r}") from None
