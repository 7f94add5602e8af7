"""The conditions of a run, read from the machine and from every subject's own interfaces."""

from __future__ import annotations

import fcntl
import os
import platform
import re
import socket
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path as File

from testbed.emulation import ethtool
from testbed.emulation.errors import MachineLacksError
from testbed.emulation.netns import inside
from testbed.perf.results import PLAIN, Conditions, Measure, SubjectConditions
from testbed.perf.subjects import Subject
from testbed.perf.tools import settle_time

_SIOCGIFMTU = 0x8921
_TCP = File("/proc/sys/net/ipv4")
_PINNED = "cubic"
_TOOLS = {
    "iperf3": ("iperf3", "--version"),
    "sockperf": ("sockperf", "--version"),
    "wrk": ("wrk", "--version"),
    "ovs-vswitchd": ("ovs-vswitchd", "--version"),
}
_COLOUR = re.compile(r"\x1b?\[[\d;]*m")
_PACKAGES = {"ovs-vswitchd": "openvswitch-switch"}


def choose_congestion() -> str:
    """The algorithm that iperf3 is told to use: cubic where the kernel has it, else the machine's own."""
    offered = (_TCP / "tcp_available_congestion_control").read_text(encoding="ascii").split()
    return _PINNED if _PINNED in offered else (_TCP / "tcp_congestion_control").read_text(encoding="ascii").strip()


def read_tools() -> tuple[tuple[str, str], ...]:
    """Each tool with the first line of its version. Raises ``MachineLacksError`` naming what is missing."""
    found = []
    for name, command in _TOOLS.items():
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
        except FileNotFoundError:
            package = _PACKAGES.get(name, name)
            raise MachineLacksError(f"{name} is missing: lab setup installs it (Debian package {package})") from None
        lines = (done.stdout or done.stderr).splitlines() or [""]
        found.append((name, _version(lines)))
    return tuple(found)


def _version(lines: Sequence[str]) -> str:
    """The first line with a number in it, without colours and what tools put after it."""
    line = next((line for line in lines if any(letter.isdigit() for letter in line)), lines[0])
    return _COLOUR.sub("", line).split(" Copyright")[0].split(" [")[0].strip(" =#:")


def read_subject(subject: Subject, congestion: str) -> SubjectConditions:
    """From its client's interface and its wire. ``congestion`` is what iperf3 will be told there."""
    namespace, device = subject.wire
    client = subject.rundir.namespace(subject.client)
    default = inside(client, lambda: (_TCP / "tcp_congestion_control").read_text(encoding="ascii").strip())
    return SubjectConditions(
        subject=subject.name,
        datapath=subject.datapath,
        wire_mtu=inside(subject.rundir.namespace(namespace), lambda: _mtu(device)),
        client_mtu=inside(client, lambda: _mtu("eth0")),
        offloads=inside(client, lambda: ethtool.read_tx_checksum("eth0")),
        congestion=congestion if congestion == default else f"{congestion}, others {default}",
        settling=settle_time(Measure.TCP_1, subject.datapath),
        retags=subject.name.startswith(PLAIN),
    )


def _mtu(device: str) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        answer = fcntl.ioctl(any_socket, _SIOCGIFMTU, struct.pack("16sI12x", device.encode(), 0))
    return int(struct.unpack_from("16sI", answer)[1])


def read_conditions(subjects: Sequence[SubjectConditions], tools: tuple[tuple[str, str], ...]) -> Conditions:
    """``steal`` is nought: it is only known at the end of the run."""
    versions = dict(tools)
    return Conditions(
        kernel=platform.release(),
        openvswitch=versions["ovs-vswitchd"].rpartition(" ")[2],
        processors=os.cpu_count() or 1,
        load=os.getloadavg()[0],
        steal=0.0,
        tools=tools,
        subjects=tuple(subjects),
    )
