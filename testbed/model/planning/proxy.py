"""What a balancer's layer-7 proxy is to do, as values, and which rule goes before which."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address


class PathKind(StrEnum):
    """How a rule's path is compared with a request's; all are case-sensitive."""

    EXACT = "exact"  # the same
    PREFIX = "prefix"  # element by element, a slash at the end does not count
    START = "start"  # the text that it starts with
    PATTERN = "pattern"  # a regular expression


@dataclass(frozen=True, slots=True)
class PathRule:
    """``host`` empty: any; ``*.foo.com``: exactly one label more than ``foo.com``. ``backend``: its name."""

    host: str
    kind: PathKind
    path: str
    backend: str
    owner: str


@dataclass(frozen=True, slots=True)
class ProxyServer:
    name: str
    address: IPv4Address
    port: int


@dataclass(frozen=True, slots=True)
class ProxyBackend:
    """``algorithm`` in HAProxy's word; ``cookie``: a client stays with its server. Without servers it answers 503.

    ``source``: the address that servers see; None: whichever the route has.
    """

    name: str
    servers: tuple[ProxyServer, ...]
    algorithm: str = "roundrobin"
    cookie: bool = False
    source: IPv4Address | None = None


@dataclass(frozen=True, slots=True)
class Certificate:
    """``pem``: certificate and key, never printed. ``hosts`` are the names it is shown for; empty: its own."""

    pem: str = field(repr=False)
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Frontend:
    """One port. With certificates it speaks TLS; the first is shown to those who name no other's host.

    ``rules`` are in the order in which they are tried. ``host_first``: a request is for the rules of the most
    specific host alone, as in Kubernetes; else for the first rule that fits it. ``default``: where what no rule
    wants goes; None: 404.
    """

    port: int
    rules: tuple[PathRule, ...]
    certificates: tuple[Certificate, ...] = ()
    host_first: bool = True
    default: str | None = None


@dataclass(frozen=True, slots=True)
class Proxy:
    frontends: tuple[Frontend, ...]
    backends: tuple[ProxyBackend, ...]


def by_precedence(rules: Iterable[PathRule]) -> tuple[PathRule, ...]:
    """Exact before the rest, the longest first, regular expressions last; of equals the one that was there first.

    Source: Kubernetes "Ingress", "Multiple matches"; CCE user guide, "Forwarding Policy Priorities".
    """
    return tuple(sorted(rules, key=_rank))


def _rank(rule: PathRule) -> tuple[int, int, int]:
    group = {PathKind.EXACT: 0, PathKind.PATTERN: 2}.get(rule.kind, 1)
    length = len(rule.path.rstrip("/")) if rule.kind is PathKind.PREFIX else len(rule.path)
    return group, -length if group == 1 else 0, rule.kind is PathKind.START
