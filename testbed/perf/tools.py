"""What iperf3, sockperf and wrk are asked, and what their output means. Pure.

A tool that did not measure raises ``ToolError``: a cell without a figure is an error and never a nought.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

from testbed.emulation.errors import EmulationError
from testbed.emulation.state import Datapath
from testbed.perf.results import Figure, Measure

DATAGRAM = 1400
"""Bytes of a UDP datagram, equal in every model: with its headers it fits a tunnel pod's MTU of 1450."""

CONNECTIONS = 8
"""Connections that wrk has open at a time; each carries one request and is closed."""

_LEAST_OBSERVATIONS = 100
_WARM_UP = 1
"""Seconds of a run that sockperf does not count (0.4 before, 0.05 after), in its whole seconds."""

_GIGABYTE = 1e9
_CONNECT_MS = "3000"

Found = Mapping[Figure, float]


class ToolError(EmulationError):
    """A tool ran and did not measure; the message has its own words."""


class TooFewError(ToolError):
    """It measured, but not often enough for a percentile: worth a longer run."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Of iperf3 (TCP and UDP), sockperf and HTTP."""

    iperf3: int
    sockperf: int
    http: int


SERVED = Ports(5201, 11111, 8080)
"""What the Services of ``topologies/perf.yaml`` lead to."""

DIRECT = Ports(5202, 11112, 8081)
"""What is asked without a Service: ports that no endpoint has. To a switch that undoes a Service's translation, a pod's
own connection from a port that the Service's client used a moment ago would be the Service's."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a path's client asks."""

    address: IPv4Address
    ports: Ports


def settle_time(measure: Measure, datapath: str) -> int:
    """Seconds of the same traffic before a stream counts. The kernel's datapath finds a flow by trying one mask after
    the other, what is new last, and sorts them by use every 4 s (DP_MASKS_REBALANCE_INTERVAL): a second that falls
    before that tells what was measured before. Latency has a warm-up of its own, of connections many begin anyway."""
    streams = (Measure.TCP_1, Measure.TCP_4, Measure.UDP)
    return 4 if datapath == Datapath.KERNEL and measure in streams else 0


def plan_servers(python: str, ports: Ports) -> tuple[tuple[str, tuple[str, ...], int], ...]:
    """(name, command, TCP port that listens when it is ready) of what runs where a path ends."""
    return (
        ("iperf3", ("/usr/bin/iperf3", "-4", "-s", "-p", str(ports.iperf3), "--forceflush"), ports.iperf3),
        ("sockperf", ("/usr/bin/sockperf", "server", "--tcp", "-p", str(ports.sockperf)), ports.sockperf),
        ("echo", (python, "-P", "-m", "testbed.workloads.echo", f"{ports.http}/tcp"), ports.http),
    )


def plan_command(measure: Measure, target: Target, seconds: int, congestion: str) -> tuple[str, ...]:
    """The client's command. ``congestion`` is pinned for iperf3: the machine's own may be any."""
    address = str(target.address)
    if measure is Measure.LATENCY:
        port = str(target.ports.sockperf)
        duration = str(seconds + _WARM_UP)
        return ("sockperf", "ping-pong", "--tcp", "-i", address, "-p", port, "-t", duration)
    if measure is Measure.CONNECTIONS:
        url = f"http://{address}:{target.ports.http}/"
        count = str(CONNECTIONS)
        return ("wrk", "-t1", "-c", count, f"-d{seconds}s", "-H", "Connection: close", "--timeout", "2s", url)
    where = ("-c", address, "-p", str(target.ports.iperf3), "--connect-timeout", _CONNECT_MS)
    common = ("iperf3", *where, "-t", str(seconds), "-J")
    if measure is Measure.UDP:
        return (*common, "-u", "-b", "0", "-l", str(DATAGRAM))
    return (*common, "-C", congestion, "-P", "4" if measure is Measure.TCP_4 else "1")


def read_figures(measure: Measure, status: int, output: str, errors: str) -> Found:
    """Figures of a client that ended with ``status``. Raises ``ToolError``."""
    return _READERS[measure](status, output, errors)


def price(measure: Measure, output: str, seconds: float) -> Found:
    """What a run that used ``seconds`` of processor time cost by the gigabyte, or by the connection."""
    if measure in (Measure.TCP_1, Measure.TCP_4):
        return {Figure.CPU: seconds / (_number(_end(output), "sum_received", "bytes") / _GIGABYTE)}
    requests = _ANSWERED.search(output)
    if measure is Measure.CONNECTIONS and requests is not None:
        return {Figure.CONNECT_CPU: seconds / int(requests[1])}
    return {}


