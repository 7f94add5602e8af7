"""The controller process against a real Open vSwitch: repairs, errors, strangers, crashes, many at once."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.emulation.jsonrpc import accepts
from tests.integration.controller_lab import STAND_IN, ControllerLab, controller_lab, say_features
from tests.integration.controller_switch import Peer, until
from tests.limits import LIMIT

pytestmark = pytest.mark.root


@pytest.fixture
def lab() -> Iterator[ControllerLab]:
    with controller_lab() as made:
        yield made


def bring_up(lab: ControllerLab, flows: int = 20) -> list[str]:
    """One bridge with its program; its flows as dumped."""
    lab.want(1, {1: {"flows": flows}})
    lab.start()
    lab.switch.add_bridge("br0", 1, str(lab.link))
    lab.until_applied(1)
    return lab.switch.flows("br0")


def test_a_switch_gets_its_program_and_only_differences_after(lab: ControllerLab) -> None:
    flows = bring_up(lab)
    assert len(flows) == 20 + 1 + 2
    sent = lab.applied()["messages_sent"]
    lab.want(2, {1: {"flows": 21}})
    lab.until_applied(2)
    assert lab.applied()["messages_sent"] == sent + 1
    assert len(lab.switch.flows("br0")) == 24
    assert "bucket=actions=output:1,bucket=actions=output:2" in lab.switch.ofctl("dump-groups", "br0").replace(
        "weight:1,", ""
    )


def test_a_controller_that_returns_repairs_what_happened_meanwhile(lab: ControllerLab) -> None:
    golden = bring_up(lab)
    lab.kill()
    assert lab.switch.flows("br0") == golden, "the switch keeps its flows while nobody controls it"
    lab.switch.ofctl("add-flow", "br0", "table=0,priority=999,ip,nw_src=6.6.6.6,actions=NORMAL")
    lab.switch.ofctl("del-flows", "br0", "--strict", "table=0,priority=100,ip,nw_dst=10.0.3.0/24")
    lab.switch.ofctl("mod-flows", "br0", "table=1,actions=drop")
    lab.switch.ofctl("add-group", "br0", "group_id=66,type=all,bucket=output:1")
    assert lab.switch.flows("br0") != golden
    lab.start()
    lab.until_applied(1)
    assert lab.switch.flows("br0") == golden
    assert "group_id=66" not in lab.switch.ofctl("dump-groups", "br0")
    assert lab.applied()["messages_sent"] == 4  # stray flow and group away, lost flow back, one of table 1 mended


def test_what_changed_while_the_controller_was_away_is_in_force_after(lab: ControllerLab) -> None:
    bring_up(lab)
    lab.kill()
    lab.want(2, {1: {"flows": 5}})
    lab.start()
    lab.until_applied(2)
    assert len(lab.switch.flows("br0")) == 8


def test_flows_that_somebody_deletes_come_back(lab: ControllerLab) -> None:
    golden = bring_up(lab)
    lab.switch.ofctl("del-flows", "br0")
    lab.switch.ofctl("del-groups", "br0")
    until(lambda: lab.switch.flows("br0") == golden, LIMIT, "the deleted flows")


def test_a_switch_that_restarts_gets_everything_again(lab: ControllerLab) -> None:
    golden = bring_up(lab)
    lab.switch.vswitchd.kill()
    lab.switch.vswitchd.wait()
    until(lambda: not lab.state_of(1)["connected"], LIMIT, "the end of the connection seen")
    lab.switch.start_vswitchd()
    until(lambda: accepts(lab.switch.run / "br0.mgmt") and lab.state_of(1)["connected"], LIMIT, "the switch back")
    lab.until_applied(1)
    assert lab.switch.flows("br0") == golden


def test_an_error_of_the_switch_names_the_object_and_is_not_applied(lab: ControllerLab) -> None:
    bring_up(lab)
    lab.want(2, {1: {"flows": 21, "bad": True}})
    until(lambda: lab.state_of(1)["errors"], LIMIT, "the error")
    assert lab.state_of(1)["errors"] == [
        "flow of Pod/default/broken in last (wrong port): OFPET_BAD_ACTION/OFPBAC_BAD_OUT_PORT"
    ]
    assert lab.applied()["generation"] == 1
    lab.want(3, {1: {"flows": 21}})
    lab.until_applied(3)
    assert lab.state_of(1)["errors"] == []


def test_a_full_table_is_reported_and_tried_again(lab: ControllerLab) -> None:
    bring_up(lab)
    full = "--id=@t create Flow_Table flow_limit=25 overflow_policy=refuse -- set bridge br0 flow_tables:0=@t"
    lab.switch.vsctl("--", *full.split())
    golden = lab.switch.flows("br0")
    lab.want(2, {1: {"flows": 200}})
    until(lambda: lab.state_of(1)["errors"], LIMIT, "the error")
    assert re.search(
        r"flow of Pod/default/p\d+ in first .*: OFPET_FLOW_MOD_FAILED/OFPFMFC_TABLE_FULL",
        str(lab.state_of(1)["errors"]),
    )
    assert lab.switch.flows("br0") == golden, "all or nothing"
    lab.switch.vsctl("clear", "bridge", "br0", "flow_tables")
    lab.until_applied(2)


def test_strangers_are_refused_and_the_others_are_fine(lab: ControllerLab) -> None:
    golden = bring_up(lab)
    for datapath_id in (66, 1):
        stranger = Peer(lab.socket)
        say_features(stranger, datapath_id)
        kinds = kinds_until_closed(stranger)
        assert not kinds & {14, 15, 33, 34}, "nothing is programmed into a stranger"
    until(lambda: lab.applied()["refused"] == 2, LIMIT, "two refused")
    lab.want(2, {1: {"flows": 20}})
    lab.until_applied(2)
    assert lab.switch.flows("br0") == golden


def kinds_until_closed(peer: Peer) -> set[int]:
    """Types of the messages that arrive before the other side ends the connection."""
    kinds = set()
    with contextlib.closing(peer), contextlib.suppress(ConnectionError):
        while True:
            kinds.add(peer.receive()[0])
    return kinds


GARBAGE = (
    b"GET / HTTP/1.1\r\n\r\n" * 10,
    bytes(4096),
    b"\x05\x00\x00\x00\x00\x00\x00\x01" * 20,  # lengths of zero
    b"\x05\x13\x00\x10\x00\x00\x00\x01" + bytes(8) + b"\x01\x00\x00\x08\x00\x00\x00\x01",  # a reply before hello
    b"\x63\x00\x00\x08\x00\x00\x00\x01",  # no such version
    os.urandom(2000),
)


def test_garbage_ends_its_own_connection_only(lab: ControllerLab) -> None:
    bring_up(lab)
    before = lab.descriptors()
    for garbage in GARBAGE * 5:
        with socket.socket(socket.AF_UNIX) as peer, contextlib.suppress(OSError):
            peer.connect(str(lab.socket))
            peer.sendall(garbage)
    until(lambda: lab.descriptors() <= before, LIMIT, "descriptors as before")
    lab.want(2, {1: {"flows": 30}})
    lab.until_applied(2)


def test_a_hundred_reconnects_leak_nothing(lab: ControllerLab) -> None:
    bring_up(lab)
    before = lab.descriptors()
    for _ in range(100):
        with contextlib.closing(Peer(lab.socket)) as peer:
            say_features(peer, 66)
    until(lambda: lab.descriptors() <= before, LIMIT, "descriptors as before")


def test_a_frozen_controller_recovers(lab: ControllerLab) -> None:
    """Also when the switch gave it up meanwhile. Open vSwitch 3.1 does not probe every connection: so it is told to."""
    golden = bring_up(lab)
    assert lab.process is not None
    until(lambda: says_connected(lab) == "true", LIMIT, "the switch saying that it is connected")
    lab.process.send_signal(signal.SIGSTOP)
    other = lab.link.with_name("another.sock")
    other.symlink_to(lab.socket)
    lab.switch.set_controller("br0", str(other))
    lab.want(2, {1: {"flows": 25}})
    time.sleep(1)
    assert says_connected(lab) == "false"
    assert lab.switch.flows("br0") == golden  # what forwards goes on
    lab.process.send_signal(signal.SIGCONT)
    lab.until_applied(2)
    assert len(lab.switch.flows("br0")) == len(golden) + 5
    assert list(lab.applied()["switches"]) == ["0000000000000001"]


def says_connected(lab: ControllerLab) -> str:
    return lab.switch.vsctl("get", "controller", "br0", "is_connected").strip()


def test_no_port_of_the_host_is_opened(lab: ControllerLab) -> None:
    bring_up(lab)
    assert lab.process is not None
    links = [os.readlink(each) for each in Path(f"/proc/{lab.process.pid}/fd").iterdir()]
    sockets = {link[8:-1] for link in links if link.startswith("socket:[")}
    for table in ("tcp", "tcp6", "udp", "udp6"):
        inodes = {line.split()[9] for line in Path(f"/proc/{lab.process.pid}/net/{table}").read_text().splitlines()[1:]}
        assert not sockets & inodes
    assert lab.socket.stat().st_mode & 0o077 == 0


def test_a_second_controller_of_the_same_name_gives_up(lab: ControllerLab) -> None:
    bring_up(lab)
    assert lab.process is not None
    second = subprocess.run(
        [sys.executable, str(STAND_IN), str(lab.switch.run)], capture_output=True, text=True, timeout=LIMIT
    )
    assert second.returncode != 0
    assert f"another controller listens on {lab.socket}" in second.stderr
    assert lab.process.poll() is None
    lab.want(2, {1: {"flows": 3}})
    lab.until_applied(2)


def test_it_ends_when_told_and_says_so(lab: ControllerLab) -> None:
    bring_up(lab)
    document = lab.control / "stand-in.applied.json"
    assert lab.kill(signal.SIGTERM) == 0
    assert '"pid":0' in document.read_text()
    assert '"connected":true' not in document.read_text()
    assert not lab.socket.exists()


def test_a_hundred_switches_at_once(lab: ControllerLab, capsys: pytest.CaptureFixture[str]) -> None:
    lab.want(1, {number: {"flows": 50} for number in range(1, 101)})
    lab.start()
    command: list[str] = []
    for number in range(1, 101):
        name = f"b{number}"
        command += ["--", "add-br", name, "--", "set", "bridge", name, "datapath_type=netdev", "fail_mode=secure"]
        command += [f"other-config:datapath-id={number:016x}", "protocols=OpenFlow14"]
        command += ["--", "set-controller", name, f"unix:{lab.link}"]
    lab.switch.vsctl(*command)
    seconds = lab.until_applied(1)
    assert len(lab.switch.flows("b77")) == 53
    with capsys.disabled():
        sys.stdout.write(f"\n100 switches with 50 flows each: {seconds:.2f} s, controller {lab.memory()} kB\n")


def test_ten_thousand_flows_are_timed(lab: ControllerLab, capsys: pytest.CaptureFixture[str]) -> None:
    lab.want(1, {1: {"flows": 10}})
    started = lab.start()
    lab.switch.add_bridge("br0", 1, str(lab.link))
    lab.until_applied(1)
    empty = lab.memory()
    lab.want(2, {1: {"flows": 10_000}})
    many = lab.until_applied(2)
    lab.want(3, {1: {"flows": 10_001}})
    one = lab.until_applied(3)
    lab.kill()
    lab.start()
    again = lab.until_applied(3)
    with capsys.disabled():
        sys.stdout.write(
            f"\nlistening after {started:.2f} s, {empty} kB; 10,000 flows after {many:.2f} s, {lab.memory()} kB;"
            f" one more after {one:.3f} s; read back and compared after a restart in {again:.2f} s\n"
        )
    assert lab.applied()["messages_sent"] == 0
