"""Where pods' addresses come from, and what happens when there are none left."""

from __future__ import annotations

from ipaddress import IPv4Address

from scenarios.parts.documents import host_network_pod, pausing
from testbed.scenario import Checks, Host, RunningLab

ECHO, HOST_PORT = 8080, 9000


def host_network(lab: RunningLab, checks: Checks, client: Host, node: Host) -> None:
    """A pod with its node's address, and one more that wants the same port."""
    before = handed_out(lab)
    lab.apply(*(host_network_pod(name, node.name, HOST_PORT) for name in ("hostly-1", "hostly-2")))
    hostly = lab.pod("hostly-1")
    checks.equal(20, "a hostNetwork pod has its node's address", hostly.address, node.address)
    checks.equal(20, "and takes no NIC and no address of a block", handed_out(lab) - before, set())
    lab.wait_ready()
    seen = hostly.http(client.address, ECHO)
    checks.allowed(20, "with which it asks, too", seen, source=node.address, server=client.name)
    seen = client.http(node.address, HOST_PORT)
    checks.allowed(20, "it answers there", seen, server=hostly.name, path="pod to a hostNetwork pod")
    reason = lab.pending().get("hostly-2", "it runs")
    checks.that(20, "a second one with its port stays Pending", "free ports" in reason, "no free port", reason)


def handed_out(lab: RunningLab) -> set[str]:
    """Addresses that pods and NICs of the nodes have, but not the nodes' own."""
    nodes = {node.address for node in lab.memory.nodes}
    pods = {str(pod.address) for pod in lab.memory.pods if pod.address and pod.address not in nodes}
    return pods | {str(nic.address) for node in lab.memory.nodes for nic in node.nics}


def first_blocks(lab: RunningLab, checks: Checks, server: Host) -> None:
    """Of a tunnel network; a pod ``app=web`` of each node asks ``server``, another pod."""
    first = {node.name: node.blocks[0] for node in lab.memory.nodes}
    pods = [pod for pod in lab.memory.pods if pod.node and not pod.host_network]
    apart = len(set(first.values())) == len(first) and all(pod.address in first[pod.node or ""] for pod in pods)
    shown = ", ".join(f"{name} {block}" for name, block in first.items())
    checks.that(4, "the nodes' pods have addresses of different /28 blocks", apart, "one /28 each", shown)
    seen = {name: lab.pods("app=web", node=name)[0].http(server.address, ECHO).client for name in first}
    inside = all(seen[name] and IPv4Address(seen[name]) in block for name, block in first.items())
    checks.that(4, "from which their packets come", inside, "one address of each", ", ".join(seen.values()))


def second_block(lab: RunningLab, checks: Checks, other: Host) -> None:
    """Of a node of a tunnel network that has more pods than addresses in its first."""
    lab.apply(pausing("many", 17, "n1"))
    blocks = next(node.blocks for node in lab.memory.nodes if node.name == "n1")
    late = [pod for pod in lab.pods("app=many") if pod.address not in blocks[0]]
    checks.that(5, "more pods on a node than a block holds: it gets a second", len(blocks) == 2, "2 blocks",
                ", ".join(map(str, blocks)))  # fmt: skip
    checks.allowed(5, "and a pod of the second block is reached from elsewhere", other.ping(late[0].address))


def last_block(lab: RunningLab, checks: Checks, containers: str) -> None:
    """Of a tunnel network of 17 nodes and the container range ``containers``, a /24, when each gets its first pod."""
    lab.apply(pausing("each", 17))
    owners = [node.name for node in lab.memory.nodes if node.blocks]
    checks.equal(6, "a container range of /24 has blocks for 16 nodes", len(owners), 16)
    reasons = "; ".join(lab.pending().values()) or "none Pending"
    wanted = f"no free /28 block in {containers} (16 in use)"
    checks.equal(6, "the 17th node's pod gets no address", reasons, wanted)
    first, *_, last = lab.pods("app=each")
    checks.allowed(6, "the others reach each other", first.ping(last.address))