def is_busy(output: str) -> bool:
    """Whether iperf3's server still ended the run before: worth asking again."""
    return "busy running a test" in output


def _read_tcp(status: int, output: str, errors: str) -> Found:
    end = _end(output, status, errors)
    received, rate = _received(end)
    return {Figure.RATE: rate, Figure.RETRANSMITS: _number(end, "sum_sent", "retransmits") / received * _GIGABYTE}


def _read_udp(status: int, output: str, errors: str) -> Found:
    end = _end(output, status, errors)
    _, rate = _received(end)
    return {Figure.RATE: rate, Figure.LOSS: _number(end, "sum_received", "lost_percent")}


def _end(output: str, status: int = 0, errors: str = "") -> Mapping[str, Any]:
    try:
        document = json.loads(output)
    except ValueError:
        raise ToolError(f"iperf3 (status {status}) wrote no JSON: {_last(errors or output)}") from None
    if not isinstance(document, dict) or document.get("error") or status:
        said = document.get("error") if isinstance(document, dict) else None
        raise ToolError(f"iperf3 (status {status}): {said or _last(errors)}")
    end = document.get("end")
    if not isinstance(end, dict):
        raise ToolError("iperf3 reports no end of the run")
    return end


def _received(end: Mapping[str, Any]) -> tuple[float, float]:
    received, rate = _number(end, "sum_received", "bytes"), _number(end, "sum_received", "bits_per_second")
    if received <= 0 or rate <= 0:
        raise ToolError("iperf3: nothing arrived at the server")
    return received, rate


def _number(end: Mapping[str, Any], part: str, name: str) -> float:
    found = end.get(part, {}).get(name)
    if not isinstance(found, int | float):
        raise ToolError(f"iperf3 reports no {part}.{name}")
    return float(found)


_COLOUR = re.compile(r"\x1b\[[0-9;]*m|\[\d;\d+m|\[0m")
_PERCENTILE = re.compile(r"percentile (\d+\.\d+) =\s*([\d.]+)")
_OBSERVATIONS = re.compile(r"Total (\d+) observations")
_LOST = re.compile(r"# dropped messages = (\d+)")
_PERCENTILES = {"50.000": Figure.P50, "99.000": Figure.P99, "99.900": Figure.P999}


def _read_latency(status: int, output: str, errors: str) -> Found:
    text = _COLOUR.sub("", output)
    fault = next((line for line in (text + errors).splitlines() if "ERROR" in line), "")
    observations = _OBSERVATIONS.search(text)
    if status or fault or observations is None:
        raise ToolError(f"sockperf (status {status}): {fault or _last(errors or text)}")
    lost = _LOST.search(text)
    if lost is None or int(lost[1]):
        raise ToolError(f"sockperf: {lost[0] if lost else 'does not say how many messages were lost'}")
    if int(observations[1]) < _LEAST_OBSERVATIONS:
        raise TooFewError(f"sockperf: {observations[1]} observations are too few for percentiles; give more --seconds")
    found = {_PERCENTILES[name]: float(us) * 1e-6 for name, us in _PERCENTILE.findall(text) if name in _PERCENTILES}
    if len(found) < len(_PERCENTILES):
        raise ToolError("sockperf reports no percentiles")
    return found


_ANSWERED = re.compile(r"(\d+) requests in")
_REQUESTS = re.compile(r"Requests/sec:\s*([\d.]+)")
_SOCKET_ERRORS = re.compile(r"Socket errors: .*")
_BAD_ANSWERS = re.compile(r"Non-2xx or 3xx responses: \d+")


def _read_connections(status: int, output: str, errors: str) -> Found:
    found = _REQUESTS.search(output)
    fault = _SOCKET_ERRORS.search(output) or _BAD_ANSWERS.search(output)
    if status or fault or found is None or float(found[1]) <= 0:
        said = fault[0] if fault else "nothing was answered" if found else _last(errors or output)
        raise ToolError(f"wrk (status {status}): {said}")
    return {Figure.CONNECTS: float(found[1])}


def _last(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no output")


_READERS: Mapping[Measure, Callable[[int, str, str], Found]] = {
    Measure.TCP_1: _read_tcp,
    Measure.TCP_4: _read_tcp,
    Measure.UDP: _read_udp,
    Measure.LATENCY: _read_latency,
    Measure.CONNECTIONS: _read_connections,
}
