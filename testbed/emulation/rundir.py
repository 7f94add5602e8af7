"""The run directory: one per lab, mode 0700, everything that a later command needs to find the lab again.

    /run/cnlab/<lab>/   lock state.json journal
        netns/<name>            a namespace, bind-mounted in a tmpfs of the lab's own
        ovs/<namespace>/        database, sockets, pid files and logs of one Open vSwitch
        control/                desired state for the controllers, what they applied, the sockets switches connect to
        workloads.json          what has to run in pods, servers and internet hosts, written by the lab
        workloads.status.json   what runs, written by the kubelet when it changes
        workloads.sock          where the kubelet finds the container runtime
        workloads/<workload>/   resolv.conf, hosts, hostname; config/ is what the workload sees as /srv
        etc/                    <namespace>.resolv.conf of namespaces that have a nameserver
        logs/                   output of the processes that the lab started; <workload>.<container>.log, .log.1

``CNLAB_RUN_ROOT`` replaces ``/run/cnlab`` (for tests).
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from testbed.emulation.errors import BadNameError, EmulationError, NotOursError

_LAB_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")
_PART_NAME = re.compile(r"[a-zA-Z0-9]([-_.a-zA-Z0-9]{0,251}[a-zA-Z0-9])?")


def run_root() -> Path:
    return Path(os.environ.get("CNLAB_RUN_ROOT", "/run/cnlab"))


def checked_part(name: str) -> str:
    """``name`` when it can be one component of a path and one argument of a program, else ``BadNameError``."""
    if not _PART_NAME.fullmatch(name) or ".." in name:
        raise BadNameError(f"{name!r} can't be part of a path: letters, digits, '-', '_' and single '.' only")
    return name


@dataclass(frozen=True, slots=True)
class RunDir:
    """The paths of one lab. Making the value touches nothing."""

    lab: str
    root: Path

    @classmethod
    def of(cls, lab: str, root: Path | None = None) -> RunDir:
        if not _LAB_NAME.fullmatch(lab):
            raise EmulationError(f"{lab!r} can't name a lab: at most 40 of a-z, 0-9 and '-', not at the ends")
        return cls(lab, (root or run_root()).resolve())

    @classmethod
    def at(cls, path: Path) -> RunDir:
        """Of a program that was given the directory itself."""
        return cls.of(path.name, path.parent)

    @property
    def path(self) -> Path:
        return self.root / self.lab

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    @property
    def state(self) -> Path:
        return self.path / "state.json"

    @property
    def journal(self) -> Path:
        return self.path / "journal"

    @property
    def netns(self) -> Path:
        return self.path / "netns"

    @property
    def control(self) -> Path:
        return self.path / "control"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def workloads(self) -> Path:
        return self.path / "workloads.json"

    @property
    def workloads_status(self) -> Path:
        return self.path / "workloads.status.json"

    def namespace(self, name: str) -> Path:
        return self.netns / checked_part(name)

    def ovs(self, namespace: str) -> Path:
        return self.path / "ovs" / checked_part(namespace)

    def ovs_control(self, namespace: str) -> Path:
        """Where the ``ovs-vswitchd`` of ``namespace`` takes commands (``ovs-appctl``)."""
        return self.ovs(namespace) / "ovs-vswitchd.ctl"

    def resolver(self, namespace: str) -> Path:
        """The namespace's own ``/etc/resolv.conf``, if it has one."""
        return self.path / "etc" / f"{checked_part(namespace)}.resolv.conf"

    def home(self, workload: str) -> Path:
        return self.path / "workloads" / checked_part(workload)

    def config(self, workload: str) -> Path:
        return self.home(workload) / "config"

    def container_log(self, workload: str, container: str) -> Path:
        return self.logs / f"{checked_part(workload)}.{checked_part(container)}.log"

    @property
    def exists(self) -> bool:
        return self.path.is_dir()

    def make(self) -> None:
        """Make the directory and its parts. Refuses a path that someone else prepared (symbolic link, other owner)."""
        _make_private(self.root)
        _make_private(self.path)
        for part in (self.netns, self.control, self.logs, self.path / "ovs", self.path / "etc"):
            _make_private(part)


def list_labs(root: Path | None = None) -> tuple[str, ...]:
    """Names of the labs that have a run directory, sorted."""
    root = root or run_root()
    if not root.is_dir():
        return ()
    return tuple(sorted(p.name for p in root.iterdir() if p.is_dir() and _LAB_NAME.fullmatch(p.name)))


def write_atomically(path: Path, text: str, mode: int = 0o600, lasting: bool = True) -> None:
    """Write to a temporary file beside ``path``, fsync, rename: a reader sees the old text or the new, never half.

    Not ``lasting``: without fsync, for what its writer writes again often and by itself.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(temporary, flags, mode)
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
            file.flush()
            if lasting:
                os.fsync(file.fileno())
        os.rename(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _make_private(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, exist_ok=False)
    except FileExistsError:
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise NotOursError(f"{path} exists and is not a directory of this user; remove it first") from None
    except FileNotFoundError:
        raise EmulationError(f"{path.parent} does not exist") from None
