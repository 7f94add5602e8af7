"""What has to run in the lab's pods, servers and internet hosts: the kubelet daemon's desired state and its report."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address

from testbed.model.kubernetes import Container


@dataclass(frozen=True, slots=True)
class Workload:
    """The containers of one host (one network namespace), which share it.

    ``host`` is the name of the network namespace (a hostNetwork pod runs in its node's), ``name`` the pod's,
    server's or internet host's own name, ``uid`` changes when it is replaced by another of the same name.
    ``home`` is what its directories and logs are called: unlike ``name`` nobody else's in the lab. ``files``: (name,
    text) pairs of the configuration that a component sees in ``/srv``.
    """

    name: str
    host: str
    owner: str
    uid: str
    address: IPv4Address
    containers: tuple[Container, ...]
    namespace: str = ""
    node: str = ""
    restart_policy: str = "Always"
    termination_grace_seconds: int = 30
    hostname: str = ""
    nameserver: IPv4Address | None = None
    search: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    home: str = ""
    files: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @property
    def folder(self) -> str:
        return self.home or self.name


@dataclass(frozen=True, slots=True)
class WorkloadsState:
    generation: int
    workloads: tuple[Workload, ...]


@dataclass(frozen=True, slots=True)
class ContainerStatus:
    """``state``: waiting, running or terminated; ``reason`` as Kubernetes says it (CrashLoopBackOff, Error, ...)."""

    name: str
    state: str
    reason: str = ""
    message: str = ""
    pid: int = 0
    exit_code: int | None = None
    restarts: int = 0
    ready: bool = False
    started_at: float = 0.0


@dataclass(frozen=True, slots=True)
class WorkloadStatus:
    name: str
    owner: str
    uid: str
    phase: str
    ready: bool
    containers: tuple[ContainerStatus, ...]


@dataclass(frozen=True, slots=True)
class WorkloadsStatus:
    generation: int
    workloads: tuple[WorkloadStatus, ...]
