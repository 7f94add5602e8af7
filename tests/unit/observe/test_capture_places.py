"""Where the packets of an object pass, the file that says where each was seen, and what connections are remembered."""

from __future__ import annotations

import io
import struct
import subprocess
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from rich.console import Console
from rich.measure import Measurement
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.utils import rdpcap

from testbed.emulation.rundir import RunDir
from testbed.model.desired import NetworkModel
from testbed.model.planning import Ledger, plan_lab
from testbed.observe.captures import decode
from testbed.observe.pcapng import write_pcapng
from testbed.observe.sniffing import Place, Sniffed, _with_tag, compile_filter
from testbed.observe.spots import Map, Spot
from testbed.observe.subjects import Subject
from testbed.observe.tracked import parse_kernel, parse_tracked
from testbed.operations.errors import BadRequestError
from testbed.report.frames import render_frame
from testbed.report.tracked import render_tracked, tracked_document
from tests.unit.model.labs import lab

POD, NODE, SERVER = IPv4Address("172.16.0.16"), IPv4Address("192.168.0.2"), IPv4Address("192.168.0.9")
NAMES = {POD: "web-0", NODE: "n1", SERVER: "svc/web"}


def places(model: NetworkModel) -> Map:
    plan = plan_lab(lab(model), Ledger(), 1, "userspace", 0.0)
    return Map(RunDir.of("places"), plan.wiring)


def subject(name: str, node: str = "") -> Subject:
    return Subject(name, f"Pod/default/{name}", name, (POD,), node)


def names(spots: list[Spot]) -> list[str]:
    return [spot.place.name + ("*" if spot.shared else "") for spot in spots]


def test_every_hop_goes_from_the_pod_to_the_cloud() -> None:
    """Those with a star are shared with others."""
    assert names(list(places(NetworkModel.TUNNEL).every_hop(subject("web-0", "node-1")))) == [
        "web-0/eth0",
        "node-1/p100",
        "node-1/br-int*",
        "node-1/br-ex*",
        "node-1/eth0*",
        "fabric/e1*",
    ]
    assert names(list(places(NetworkModel.ENI).every_hop(subject("web-0", "node-1")))) == [
        "web-0/eth0",
        "node-1/p100",
        "node-1/br-int*",
        "node-1/br-ex*",
        "node-1/eth0*",
        "fabric/e2*",
        "node-1/eth1*",
        "fabric/e1*",
    ]


def test_a_node_and_a_server_have_interfaces_of_their_own() -> None:
    where = places(NetworkModel.TUNNEL)
    assert names(list(where.own(subject("node-1", "node-1")))) == ["node-1/eth0"]
    assert "*" not in "".join(names(list(where.every_hop(subject("node-1", "node-1")))))
    own, fabric = where.every_hop(subject("db"))
    assert own.place.name == "db/eth0"
    assert fabric.description == "Pod/default/db, its port of the fabric"


def test_a_place_is_called_by_its_name_or_refused_with_those_that_are_there() -> None:
    where = places(NetworkModel.TUNNEL)
    assert where.at("node-1/br-int").description == "Node/node-1, its br-int"
    with pytest.raises(BadRequestError, match="no node-1/eth7 to capture at; there are: node-1/br-int, node-1/br-ex"):
        where.at("node-1/eth7")


def frames() -> tuple[list[Spot], list[Sniffed]]:
    """A segment of TCP that leaves a pod and enters its node; a third place sees nothing."""
    spots = [
        Spot(Place(name, Path("/x"), name.partition("/")[2]), f"what {name} is")
        for name in ("web-0/eth0", "n1/p100", "n1/eth0")
    ]
    data = bytes(Ether() / IP(src=str(POD), dst=str(SERVER)) / TCP(sport=40000, dport=80, flags="S"))
    at = 1_700_000_000.123456789
    return spots, [Sniffed(spots[0].place, at, data, True), Sniffed(spots[1].place, at + 1e-5, data, False)]


def test_the_file_has_an_interface_for_each_place_and_says_who_it_was(tmp_path: Path) -> None:
    spots, seen = frames()
    path = tmp_path / "way.pcapng"
    assert write_pcapng(path, spots, seen, "lab x: web-0", lambda frame: f"seen at {frame.place.name}") == 2
    first, second = rdpcap(str(path))
    assert (first.sniffed_on, second.sniffed_on) == ("web-0/eth0", "n1/p100")
    assert (first.direction, second.direction) == (2, 1)
    assert second.comments == [b"seen at n1/p100"]
    assert float(first.time) == pytest.approx(1_700_000_000.1234567, abs=1e-6)
    assert bytes(first)[-20:] == seen[0].data[-20:]
    shown = subprocess.run(["tcpdump", "-nr", str(path)], capture_output=True, text=True, check=True).stdout
    assert shown.count("172.16.0.16.40000 > 192.168.0.9.80: Flags [S]") == 2
    text = path.read_bytes()
    assert all(f"what {spot.place.name} is".encode() in text for spot in spots)


