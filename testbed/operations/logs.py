"""Where the lab's programs and containers write what they have to say."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from testbed.emulation.rundir import RunDir
from testbed.model.kubernetes import Container
from testbed.model.planning.workloads import home_of
from testbed.operations.errors import BadRequestError
from testbed.operations.hosts import find_pod
from testbed.operations.memory import Memory
from testbed.operations.programs import LOGS


def part_log(rundir: RunDir, what: str) -> Path | None:
    """The log of ``fabric``, ``cluster``, ``kubelet`` or ``ovs/<host>``; None for any other word."""
    if what in LOGS:
        return _existing(rundir.logs / f"{LOGS[what]}.log", what)
    kind, slash, host = what.partition("/")
    if kind == "ovs" and slash:
        return _existing(rundir.ovs(host) / "ovs-vswitchd.log", what)
    return None


def container_log(rundir: RunDir, memory: Memory, what: str, container: str | None, namespace: str) -> Path:
    """The log of a container of a pod, server or internet host; of its first when none is named."""
    name = what.partition("/")[2] or what
    names = next((_names(host.containers) for host in memory.hosts if host.name == name), None)
    folder = name
    if names is None:
        pod = find_pod(memory, name, namespace)
        names, folder = _names(pod.template.spec.containers), home_of(pod)
    if not names:
        raise BadRequestError(f"{what} runs no container")
    if container is not None and container not in names:
        raise BadRequestError(f"{what} has no container {container}; it has: {', '.join(names)}")
    chosen = container or names[0]
    return _existing(rundir.container_log(folder, chosen), f"container {chosen} of {what}")


def _names(containers: Iterable[Container]) -> list[str]:
    return [container.name for container in containers]


def _existing(path: Path, what: str) -> Path:
    if not path.exists():
        raise BadRequestError(f"{what} has written no log yet ({path})")
    return path
