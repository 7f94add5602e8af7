"""Which network namespace a user's word means."""

from __future__ import annotations

from difflib import get_close_matches

from testbed.model.planning.names import FABRIC
from testbed.model.planning.resolved import PlannedPod
from testbed.operations.errors import BadRequestError
from testbed.operations.kinds import find_kind
from testbed.operations.memory import Memory


def find_host(memory: Memory, word: str, namespace: str = "default") -> str:
    """``db-0``, ``pod/db-0``, ``deploy/web`` (its first pod), ``n1``, ``vm-1``, ``fabric`` -> the host's name.

    Raises ``BadRequestError`` for a word that names nothing, or a pod that has no node.
    """
    kind, slash, name = word.rpartition("/")
    if slash and kind:
        return _by_kind(memory, find_kind(kind).name, name, namespace)
    for pod in memory.pods:
        if (pod.namespace, pod.name) == (namespace, name):
            return host_of(pod)
    known = _hosts(memory)
    if name in known:
        return name
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else "see: lab get all -A"
    raise BadRequestError(f"there is no pod, node, server or host {name}; {hint}")


def find_pod(memory: Memory, name: str, namespace: str = "default") -> PlannedPod:
    """Raises ``BadRequestError`` when there is none."""
    for pod in memory.pods:
        if (pod.namespace, pod.name) == (namespace, name):
            return pod
    near = get_close_matches(name, [pod.name for pod in memory.pods if pod.namespace == namespace], n=1)
    raise BadRequestError(
        f"there is no pod {name} in namespace {namespace}" + (f"; did you mean {near[0]}?" if near else "")
    )


def host_of(pod: PlannedPod) -> str:
    """The namespace that a pod's programs run in: its own, or its node's. ``BadRequestError`` for a Pending one."""
    if pod.node is None:
        raise BadRequestError(f"pod {pod.name} is Pending: {pod.pending}")
    return pod.node if pod.host_network else pod.host


def _by_kind(memory: Memory, kind: str, name: str, namespace: str) -> str:
    if kind == "Pod":
        return host_of(find_pod(memory, name, namespace))
    if kind in ("Deployment", "StatefulSet"):
        for pod in memory.pods:
            if pod.controller.startswith(f"{kind}/") and pod.controller.endswith(f"/{namespace}/{name}"):
                return host_of(pod)
    elif kind in ("Node", "Server", "InternetHost") and name in _hosts(memory):
        return name
    raise BadRequestError(f"there is no {kind.lower()} {name} with a network namespace")


def _hosts(memory: Memory) -> list[str]:
    return [
        FABRIC,
        *(node.name for node in memory.nodes),
        *(host.name for host in memory.hosts),
        *(pod.host for pod in memory.pods if pod.host),
    ]
