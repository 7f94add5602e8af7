"""Items of the Kubernetes kinds: nodes, pods, workload controllers, namespaces."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from testbed.model.codec import to_plain
from testbed.model.kubernetes import Deployment, StatefulSet
from testbed.model.planning.resolved import PlannedHost, PlannedNode, PlannedPod
from testbed.model.workloads import ContainerStatus, WorkloadStatus
from testbed.observe.status import View
from testbed.observe.status_items import NONE, Item, age, columns, container_document, document, listed, resource


def nodes(view: View) -> Iterator[Item]:
    states = {node.name: node_state(view, node) for node in view.memory.nodes}
    for node in view.memory.nodes:
        yield _node(view, node, *states[node.name])
    for host in view.memory.hosts:
        if host.cluster is not None:
            yield _master(view, host)


def node_state(view: View, node: PlannedNode) -> tuple[str, str]:
    """(``Ready`` or ``NotReady``, why not)."""
    if node.name in view.dead_switches:
        return "NotReady", "its Open vSwitch does not run"
    for bridge in view.bridges:
        if bridge.namespace == node.name and bridge.state != "in force":
            detail = f": {bridge.errors[0]}" if bridge.errors else ""
            return "NotReady", f"{bridge.name} is {bridge.state}{detail}"
    return "Ready", ""


def _node(view: View, node: PlannedNode, state: str, why: str) -> Item:
    pods = sum(pod.node == node.name and pod.cluster == node.cluster for pod in view.memory.pods)
    model = next(cluster.model for cluster in view.memory.lab.clusters if cluster.name == node.cluster)
    blocks = listed(node.blocks)
    cells = (
        state,
        "<worker>",
        age(view.memory.started),
        str(node.address),
        f"{pods}/{node.pool.max_pods}",
        node.cluster,
        model.value,
        blocks,
        node.pool.name,
        node.subnet,
        node.mac,
    )
    status = {
        "ready": state == "Ready",
        "reason": why,
        "internalIP": str(node.address),
        "mac": node.mac,
        "podCIDRs": [str(block) for block in node.blocks],
        "pods": pods,
        "vpc": node.vpc,
        "subnet": node.subnet,
        "cluster": node.cluster,
        "networkModel": model.value,
        "nodePool": node.pool.name,
    }
    text = document("Node", node.name, node.source, labels=node.pool.labels, status=status)
    return Item(node.name, cells, text, node.owner, source=node.source)


def _master(view: View, host: PlannedHost) -> Item:
    cells = (
        "Ready",
        "control-plane",
        age(view.memory.started),
        str(host.address),
        "0/0",
        host.cluster or "",
        NONE,
        NONE,
        NONE,
        host.subnet or NONE,
        host.mac,
    )
    status = {"ready": True, "internalIP": str(host.address), "cluster": host.cluster}
    return Item(host.name, cells, document("Node", host.name, host.source, status=status), host.owner, "", host.source)


ALLOCATED_EIP = "yangtse.io/allocated-ipv4-eip"
"""The annotation by which a pod's elastic IP is told, as in the cloud."""


def pods(view: View) -> Iterator[Item]:
    statuses = view.workloads
    eips = {eip.bound_to: str(eip.address) for eip in view.memory.eips}
    for pod in view.memory.pods:
        yield _pod(pod, statuses.get(pod.owner), view.memory.started, eips.get(pod.owner))


def pod_state(pod: PlannedPod, status: WorkloadStatus | None) -> tuple[str, str]:
    """What STATUS shows, and the message behind it."""
    if pod.node is None:
        return "Pending", pod.pending
    if status is None or status.uid != pod.uid:
        return "ContainerCreating", ""
    for container in status.containers:
        if container.state != "running" and container.reason not in ("", "Completed"):
            return container.reason, container.message
    return status.phase, ""


