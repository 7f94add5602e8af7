"""Who takes part in a matrix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from ipaddress import IPv4Address

from testbed.model.desired import ClustersState, Protocol, ServicePort
from testbed.model.planning.plan import Plan
from testbed.operations.errors import BadRequestError
from testbed.operations.memory import Memory

KINDS = ("pod", "node", "server", "host")
_MOST_NAMES = 12


@dataclass(frozen=True, slots=True)
class Member:
    """``word`` is what a user calls it at ``lab trace``; ``namespace`` where its packets are made ("": a Service).

    ``port`` and ``protocol`` of a Service are its own, for all others they are the matrix's.
    """

    word: str
    kind: str
    owner: str
    address: IPv4Address
    namespace: str = ""
    port: int = 0
    protocol: Protocol | None = None


def find_members(lab: Memory | Plan, kinds: Sequence[str] = KINDS) -> tuple[Member, ...]:
    """Pods with addresses of their own, nodes, servers and internet hosts."""
    found = (*_pods(lab), *_nodes(lab), *_hosts(lab))
    return tuple(member for member in found if member.kind in kinds)


def find_services(clusters: ClustersState) -> tuple[Member, ...]:
    """Each port of each Service, by its cluster address; what two clusters have alike is there once."""
    found = (
        Member(_service_word(port), "service", f"Service/{port.service}", port.cluster_ip,
               port=port.port, protocol=port.protocol)
        for cluster in clusters.clusters
        for port in cluster.services
        if port.cluster_ip is not None
    )  # fmt: skip
    return tuple({member.word: member for member in found}.values())


def choose(members: Sequence[Member], words: Sequence[str]) -> tuple[Member, ...]:
    """Those whose names are among ``words``; all without any. Raises ``BadRequestError``.

    ``web-*`` is a pattern; ``svc/web`` means each of its ports.
    """
    if not words:
        return tuple(members)
    for word in words:
        if not any(_fits(member, word) for member in members):
            names = [member.word for member in members]
            near = get_close_matches(word, names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are: {_some(names)}"
            raise BadRequestError(f"the matrix has no {word}; {hint}")
    return tuple(member for member in members if any(_fits(member, word) for word in words))


def _fits(member: Member, word: str) -> bool:
    return fnmatchcase(member.word, word) or fnmatchcase(member.word.partition(":")[0], word)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more


def _pods(lab: Memory | Plan) -> Iterator[Member]:
    """A name that pods of two clusters have is no word for either: then it is that of their namespace."""
    names = Counter((pod.namespace, pod.name) for pod in lab.pods)
    for pod in lab.pods:
        if pod.address is not None and pod.node is not None and not pod.host_network:
            name = pod.name if pod.namespace == "default" else f"pod/{pod.namespace}/{pod.name}"
            name = name if names[pod.namespace, pod.name] == 1 else pod.host
            yield Member(name, "pod", pod.owner, pod.address, pod.host)


def _nodes(lab: Memory | Plan) -> Iterator[Member]:
    for node in lab.nodes:
        yield Member(node.name, "node", node.owner, node.address, node.name)


def _hosts(lab: Memory | Plan) -> Iterator[Member]:
    for host in lab.hosts:
        if not host.balancer:
            yield Member(host.name, "server" if host.vpc else "host", host.owner, host.address, host.name)


def _service_word(port: ServicePort) -> str:
    namespace, _, name = port.service.partition("/")
    word = f"svc/{name if namespace == 'default' else port.service}:{port.port}"
    return word if port.protocol is Protocol.TCP else f"{word}/{port.protocol}"
