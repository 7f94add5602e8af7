"""Commands and outputs of iperf3, sockperf and wrk; what is no measurement is an error."""

from __future__ import annotations

import itertools
import json
from ipaddress import IPv4Address

import pytest

from testbed.perf.measuring import is_control
from testbed.perf.results import Figure, Measure
from testbed.perf.tools import SERVED, Target, ToolError, is_busy, plan_command, price, read_figures, settle_time

TARGET = Target(IPv4Address("10.0.0.2"), SERVED)
IPERF3 = {
    "end": {
        "sum_sent": {"bytes": 2.1e9, "retransmits": 30},
        "sum_received": {"bytes": 2.0e9, "bits_per_second": 16.0e9, "lost_percent": 12.5},
    }
}
NOTHING_ARRIVED = {"end": {"sum_received": {"bytes": 0, "bits_per_second": 0}}}
HALF = {"end": {"sum_received": IPERF3["end"]["sum_received"]}}
SOCKPERF = """sockperf: [Valid Duration] RunTime=1.550 sec; SentMessages=8000; ReceivedMessages=8000
sockperf: \x1b[2;35m====> avg-latency=9.9 (std-dev=7.1)\x1b[0m
sockperf: # dropped messages = 0; # duplicated messages = 0; # out-of-order messages = 0
sockperf: \x1b[2;35mTotal 8000 observations\x1b[0m; each percentile contains 80.00 observations
sockperf: ---> percentile 99.900 =  700.250
sockperf: ---> percentile 99.000 =   44.500
sockperf: ---> percentile 90.000 =   20.000
sockperf: ---> percentile 50.000 =   12.250
"""
WRK = """Running 1s test @ http://10.0.0.2:8080/
  3181 requests in 1.00s, 1.04MB read
Requests/sec:   3179.47
"""


def test_tcp() -> None:
    found = read_figures(Measure.TCP_4, 0, json.dumps(IPERF3), "")
    assert found == {Figure.RATE: 16.0e9, Figure.RETRANSMITS: pytest.approx(15.0)}
    assert price(Measure.TCP_4, json.dumps(IPERF3), 3.0) == {Figure.CPU: 1.5}


def test_udp() -> None:
    assert read_figures(Measure.UDP, 0, json.dumps(IPERF3), "") == {Figure.RATE: 16.0e9, Figure.LOSS: 12.5}


def test_latency() -> None:
    found = read_figures(Measure.LATENCY, 0, SOCKPERF, "")
    assert {figure: round(seconds * 1e6, 3) for figure, seconds in found.items()} == {
        Figure.P50: 12.25,
        Figure.P99: 44.5,
        Figure.P999: 700.25,
    }


def test_connections() -> None:
    assert read_figures(Measure.CONNECTIONS, 0, WRK, "") == {Figure.CONNECTS: 3179.47}
    assert price(Measure.CONNECTIONS, WRK, 1.59) == {Figure.CONNECT_CPU: pytest.approx(0.0005, rel=0.01)}


@pytest.mark.parametrize(
    ("measure", "status", "output", "errors", "said"),
    [
        (Measure.TCP_1, 1, '{"error": "unable to connect to server: Connection refused"}', "", "Connection refused"),
        (Measure.TCP_1, 0, '{"error": "the server has terminated", "end": {}}', "", "terminated"),
        (Measure.TCP_1, 0, "", "", "wrote no JSON: no output"),
        (Measure.TCP_1, 0, '{"start": {}}', "", "no end of the run"),
        (Measure.UDP, 0, json.dumps(NOTHING_ARRIVED), "", "nothing arrived"),
        (Measure.TCP_1, 0, json.dumps(HALF), "", "sum_sent.retransmits"),
        (Measure.LATENCY, 0, "sockperf: ERROR: Can`t connect socket (errno=111)\n", "", "errno=111"),
        (Measure.LATENCY, 0, SOCKPERF.replace("dropped messages = 0", "dropped messages = 3"), "", "messages = 3"),
        (Measure.LATENCY, 0, SOCKPERF.replace("Total 8000", "Total 12"), "", "12 observations are too few"),
        (Measure.LATENCY, 0, SOCKPERF.replace("percentile 50.000", "percentile 51.000"), "", "no percentiles"),
        (Measure.CONNECTIONS, 1, "", "unable to connect to 10.0.0.2:8080 Connection refused", "Connection refused"),
        (Measure.CONNECTIONS, 0, WRK + "  Socket errors: connect 0, read 7, write 0, timeout 0\n", "", "read 7"),
        (Measure.CONNECTIONS, 0, WRK + "  Non-2xx or 3xx responses: 5\n", "", "responses: 5"),
        (Measure.CONNECTIONS, 0, "Requests/sec:      0.00\n", "", "nothing was answered"),
    ],
)  # fmt: skip
def test_what_is_no_measurement_is_an_error(measure: Measure, status: int, output: str, errors: str, said: str) -> None:
    with pytest.raises(ToolError, match=said):
        read_figures(measure, status, output, errors)


def test_commands_pin_what_must_be_equal() -> None:
    command = plan_command(Measure.TCP_4, TARGET, 3, "cubic")
    assert command[0] == "iperf3"
    assert ("-C", "cubic") in itertools.pairwise(command)
    assert ("-P", "4") in itertools.pairwise(command)
    assert ("-l", "1400") in zip(*(plan_command(Measure.UDP, TARGET, 3, "cubic")[n:] for n in (0, 1)), strict=False)
    assert plan_command(Measure.CONNECTIONS, TARGET, 3, "cubic")[-1] == "http://10.0.0.2:8080/"


def test_streams_settle_on_the_datapath_that_sorts_its_masks() -> None:
    settling = {measure for measure in Measure if settle_time(measure, "kernel")}
    assert settling == {Measure.TCP_1, Measure.TCP_4, Measure.UDP}
    assert not any(settle_time(measure, "userspace") for measure in Measure)


def test_a_busy_server_is_asked_again() -> None:
    assert is_busy('{"error": "error - the server is busy running a test. try again later"}')
    assert not is_busy(json.dumps(IPERF3))


def test_the_control_plane_is_not_what_a_byte_costs() -> None:
    control = ("controller@fabric", "controller@cluster", "kubelet", "manager")
    carriers = ("ovs-vswitchd@n1", "perf-iperf3-5201@far", "", "run@client")
    assert [is_control(role) for role in (*control, *carriers)] == [True] * 4 + [False] * 4
