"""trace, matrix, capture and conntrack on a real lab, as a user types them."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from scapy.utils import rdpcap

from tests.integration.test_cli_lab import Shell

LAB = "topologies/services.yaml"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    shell = Shell(tmp_path_factory.mktemp("run"), f"packets-{secrets.token_hex(3)}")
    try:
        shell("up", LAB, "--lab", shell.name)
        shell("exec", "client-1", "--", "curl", "-s", "--retry", "20", "--retry-all-errors", "--retry-delay", "1",
              "--max-time", "2", "http://192.168.1.2/")  # fmt: skip
        yield shell
    finally:
        shell("down", "--all")


# trace -----------------------------------------------------------------------------------------------------


def test_a_trace_begins_with_the_verdict_and_names_what_decided(lab: Shell) -> None:
    lines = lab("trace", "client-3", "svc/web").stdout.splitlines()
    assert lines[0] == "client-3 -> svc/web, TCP port 80: allowed"
    assert " answers, it sees 172.16.0." in lines[1]
    text = "\n".join(lines)
    assert f"[Service/default/web, {LAB}:" in text
    assert "VXLAN 192.168.0." in text
    hops = lab("trace", "client-3", "svc/web", "--hops").stdout
    everything = lab("trace", "client-3", "svc/web", "-v").stdout
    assert len(lines) < len(hops.splitlines()) < len(everything.splitlines())


def test_a_dropped_packet_has_the_rule_and_what_would_let_it_pass(lab: Shell) -> None:
    shown = lab("trace", "peer-vm", "n1", status=1).stdout
    assert "peer-vm -> n1, ICMP: dropped" in shown
    assert "ingress_rules: no inbound rule allows it" in shown
    assert "would pass with: an ingress rule of security group demo-cce-node" in shown
    outside = lab("trace", "inet", "svc/balanced", status=1).stdout
    assert "would pass with: from outside of the cluster: " in outside
    assert "a node's address, port 30082" in outside


@pytest.mark.parametrize(
    ("words", "verdict"),
    [
        (("client-1", "elb/elb-dedicated"), "allowed"),
        (("inet", "eip/for-elb"), "allowed"),
        (("inet", "for-n1", "--port", "30080"), "allowed"),
        (("192.168.1.4", "n1", "--port", "30080"), "allowed"),
        (("sts/web", "vm-1"), "allowed"),
        (("vm-1", "svc/web", "--proto", "udp"), "dropped"),
        (("n1", "svc/empty"), "refused"),
    ],
    ids=" ".join,
)
def test_every_kind_of_name_is_understood(lab: Shell, words: tuple[str, ...], verdict: str) -> None:
    shown = lab("trace", *words, "-o", "json", status=None).stdout
    assert f'"verdict": "{verdict}"' in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("client-9", "inet"), "no pod, node, server, host, Service, balancer or elastic IP client-9; did you mean c"),
        (("client-1", "svc/wbe"), "there is no Service wbe with an address in namespace default; did you mean web?"),
        (("svc/web", "inet"), "Service web sends nothing of its own; name a pod, node, server or host"),
        (("client-1", "headless"), "Service headless has no address of its own (headless); name one of its pods"),
        (("10.9.9.9", "inet"), "nobody in the lab has the address 10.9.9.9"),
        (("client-1", "n1", "--proto", "tcp"), "n1 declares no TCP port; say which: --port N"),
        (("client-1", "n1", "--proto", "icmp", "--port", "1"), "ICMP has no ports"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_word_that_means_nothing_is_said_so(lab: Shell, words: tuple[str, ...], message: str) -> None:
    assert message in lab("trace", *words, status=2).stderr


def test_a_real_packet_confirms(lab: Shell) -> None:
    live = lab.json("trace", "client-3", "vm-1", "--live")["live"]
    assert (live["seen"], live["agrees"], live["differences"]) == ("allowed", True, [])
    assert all(place["seen"] for place in live["there"])


# matrix ----------------------------------------------------------------------------------------------------


def test_everything_is_as_promised(lab: Shell, tmp_path: Path) -> None:
    page = tmp_path / "matrix.html"
    shown = lab("matrix", "--port", "8080", "--services", "--html", str(page)).stdout
    assert ": 0 wrong of " in shown.splitlines()[0]
    assert max(map(len, shown.splitlines())) <= 80
    assert page.read_text().startswith("<!DOCTYPE html>")
    document = lab.json("matrix")
    marks = {cell["mark"] for cell in document["cells"]}
    assert (document["wrong"], marks) == (0, {".", "X"})


def test_what_is_broken_is_wrong_and_its_trace_is_named(lab: Shell) -> None:
    lab("exec", "web-0", "--", "ip", "link", "set", "eth0", "down")
    try:
        shown = lab("matrix", "--kind", "pod", "--to", "web-0", status=1).stdout
        assert "4 wrong of 4" in shown.splitlines()[0]
        assert "! client-1 -> web-0: expected allowed" in shown
        assert "lab trace client-1 web-0 --proto icmp" in shown
    finally:
        lab("exec", "web-0", "--", "ip", "link", "set", "eth0", "up")
        lab("exec", "web-0", "--", "ip", "route", "replace", "169.254.1.1", "dev", "eth0", "scope", "link")
        lab("exec", "web-0", "--", "ip", "route", "replace", "default", "via", "169.254.1.1")
    assert "0 wrong of 4" in lab("matrix", "--kind", "pod", "--to", "web-0").stdout


def test_a_member_that_is_not_there_is_refused(lab: Shell) -> None:
    assert "the matrix has no webb-0; did you mean web-0?" in lab("matrix", "--from", "webb-0", status=2).stderr
    assert "say which port: --proto tcp --port N" in lab("matrix", "--proto", "tcp", status=2).stderr


# capture ---------------------------------------------------------------------------------------------------


def captured(lab: Shell, *words: str) -> str:
    """What ``lab capture`` prints while a pod asks a server on another node's way."""
    capture = lab.start("capture", *words)
    assert capture.stderr is not None
    assert capture.stderr.readline().startswith("capturing at ")
    for _ in range(3):
        lab("exec", "client-1", "--", "curl", "-s", "--max-time", "2", "http://192.168.1.4:8080/")
    out, problems = capture.communicate(timeout=60)
    assert capture.returncode == 0, problems
    return out


