"""The files of a lab's run directory that belong to its workloads.

workloads.json          what has to run (WorkloadsState), written by the lab
workloads.status.json   what runs (WorkloadsStatus), written by the kubelet when it changes
workloads.sock          the runtime's socket
netns/<host>            network namespaces
workloads/<folder>/     resolv.conf, hosts, hostname; config/ is what the workload sees as /srv
logs/<folder>.<container>.log, .log.1, logs/kubelet.log
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

_PART = re.compile(r"[a-zA-Z0-9]([-_.a-zA-Z0-9]{0,251}[a-zA-Z0-9])?")


class BadNameError(ValueError):
    """A name that can't be a component of a path."""


def checked(name: str) -> str:
    if not _PART.fullmatch(name) or ".." in name:
        raise BadNameError(f"{name!r} can't be part of a path")
    return name


@dataclass(frozen=True, slots=True)
class RunDir:
    path: Path

    @property
    def wanted(self) -> Path:
        return self.path / "workloads.json"

    @property
    def status(self) -> Path:
        return self.path / "workloads.status.json"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    def netns(self, host: str) -> Path:
        return self.path / "netns" / checked(host)

    def home(self, workload: str) -> Path:
        return self.path / "workloads" / checked(workload)

    def config(self, workload: str) -> Path:
        return self.home(workload) / "config"

    def log(self, workload: str, container: str) -> Path:
        return self.logs / f"{checked(workload)}.{checked(container)}.log"


def write_atomically(path: Path, text: str, mode: int = 0o600) -> None:
    """A reader sees the old text or the new, never half of one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(temporary, flags, mode)
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
        os.rename(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
