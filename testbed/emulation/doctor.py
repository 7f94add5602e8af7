"""What this machine has and lacks for a lab. It only looks, and tries things in a namespace that ends with it."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from testbed.emulation import syscalls
from testbed.emulation.errors import EmulationError, KernelRefusedError
from testbed.emulation.lock import read_holder
from testbed.emulation.netlink import RouteSocket
from testbed.emulation.netns import Enter, mount_points, visiting, write_sysctls
from testbed.emulation.ownership import find_processes
from testbed.emulation.rtnetlink import make_device
from testbed.emulation.rundir import RunDir, list_labs, run_root
from testbed.emulation.taps import try_tap

_CAPABILITIES = {"net_admin": 12, "net_raw": 13, "sys_admin": 21}
_PROGRAMS = {  # program: (Debian package, what is lost without it)
    "ovs-vswitchd": ("openvswitch-switch", None),
    "ovsdb-server": ("openvswitch-switch", None),
    "ovs-ofctl": ("openvswitch-common", None),
    "ip": ("iproute2", None),
    "mnexec": ("mininet", None),
    "ifconfig": ("net-tools", "Mininet's CLI"),
    "nft": ("nftables", None),
    "ping": ("iputils-ping", "probes"),
    "iperf3": ("iperf3", "`lab perf` and Mininet's iperf"),
    "tcpdump": ("tcpdump", "`lab capture` and the proofs from captures"),
    "xterm": ("xterm", "Mininet's xterm"),
}
_OPTIONAL_PROGRAMS = frozenset({"xterm"})
_MEGABYTE = 1 << 20
_LEAST_MEMORY, _GOOD_MEMORY = 512 * _MEGABYTE, 2048 * _MEGABYTE
_GOOD_FILES = 1024


class Level(StrEnum):
    OK = "ok"
    DEGRADED = "degraded"  # labs work, something is lost
    MISSING = "missing"  # no lab works


@dataclass(frozen=True, slots=True)
class Finding:
    """One check. ``lost`` says what does not work, ``remedy`` what to do; both empty when all is well."""

    subject: str
    level: Level
    detail: str
    lost: str = ""
    remedy: str = ""


def examine() -> tuple[Finding, ...]:
    """All checks, in the order in which they matter. None of them changes the machine."""
    privileges = _privileges()
    tried = _kernel_features() if privileges.level is Level.OK else ()
    return (
        privileges,
        _python(),
        *(_program(name) for name in _PROGRAMS),
        _open_vswitch_version(),
        _datapath(),
        *tried,
        _memory(),
        _open_files(),
        *_leftovers(),
        *_neighbours(),
    )


def is_fit(findings: tuple[Finding, ...]) -> bool:
    """Whether labs work here (exit status 3 when not)."""
    return all(finding.level is not Level.MISSING for finding in findings)


def has_kernel_datapath() -> bool:
    """Whether the kernel's openvswitch module is there, or loads when asked for."""
    if Path("/sys/module/openvswitch").is_dir():
        return True
    modprobe = shutil.which("modprobe")
    if modprobe is None:
        return False
    tried = subprocess.run([modprobe, "--dry-run", "--quiet", "openvswitch"], check=False)
    return tried.returncode == 0


def _privileges() -> Finding:
    status = Path("/proc/self/status").read_text()
    match = re.search(r"^CapEff:\s*([0-9a-f]+)", status, re.MULTILINE)
    effective = int(match[1], 16) if match else 0
    lacking = [name for name, bit in _CAPABILITIES.items() if not effective >> bit & 1]
    if os.geteuid() == 0 and not lacking:
        return Finding("privileges", Level.OK, "root")
    detail = "not root" if os.geteuid() else f"root without {', '.join(lacking)}"
    return Finding(
        "privileges", Level.MISSING, detail, "everything that makes packets", "run it with sudo, or --privileged"
    )


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] == (3, 11):
        return Finding("Python", Level.OK, version)
    return Finding("Python", Level.MISSING, version, "the controllers (Ryu)", "Python 3.11, as Debian 12 has it")


def _program(name: str) -> Finding:
    package, lost = _PROGRAMS[name]
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path:
        return Finding(name, Level.OK, path)
    level = Level.MISSING if lost is None else Level.DEGRADED
    if name in _OPTIONAL_PROGRAMS:
        return Finding(name, Level.OK, f"not installed (only {lost} needs it; package {package})")
    return Finding(name, level, "not installed", lost or "every lab", f"install the package {package}")