def _pod(pod: PlannedPod, status: WorkloadStatus | None, started: float, eip: str | None) -> Item:
    state, message = pod_state(pod, status)
    containers = pod.template.spec.containers
    ready = sum(container.ready for container in status.containers) if status else 0
    restarts = sum(container.restarts for container in status.containers) if status else 0
    begun = min((c.started_at for c in status.containers if c.started_at), default=started) if status else started
    cells = (
        f"{ready}/{len(containers)}",
        state,
        str(restarts),
        age(begun),
        str(pod.address or NONE),
        pod.node or NONE,
        pod.mac or NONE,
        pod.controller.rpartition("/")[2] or NONE,
        pod.host or NONE,
    )
    detail: dict[str, Any] = {
        "phase": status.phase if status and pod.node else "Pending",
        "status": state,
        "message": message,
        "podIP": str(pod.address) if pod.address else None,
        "mac": pod.mac or None,
        "node": pod.node,
        "host": pod.host or None,
        "cluster": pod.cluster,
        "networkModel": pod.model.value,
        "controller": pod.controller or None,
        "switchPort": pod.port or None,
        "conditions": [{"type": "Ready", "status": str(bool(status and status.ready))}],
        "containerStatuses": [_container_status(container) for container in status.containers] if status else [],
    }
    if pod.nic is not None:
        detail["nic"] = to_plain(pod.nic)
        detail["securityGroups"] = list(pod.security_groups)
    spec = {
        "nodeName": pod.node,
        "hostNetwork": pod.host_network,
        "containers": [container_document(container) for container in containers],
    }
    notes = pod.template.annotations + (((ALLOCATED_EIP, eip),) if eip else ())
    text = document("Pod", pod.name, pod.source, pod.namespace, pod.template.labels, notes, spec=spec, status=detail)
    return Item(pod.name, cells, text, pod.owner, pod.namespace, pod.source)


def _container_status(container: ContainerStatus) -> dict[str, Any]:
    detail: dict[str, Any] = {}
    if container.state == "running":
        detail = {"startedAt": datetime.fromtimestamp(int(container.started_at), UTC).isoformat(), "pid": container.pid}
    elif container.reason:
        detail = {"reason": container.reason, "message": container.message}
    if container.exit_code is not None and container.state == "terminated":
        detail["exitCode"] = container.exit_code
    return {
        "name": container.name,
        "ready": container.ready,
        "restartCount": container.restarts,
        "state": {container.state: detail},
    }


def deployments(view: View) -> Iterator[Item]:
    for wanted in view.memory.lab.deployments:
        yield _controller(view, "Deployment", wanted)


def stateful_sets(view: View) -> Iterator[Item]:
    for wanted in view.memory.lab.stateful_sets:
        yield _controller(view, "StatefulSet", wanted)


def _controller(view: View, kind: str, wanted: Deployment | StatefulSet) -> Item:
    owner = f"{kind}/{wanted.cluster}/{wanted.namespace}/{wanted.name}"
    mine = [pod for pod in view.memory.pods if pod.controller == owner]
    statuses = [view.workloads.get(pod.owner) for pod in mine]
    ready = sum(status is not None and status.ready for status in statuses)
    images = listed(container.image for container in wanted.template.spec.containers)
    selector = listed(f"{key}={value}" for key, value in wanted.selector)
    updated = sum(pod.template == wanted.template for pod in mine)
    cells = (f"{ready}/{wanted.replicas}", str(updated), age(view.memory.started), images, selector)
    status = {
        "replicas": len(mine),
        "readyReplicas": ready,
        "updatedReplicas": updated,
        "pods": [pod.name for pod in mine],
    }
    spec = {"replicas": wanted.replicas, "selector": {"matchLabels": dict(wanted.selector)}}
    labels = wanted.template.labels
    text = document(kind, wanted.name, wanted.source, wanted.namespace, labels, spec=spec, status=status)
    return Item(wanted.name, cells, text, owner, wanted.namespace, wanted.source)


def namespaces(view: View) -> Iterator[Item]:
    for namespace in view.memory.lab.namespaces:
        count = sum(pod.namespace == namespace.name for pod in view.memory.pods)
        labels = listed(f"{key}={value}" for key, value in namespace.labels)
        text = document("Namespace", namespace.name, namespace.source, labels=namespace.labels)
        owner = f"Namespace/{namespace.name}"
        yield Item(namespace.name, ("Active", str(count), labels), text, owner, source=namespace.source)


RESOURCES = (
    resource(
        "nodes",
        columns(
            "STATUS",
            "ROLES",
            "AGE",
            "INTERNAL-IP",
            "PODS",
            wide=("CLUSTER", "MODEL", "POD-CIDRS", "POOL", "SUBNET", "MAC"),
        ),
        nodes,
    ),
    resource(
        "pods",
        columns("READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE", wide=("MAC", "CONTROLLER", "HOST")),
        pods,
    ),
    resource("deployments", columns("READY", "UP-TO-DATE", "AGE", wide=("IMAGES", "SELECTOR")), deployments),
    resource("statefulsets", columns("READY", "UP-TO-DATE", "AGE", wide=("IMAGES", "SELECTOR")), stateful_sets),
    resource("namespaces", columns("STATUS", "PODS", wide=("LABELS",)), namespaces),
)