def test_a_frame_reads_as_who_to_whom() -> None:
    _, (first, _) = frames()
    decoded = decode("web-0/eth0", first.at, first.data)
    assert decoded is not None
    line = render_frame(decoded, NAMES, first.at, 12, leaving=True).plain
    assert line == " 0.000000  web-0/eth0   > web-0 172.16.0.16:40000 > svc/web 192.168.0.9:80 TCP S"


def test_a_tag_that_the_kernel_keeps_beside_the_frame_is_put_back() -> None:
    data = bytes(Ether() / IP(src=str(POD), dst=str(SERVER)))
    kept = struct.pack("IIIHHHH", 1 << 4, 0, 0, 0, 0, 7, 0x8100)
    tagged = decode("n1/eth1", 0.0, _with_tag(data, kept))
    assert tagged is not None
    assert tagged.vlan == 7
    assert _with_tag(data, struct.pack("IIIHHHH", 0, 0, 0, 0, 0, 7, 0x8100)) == data


def test_a_filter_that_tcpdump_does_not_understand_is_refused_in_its_words() -> None:
    assert len(compile_filter("tcp port 80")) % 8 == 0
    with pytest.raises(BadRequestError, match="syntax error"):
        compile_filter("tcp prot 80")


DUMP = """\
tcp,orig=(src=192.168.0.9,dst=192.168.0.2,sport=40000,dport=30080),reply=(src=172.16.0.16,dst=192.168.0.9,\
sport=8080,dport=40000),zone=1,mark=1,protoinfo=(state=ESTABLISHED)
icmp,orig=(src=172.16.0.16,dst=192.168.0.9,id=7,type=8,code=0),reply=(src=192.168.0.9,dst=172.16.0.16,id=7,\
type=0,code=0),zone=5
"""
KERNEL = (
    "tcp      6 119 TIME_WAIT src=172.16.0.16 dst=192.168.0.9 sport=53588 dport=8080 "
    "src=192.168.0.9 dst=192.168.0.2 sport=8080 dport=53588 [ASSURED] mark=0 use=1\n"
    "udp      17 20 src=172.16.0.16 dst=192.168.0.9 sport=1 dport=2 [UNREPLIED] "
    "src=192.168.0.9 dst=172.16.0.16 sport=2 dport=1 mark=0 zone=3 use=1\n"
)


def test_tracked_connections_say_what_they_translate() -> None:
    to_node, echo = parse_tracked(DUMP, "n1", {1: "service"})
    assert (to_node.zone, to_node.state, to_node.mark, echo.zone) == ("service", "ESTABLISHED", 1, "5")
    assert to_node.translation is not None
    assert to_node.translation[1].destination == POD
    assert echo.translation is None


def test_the_kernels_own_connections_are_those_without_a_zone() -> None:
    (masqueraded,) = parse_kernel(KERNEL, "n1")
    assert masqueraded.translation is not None
    assert (masqueraded.zone, str(masqueraded.translation[1].source)) == ("kernel", "192.168.0.2")
    (row,) = tracked_document([masqueraded], NAMES)
    assert (row["translated"], row["sent"]["sourceName"], row["answered"]["destinationName"]) == (True, "web-0", "n1")
    cells = [str(cell) for column in render_tracked([masqueraded], NAMES).columns for cell in column.cells]
    assert cells == [
        "n1 kernel",
        "tcp TIME_WAIT",
        "web-0 172.16.0.16:53588",
        "svc/web 192.168.0.9:8080",
        "from n1 192.168.0.2:53588",
    ]


def test_tracked_connections_fit_a_terminal_of_80() -> None:
    """With names as long as the demo's, and addresses whole."""
    names = {POD: "web-sdrj4456k-2xn7t", NODE: "n1", SERVER: "elb/elb-dedicated"}
    console = Console(width=80, file=io.StringIO())
    found = [*parse_tracked(DUMP, "n1", {1: "service"}), *parse_kernel(KERNEL, "n1")]
    table = render_tracked(found, names)
    console.print(table)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert Measurement.get(console, console.options, table).minimum <= 80
    assert "192.168.0.9:40000" in text
    assert "ESTABLISHED" in text