def test_a_file_shows_the_way_place_by_place(lab: Shell, tmp_path: Path) -> None:
    path = tmp_path / "way.pcapng"
    captured(
        lab, "client-1", "vm-1", "--at", "every-hop", "-o", str(path), "--seconds", "6", "--filter", "tcp port 8080"
    )
    frames = rdpcap(str(path))
    places = list(dict.fromkeys(frame.sniffed_on for frame in frames))
    assert places[:2] == ["client-1/eth0", "n1/p100"]
    assert {"n1/br-int", "n1/br-ex", "n1/eth0", "fabric/e1", "vm-1/eth0"} <= set(places)
    assert any(b"client-1 172.16.0.16" in comment for frame in frames for comment in frame.comments or ())
    shown = subprocess.run(["tcpdump", "-nr", str(path)], capture_output=True, text=True, check=True).stdout
    assert "172.16.0.16" in shown
    assert "> 192.168.1.4.8080: Flags [S]" in shown


def test_text_tells_the_walk_by_names(lab: Shell) -> None:
    shown = captured(lab, "client-1", "--text", "--count", "8", "--filter", "tcp")
    lines = shown.splitlines()
    assert len(lines) == 8
    assert "client-1/eth0 > client-1 172.16.0.16:" in lines[0]
    assert lines[0].endswith("> vm-1 192.168.1.4:8080 TCP S")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("client-9",), "did you mean client-"),
        (("n1/eth9",), "there is no n1/eth9 to capture at; there are: n1/br-int, n1/br-ex, n1/eth0"),
        (("n1", "--filter", "tcp prot 1"), "--filter: can't parse filter expression: syntax error"),
        (("svc/empty",), "Service empty has no endpoint in the lab"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_can_not_be_captured_is_said_so(lab: Shell, words: tuple[str, ...], message: str) -> None:
    assert message in lab("capture", *words, status=2).stderr


# conntrack -------------------------------------------------------------------------------------------------


def test_connections_are_remembered_with_what_they_translate(lab: Shell) -> None:
    """While one is open: zones forget those that have ended within seconds."""
    connection = lab.start("exec", "vm-1", "--", "bash", "-c", "exec 3<>/dev/tcp/192.168.0.3/30080 && echo up && read")
    try:
        assert connection.stdout is not None
        assert connection.stdout.readline() == "up\n"
        rows = lab.json("conntrack", "n2", "--nat", "--for", "vm-1")
        asked = [row["zone"] for row in rows if row["sent"]["sourceName"] == "vm-1"]
        table = lab("conntrack", "fabric", "--for", "vm-1").stdout.splitlines()
    finally:
        connection.communicate("\n", timeout=30)
    assert set(asked) == {"service", "disguise"}
    assert table[0].split() == ["ZONE", "PROTOCOL", "FROM", "TO", "TRANSLATED"]
    opened = [line for line in table[1:] if "192.168.0.3:30080" in line]
    assert [line.split()[:5] for line in opened] == [["fabric", "VPC", "demo", "tcp", "ESTABLISHED"]]  # once, of both
    assert "did you mean n2?" in lab("conntrack", "n22", status=2).stderr


# last: it leaves the lab broken ------------------------------------------------------------------------------


def test_a_switch_that_does_not_run_is_what_drops_the_packet(lab: Shell) -> None:
    run = Path(lab.environment["CNLAB_RUN_ROOT"]) / lab.name
    os.kill(int((run / "ovs" / "n3" / "ovs-vswitchd.pid").read_text()), signal.SIGKILL)
    shown = lab("trace", "client-3", "vm-1", "--live", status=1).stdout
    assert "the Open vSwitch of n3 does not run" in shown
    assert "real packet: dropped (no answer), confirmed" in shown
