"""Where the lab's programs and containers write what they have to say."""

from __future__ import annotations

from pathlib import Path

from testbed.emulation.rundir import RunDir
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
    for host in memory.hosts:
        if host.name == name:
            owner, names = host.owner, [each.name for each in host.containers]
            break
    else:
        pod = find_pod(memory, name, namespace)
        owner, names = pod.owner, [each.name for each in pod.template.spec.containers]
    if not names:
        raise BadRequestError(f"{what} runs no container")
    if container is not None and container not in names:
        raise BadRequestError(f"{what} has no container {container}; it has: {', '.join(names)}")
    chosen = container or names[0]
    return _existing(log_path(rundir, owner, chosen), f"container {chosen} of {what}")


def log_path(rundir: RunDir, owner: str, container: str) -> Path:
    """``Pod/default/db-0`` and ``echo`` -> the file that the kubelet writes the container's output to."""
    return rundir.logs / f"{owner.replace('/', '_')}_{container}.log"


def _existing(path: Path, what: str) -> Path:
    if not path.exists():
        raise BadRequestError(f"{what} has written no log yet ({path})")
    return path
