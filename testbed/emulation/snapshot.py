"""What the machine looks like outside all labs, before and after: the proof that a lab leaves nothing.

A snapshot is text lines in sections (links, routes, sysctls, processes, sockets, mounts ...), so that a difference
can be read. What belongs to a lab other than the one under test is left out: several labs run side by side.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_COMMANDS: Mapping[str, tuple[str, ...]] = {
    "links": ("ip", "-o", "-d", "link", "show"),
    "addresses": ("ip", "-o", "address", "show"),
    "routes": ("ip", "route", "show", "table", "all"),
    "ipv6 routes": ("ip", "-6", "route", "show", "table", "all"),
    "rules": ("ip", "rule", "show"),
    "ipv6 rules": ("ip", "-6", "rule", "show"),
    "named namespaces": ("ip", "netns", "list"),
    "nftables": ("nft", "list", "ruleset"),
    "iptables": ("iptables-save",),
    "traffic control": ("tc", "qdisc", "show"),
    "host's Open vSwitch": ("ovs-vsctl", "--timeout=2", "show"),
}
_PASSING = re.compile(r"(valid_lft|preferred_lft|expires|age) \w+|^#.*|\[\d+:\d+\]")
_VOLATILE_SYSCTLS = frozenset({"nf_conntrack_count", "tcp_fastopen_key", "flush", "dirty"})
_LISTEN, _UDP_BOUND = "0A", "07"


@dataclass(frozen=True, slots=True)
class Snapshot:
    sections: tuple[tuple[str, frozenset[str]], ...]


def take_snapshot(lab: str) -> Snapshot:
    """The machine as seen from the host's namespace, with what belongs to ``lab`` if anything does."""
    sections = {name: frozenset(_run(command)) for name, command in _COMMANDS.items()}
    sections["sysctls"] = frozenset(_sysctls(Path("/proc/sys/net")))
    sections["processes"] = frozenset(_processes(lab))
    sections["sockets"] = frozenset(_sockets(lab))
    sections["mounts"] = frozenset(_mounts(lab))
    return Snapshot(tuple(sorted(sections.items())))


def differences(before: Snapshot, after: Snapshot) -> tuple[str, ...]:
    """``+ mounts: ...`` for what came, ``- links: ...`` for what went; empty when nothing differs."""
    old, new = dict(before.sections), dict(after.sections)
    lines = []
    for name in sorted(old.keys() | new.keys()):
        came = new.get(name, frozenset()) - old.get(name, frozenset())
        went = old.get(name, frozenset()) - new.get(name, frozenset())
        lines += [f"+ {name}: {line}" for line in sorted(came)]
        lines += [f"- {name}: {line}" for line in sorted(went)]
    return tuple(lines)


def _run(command: tuple[str, ...]) -> Iterator[str]:
    program = shutil.which(command[0])
    if program is None:
        return
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        ran = subprocess.run(
            [program, *command[1:]], check=False, capture_output=True, text=True, timeout=20, env=environment
        )
    except subprocess.TimeoutExpired:
        return
    for line in ran.stdout.splitlines():
        if text := _PASSING.sub("", line).strip():
            yield text


def _sysctls(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        if path.name in _VOLATILE_SYSCTLS or not path.is_file():
            continue
        try:
            yield f"{path} = {path.read_text().strip()}"
        except OSError:
            continue  # write-only, or of a link that went away


def _processes(lab: str) -> Iterator[str]:
    """Processes that carry the lab's mark, and orphans and children of ours in other network namespaces.

    What a leak leaves has lost its parent; a process of another namespace whose parent lives is its parent's affair.
    """
    home = os.stat("/proc/self/ns/net").st_ino
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            environment = Path("/proc", entry, "environ").read_bytes().split(b"\0")
            foreign = os.stat(f"/proc/{entry}/ns/net").st_ino != home
            parent = int(Path("/proc", entry, "stat").read_bytes().rpartition(b")")[2].split()[1])
            command = Path("/proc", entry, "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        marks = [item for item in environment if item.startswith(b"CNLAB=")]
        if b"CNLAB=" + lab.encode() in marks or (foreign and not marks and parent in (1, os.getpid())):
            yield f"{entry} {command.strip()}"


def _sockets(lab: str) -> Iterator[str]:
    for name in ("tcp", "tcp6", "udp", "udp6"):
        for fields in _table(Path("/proc/net", name)):
            if fields[3] in (_LISTEN, _UDP_BOUND):
                yield f"{name} {fields[1]}"
    for fields in _table(Path("/proc/net/unix")):
        if len(fields) > 7 and f"/{lab}/" in fields[7]:
            yield f"unix {fields[7]}"


def _table(path: Path) -> Iterator[list[str]]:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return
    yield from (line.split() for line in lines[1:])


def _mounts(lab: str) -> Iterator[str]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        ours = f"/{lab}/" in fields[4] + "/"
        if ours or ("cnlab" not in line and "nsfs" not in line):
            yield f"{fields[4]} {line.partition(' - ')[2]}"
