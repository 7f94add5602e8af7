"""Whether a lab is well, and if not, what is wrong and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from testbed.observe.status import Bridge, View
from testbed.observe.status_kubernetes import node_state, pod_state

_LOST_WITHOUT = {
    "kubelet": "containers are not watched",
    "manager": "Services do not follow their pods",
    "fabric": "the cloud's controller: traffic goes on, changes do not",
    "cluster": "the clusters' controller: traffic goes on, changes do not",
}


@dataclass(frozen=True, slots=True)
class NodeHealth:
    name: str
    ready: bool
    reason: str
    address: str
    pods: int
    flows: int


@dataclass(frozen=True, slots=True)
class Health:
    """``programs``: (name, pid or None). ``pods``: number by status. ``problems`` is empty for a lab that is well."""

    lab: str
    generation: int
    datapath: str
    started: float
    changed: float
    seconds: float
    files: tuple[str, ...]
    programs: tuple[tuple[str, int | None], ...]
    nodes: tuple[NodeHealth, ...]
    fabric: Bridge
    pods: tuple[tuple[str, int], ...]
    hosts: int
    problems: tuple[str, ...]


def read_health(view: View) -> Health:
    """Raises ``OperationError`` for a lab that has not come up."""
    memory = view.memory
    states: dict[str, int] = {}
    for pod in memory.pods:
        state, _ = pod_state(pod, view.workloads.get(pod.owner))
        states[state] = states.get(state, 0) + 1
    return Health(
        lab=view.rundir.lab,
        generation=memory.generation,
        datapath=memory.datapath,
        started=memory.started,
        changed=memory.changed,
        seconds=memory.seconds,
        files=tuple(source.name for source in memory.sources),
        programs=tuple(view.programs.items()),
        nodes=_nodes(view),
        fabric=view.bridges[0],
        pods=tuple(sorted(states.items())),
        hosts=len(memory.hosts),
        problems=tuple(_problems(view)),
    )


def _nodes(view: View) -> tuple[NodeHealth, ...]:
    pods: dict[tuple[str, str | None], int] = {}
    for pod in view.memory.pods:
        pods[(pod.cluster, pod.node)] = pods.get((pod.cluster, pod.node), 0) + 1
    flows: dict[str, int] = {}
    for bridge in view.bridges:
        flows[bridge.namespace] = flows.get(bridge.namespace, 0) + bridge.flows
    found = []
    for node in view.memory.nodes:
        state, reason = node_state(view, node)
        count = pods.get((node.cluster, node.name), 0)
        found.append(NodeHealth(node.name, state == "Ready", reason, str(node.address), count, flows[node.name]))
    return tuple(found)


def _problems(view: View) -> Iterator[str]:
    for fault in view.faults:
        yield f"{fault}, on purpose; lab fault clear mends it"
    for name, pid in view.programs.items():
        if pid is None:
            effect = _LOST_WITHOUT.get(name, "traffic goes on, changes do not")
            yield f"{name} does not run ({effect}); any lab up or apply starts it again"
    if "fabric" in view.dead_switches:
        yield "the fabric's Open vSwitch does not run; lab up repairs it"
    elif view.bridges[0].state != "in force":
        yield f"bridge vpc of the fabric is {view.bridges[0].state} {'; '.join(view.bridges[0].errors)}".rstrip()
    for node in view.memory.nodes:
        state, reason = node_state(view, node)
        if state != "Ready":
            yield f"node {node.name} is not ready: {reason}"
    for pod in view.memory.pods:
        state, message = pod_state(pod, view.workloads.get(pod.owner))
        if state not in ("Running", "Succeeded", "ContainerCreating"):
            yield f"pod {pod.namespace}/{pod.name} is {state}{f': {message}' if message else ''}"