def _open_vswitch_version() -> Finding:
    path = shutil.which("ovs-vswitchd", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if path is None:
        return Finding("Open vSwitch", Level.MISSING, "not installed", "every lab", "install openvswitch-switch")
    shown = subprocess.run([path, "--version"], check=False, capture_output=True, text=True, timeout=10).stdout
    match = re.search(r"(\d+)\.(\d+)\.\d+", shown)
    if match is None:
        return Finding("Open vSwitch", Level.DEGRADED, "version unknown", "maybe nothing", "3.1 is what is tested")
    if (int(match[1]), int(match[2])) < (2, 17):
        return Finding(
            "Open vSwitch", Level.MISSING, match[0], "bundles, select groups", "2.17 or later, 3.1 is tested"
        )
    return Finding("Open vSwitch", Level.OK, match[0])


def _datapath() -> Finding:
    if has_kernel_datapath():
        return Finding("datapath", Level.OK, "kernel (module openvswitch)")
    return Finding(
        "datapath",
        Level.OK,
        "userspace: this kernel has no openvswitch module; figures are not comparable with the kernel's",
    )


def _kernel_features() -> tuple[Finding, ...]:
    """Try what a lab needs in a fresh namespace that ends with this call."""

    def probe(_: Enter) -> tuple[Finding, ...]:
        syscalls.unshare(syscalls.CLONE_NEWNET)
        return (
            _try("veth links", lambda: _make_device("veth"), "every lab", "a kernel with CONFIG_VETH"),
            _try("tap devices", try_tap, "the userspace datapath", "a kernel with CONFIG_TUN, /dev/net/tun"),
            _try("forwarding", _forward, "nodes that route", "a writable /proc/sys (--privileged)"),
            _try(
                "nftables NAT", _masquerade, "masquerading to the node's address", "nftables and nf_nat in the kernel"
            ),
            _try("VXLAN devices", lambda: _make_device("vxlan"), "the kernel's tunnel port", "module vxlan", True),
        )

    try:
        return visiting(probe)
    except OSError as error:
        remedy = "a kernel with CONFIG_NET_NS, and the right to use it"
        return (Finding("namespaces", Level.MISSING, str(error), "every lab", remedy),)


def _try(subject: str, attempt: Callable[[], None], lost: str, remedy: str, spare: bool = False) -> Finding:
    try:
        attempt()
    except (OSError, EmulationError) as error:
        return Finding(subject, Level.DEGRADED if spare else Level.MISSING, str(error), lost, remedy)
    return Finding(subject, Level.OK, "works")


def _make_device(kind: str) -> None:
    with RouteSocket() as kernel:
        try:
            kernel.apply([make_device(f"try-{kind}", kind)])
        except KernelRefusedError as error:
            raise EmulationError(error.failures[0][2]) from None


def _forward() -> None:
    write_sysctls((("net.ipv4.ip_forward", "1"),))


def _masquerade() -> None:
    rules = "table ip try {\n chain post {\n  type nat hook postrouting priority 100\n  masquerade\n }\n}\n"
    nft = shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin")
    if nft is None:
        raise EmulationError("nft is not installed")
    ran = subprocess.run([nft, "-f", "-"], check=False, input=rules, capture_output=True, text=True, timeout=10)
    if ran.returncode:
        raise EmulationError(ran.stderr.strip().split("\n")[0])


def _memory() -> Finding:
    match = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    available = int(match[1]) * 1024 if match else 0
    detail = f"{available // _MEGABYTE} MB available"
    if available >= _GOOD_MEMORY:
        return Finding("memory", Level.OK, detail)
    level = Level.DEGRADED if available >= _LEAST_MEMORY else Level.MISSING
    return Finding("memory", level, detail, "large labs: a node takes 40 MB, a pod 1 MB", "2 GB available memory")


def _open_files() -> Finding:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard >= _GOOD_FILES:
        return Finding("open files", Level.OK, f"limit {hard}")
    return Finding("open files", Level.DEGRADED, f"limit {hard}", "switches with many ports", "ulimit -n 1024 or more")


def _leftovers() -> tuple[Finding, ...]:
    """Labs whose directory is there but of which nothing lives, and directories that can't be labs."""
    findings = []
    try:
        labs = list_labs()
    except PermissionError:
        return (Finding("leftovers", Level.OK, f"only root can look into {run_root()}"),)
    for lab in labs:
        rundir = RunDir.of(lab)
        if not find_processes(rundir) and not mount_points(rundir.netns):
            detail = f"{rundir.path} has neither processes nor namespaces; last used by {read_holder(rundir)}"
            findings.append(Finding(f"lab {lab}", Level.DEGRADED, detail, "nothing", f"lab down {lab}"))
    root = run_root()
    if root.is_dir() and root.stat().st_mode & 0o077:
        findings.append(
            Finding("run directory", Level.DEGRADED, f"{root} is open to others", "privacy", f"chmod 700 {root}")
        )
    return tuple(findings) or (Finding("leftovers", Level.OK, "none"),)


def _neighbours() -> tuple[Finding, ...]:
    """Programs of the machine that are known to meddle with links that they did not make."""
    findings = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if Path("/proc", pid, "comm").read_text().strip() == "NetworkManager":
                findings.append(
                    Finding(
                        "NetworkManager",
                        Level.OK,
                        "runs; it does not see a lab's links, which are born in namespaces of their own",
                    )
                )
                break
        except OSError:
            continue
    calls = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
    if calls.exists() and calls.read_text().strip() == "1":
        detail = "on; no bridge of a lab is in the host's namespace, so its firewall never sees a lab's packets"
        findings.append(Finding("br_netfilter", Level.OK, detail))
    return tuple(findings)
