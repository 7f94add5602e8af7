"""What a layer-7 proxy does with a request, read from the configuration that the lab writes for it."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from testbed.model.planning.haproxy import render_proxy
from testbed.model.planning.proxy import Frontend, PathKind, PathRule, Proxy, ProxyBackend, ProxyServer, by_precedence
from testbed.observe.trace.misses import describe_miss
from testbed.observe.trace.packet import Packet
from testbed.observe.trace.proxy import ProxyConfig, read_config
from testbed.observe.trace.results import Request

POD = ProxyServer("web-0:172.16.0.2", IPv4Address("172.16.0.2"), 8080)
OWNER = "Ingress/default/it"


def rule(host: str, kind: PathKind, path: str, backend: str) -> PathRule:
    return PathRule(host, kind, path, backend, OWNER)


def config(host_first: bool = True, default: str | None = None) -> ProxyConfig:
    rules = (
        rule("shop.test", PathKind.PREFIX, "/", "shop"),
        rule("shop.test", PathKind.PREFIX, "/cart", "cart"),
        rule("shop.test", PathKind.EXACT, "/cart", "exact"),
        rule("shop.test", PathKind.PATTERN, "^/it's/[0-9]+$", "pattern"),
        rule("start.test", PathKind.START, "/ab", "start"),
        rule("*.wild.test", PathKind.PREFIX, "/", "wild"),
        rule("", PathKind.PREFIX, "/any", "any"),
    )
    names = dict.fromkeys([each.backend for each in rules] + ([default] if default else []))
    backends = tuple(ProxyBackend(name, (POD,)) for name in names)
    frontend = Frontend(80, by_precedence(rules), host_first=host_first, default=default)
    return read_config(render_proxy(Proxy((frontend,), backends))["haproxy.cfg"])


@pytest.mark.parametrize(
    ("host", "path", "backend"),
    [
        ("shop.test", "/", "shop"),
        ("SHOP.test:80", "/other", "shop"),
        ("shop.test", "/cart", "exact"),
        ("shop.test", "/cart/", "cart"),
        ("shop.test", "/cart/2", "cart"),
        ("shop.test", "/carts", "shop"),
        ("start.test", "/abc", "start"),
        ("start.test", "/a", ""),
        ("a.wild.test", "/x", "wild"),
        ("a.b.wild.test", "/x", ""),
        ("wild.test", "/x", ""),
        ("else.test", "/any/x", "any"),
        ("shop.test", "/any/x", "shop"),
        ("else.test", "/", ""),
    ],
)
def test_the_rule_that_a_request_meets(host: str, path: str, backend: str) -> None:
    found = config().choose(80, Request(host, path))
    assert (found.backend if found else "") == backend


def test_what_no_rule_wants_goes_to_the_default_or_nowhere() -> None:
    request = Request("else.test", "/")
    found = config(default="spare").choose(80, request)
    assert found is not None
    assert found.text == "default_backend spare"
    assert config().choose(81, request) is None


def test_servers_are_those_of_the_backend() -> None:
    read = config()
    found = read.choose(80, Request("shop.test", "/it's/42"))
    assert found is not None
    (server,) = read.servers(found)
    assert (server.name, str(server.address), server.port) == ("web-0:172.16.0.2", "172.16.0.2", 8080)


def test_a_table_without_a_match_says_what_it_means() -> None:
    packet = Packet("tcp", IPv4Address("10.0.0.1"), IPv4Address("198.51.100.8"), 40000, 81, flags="syn")
    assert describe_miss("vpc", "nat_in", packet) == "the NAT gateway has no DNAT rule for 198.51.100.8, TCP port 81"
    assert describe_miss("vpc", "hop", packet) == ""


def test_the_address_that_a_backend_s_servers_are_asked_with() -> None:
    sender = IPv4Address("100.125.16.1")
    backends = (ProxyBackend("shared", (POD,), source=sender), ProxyBackend("own", (POD,)))
    rules = (rule("a.test", PathKind.PREFIX, "/", "shared"), rule("b.test", PathKind.PREFIX, "/", "own"))
    found = read_config(render_proxy(Proxy((Frontend(80, rules),), backends))["haproxy.cfg"])
    assert [server.sender for server in found.backends["shared"]] == [sender]
    assert [server.sender for server in found.backends["own"]] == [None]
