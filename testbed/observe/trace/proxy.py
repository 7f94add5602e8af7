"""What a balancer's layer-7 proxy does with a request, by the configuration that it runs with. Pure but for reading it.

Of HAProxy's language only what the lab writes for Ingresses is understood: rules by host and path, their backends,
their servers.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from testbed.observe.trace.results import Request


@dataclass(frozen=True, slots=True)
class Rule:
    """``use_backend``: ``conditions`` are the words between braces, all of which must hold."""

    text: str
    backend: str
    conditions: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Server:
    """``sender``: the address with which it is asked; None: whichever the route has."""

    name: str
    address: IPv4Address
    port: int
    sender: IPv4Address | None = None


@dataclass(slots=True)
class Listening:
    """One frontend. ``sites``: hosts that have rules of their own."""

    port: int = 0
    rules: list[Rule] = field(default_factory=list)
    sites: list[str] = field(default_factory=list)
    default: str = ""


@dataclass(slots=True)
class ProxyConfig:
    frontends: list[Listening] = field(default_factory=list)
    backends: dict[str, list[Server]] = field(default_factory=dict)

    def choose(self, port: int, request: Request) -> Rule | None:
        """The rule that the request meets; None when nothing is listening there or there is no rule for it."""
        for frontend in self.frontends:
            if frontend.port == port:
                variables = _variables(frontend.sites, request)
                for rule in frontend.rules:
                    if all(_holds(condition, variables) for condition in rule.conditions):
                        return rule
                if self.backends.get(frontend.default):
                    return Rule(f"default_backend {frontend.default}", frontend.default, ())
        return None

    def servers(self, rule: Rule) -> Sequence[Server]:
        return self.backends.get(rule.backend, [])


def read_config(text: str) -> ProxyConfig:
    config, frontend = ProxyConfig(), Listening()
    backend: list[Server] = []
    sender: IPv4Address | None = None
    for line in text.splitlines():
        words = shlex.split(line, comments=False)
        match words[:2]:
            case ["frontend", _]:
                frontend = Listening()
                config.frontends.append(frontend)
            case ["backend", name]:
                backend, sender = config.backends.setdefault(name, []), None
            case ["source", address]:
                sender = IPv4Address(address)
            case ["bind", address]:
                frontend.port = int(address.rpartition(":")[2])
            case ["use_backend", name]:
                frontend.rules.append(Rule(line.strip(), name, tuple(_conditions(words))))
            case ["default_backend", name]:
                frontend.default = name
            case ["http-request", action] if action.startswith("set-var(txn.site)"):
                frontend.sites.append(words[2].removeprefix("str(").removesuffix(")"))
            case ["server", name]:
                address, _, port = words[2].partition(":")
                backend.append(Server(name, IPv4Address(address), int(port), sender))
            case _:
                continue
    return config


def _conditions(words: Sequence[str]) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    start = 0
    for number, word in enumerate(words):
        if word in ("{", "!{"):
            start = number
        elif word == "}":
            found.append((("not",) if words[start] == "!{" else ()) + tuple(words[start + 1 : number]))
    return found


def _variables(sites: Sequence[str], request: Request) -> dict[str, str]:
    """What the configuration works out before its rules: the host, its wild card, the site, the path with a slash."""
    host = request.host.partition(":")[0].lower()
    wild = re.sub(r"^[^.]+", "*", host)
    site = host if host in sites else wild if wild in sites else ""
    return {
        "var(txn.host)": host,
        "var(txn.wild)": wild,
        "var(txn.site)": site,
        "var(txn.path)": f"{request.path}/",
        "path": request.path,
    }


def _holds(condition: tuple[str, ...], variables: dict[str, str]) -> bool:
    if condition[0] == "not":
        return not _holds(condition[1:], variables)
    value, kind, wanted = variables.get(condition[0], ""), condition[2], condition[3:]
    match kind:
        case "found":
            return bool(value)
        case "str":
            return value == wanted[0]
        case "beg":
            return value.startswith(wanted[0])
        case "reg":
            return re.search(wanted[0], value) is not None
    return False
