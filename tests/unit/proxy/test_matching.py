"""Kubernetes' path and host semantics, row by row of the tables on its "Ingress" page, decided by HAProxy itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.model.planning.proxy import Frontend, PathKind, PathRule, by_precedence
from tests.unit.proxy.real import NOBODY, RealProxy, real_proxy

E, P, S, R = PathKind.EXACT, PathKind.PREFIX, PathKind.START, PathKind.PATTERN

Paths = tuple[tuple[PathKind, str], ...]

PATHS: tuple[tuple[Paths, str, str], ...] = (
    (((P, "/"),), "/anything", "prefix/"),
    (((E, "/foo"),), "/foo", "exact/foo"),
    (((E, "/foo"),), "/bar", NOBODY),
    (((E, "/foo"),), "/foo/", NOBODY),
    (((E, "/foo/"),), "/foo", NOBODY),
    (((P, "/foo"),), "/foo", "prefix/foo"),
    (((P, "/foo"),), "/foo/", "prefix/foo"),
    (((P, "/foo/"),), "/foo", "prefix/foo/"),
    (((P, "/foo/"),), "/foo/", "prefix/foo/"),
    (((P, "/aaa/bb"),), "/aaa/bbb", NOBODY),
    (((P, "/aaa/bbb"),), "/aaa/bbb", "prefix/aaa/bbb"),
    (((P, "/aaa/bbb/"),), "/aaa/bbb", "prefix/aaa/bbb/"),
    (((P, "/aaa/bbb"),), "/aaa/bbb/", "prefix/aaa/bbb"),
    (((P, "/aaa/bbb"),), "/aaa/bbb/ccc", "prefix/aaa/bbb"),
    (((P, "/aaa/bbb"),), "/aaa/bbbxyz", NOBODY),
    (((P, "/"), (P, "/aaa")), "/aaa/ccc", "prefix/aaa"),
    (((P, "/"), (P, "/aaa"), (P, "/aaa/bbb")), "/aaa/bbb", "prefix/aaa/bbb"),
    (((P, "/"), (P, "/aaa"), (P, "/aaa/bbb")), "/ccc", "prefix/"),
    (((P, "/aaa"),), "/ccc", NOBODY),
    (((P, "/foo"), (E, "/foo")), "/foo", "exact/foo"),
    # what the page says in words
    (((E, "/foo"),), "/FOO", NOBODY),
    (((P, "/foo"),), "/Foo", NOBODY),
    (((P, "/foo"),), "/foo?bar", "prefix/foo"),
    (((E, "/foo"),), "/foo?x=/foo/", "exact/foo"),
    (((P, "/foo/"), (E, "/foo")), "/foo", "exact/foo"),
    (((P, "/foo"), (E, "/foo")), "/foo/", "prefix/foo"),
    # ImplementationSpecific: what a path starts with, or a regular expression
    (((S, "/foo"),), "/foobar", "start/foo"),
    (((S, "/foo"), (P, "/foo/bar")), "/foo/bar/x", "prefix/foo/bar"),
    (((S, "/foo/ba"), (P, "/foo")), "/foo/bar", "start/foo/ba"),
    (((S, "/foo"), (P, "/foo")), "/foo/x", "prefix/foo"),
    (((R, "^/v[0-9]+/"),), "/v12/x", "pattern^/v[0-9]+/"),
    (((R, "^/.*"), (P, "/a")), "/a/b", "prefix/a"),
    (((P, "/it's\"$HOME\\{}"), (E, "/#")), "/it's\"$HOME\\{}/x", "prefix/it's\"$HOME\\{}"),
)
"""(rules, path of the request, the rule that wins)."""

HOSTS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("*.foo.com",), "bar.foo.com", "*.foo.com"),
    (("*.foo.com",), "baz.bar.foo.com", NOBODY),
    (("*.foo.com",), "foo.com", NOBODY),
    (("foo.bar.com",), "foo.bar.com", "foo.bar.com"),
    (("foo.bar.com",), "FOO.Bar.com", "foo.bar.com"),
    (("foo.bar.com",), "foo.bar.com:8080", "foo.bar.com"),
    (("foo.bar.com",), "bar.com", NOBODY),
    (("foo.bar.com",), "xfoo.bar.com", NOBODY),
    (("foo.bar.com",), "", NOBODY),
    (("", "foo.bar.com"), "foo.bar.com", "foo.bar.com"),
    (("", "foo.bar.com"), "other.com", ""),
    (("", "foo.bar.com"), "", ""),
    (("*.bar.com", "foo.bar.com"), "foo.bar.com", "foo.bar.com"),
    (("*.bar.com", "foo.bar.com"), "x.bar.com", "*.bar.com"),
    (("", "*.bar.com"), "x.bar.com", "*.bar.com"),
    (("*.bar.com",), ".bar.com", NOBODY),
    (("*.com",), "10.0.0.1", NOBODY),
)
"""(hosts of the rules, Host header, the host whose rule wins)."""


class Sheet:
    """Many small rule sets in one proxy: each has a port of its own."""

    def __init__(self) -> None:
        self.frontends: list[Frontend] = []
        self.backends: dict[tuple[int, str], str] = {}

    def add(self, named: list[tuple[str, str, PathKind, str]]) -> None:
        """``named``: (name, host, kind, path)."""
        port = 1000 + len(self.frontends)
        found = []
        for number, (name, host, kind, path) in enumerate(named):
            backend = f"b{port}-{number}"
            self.backends[port, backend] = name
            found.append(PathRule(host, kind, path, backend, ""))
        self.frontends.append(Frontend(port, by_precedence(found)))

    def decide(self, proxy: RealProxy, number: int, path: str, host: str) -> str:
        port = 1000 + number
        backend = proxy.decide(path, host, port)
        return backend if backend == NOBODY else self.backends[port, backend]


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    sheet = Sheet()
    for wanted, _, _ in PATHS:
        sheet.add([(f"{kind}{path}", "", kind, path) for kind, path in wanted])
    with real_proxy(tmp_path_factory.mktemp("paths"), *sheet.frontends) as proxy:
        yield [sheet.decide(proxy, number, path, "any.host") for number, (_, path, _) in enumerate(PATHS)]


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    sheet = Sheet()
    for wanted, _, _ in HOSTS:
        sheet.add([(host, host, P, "/") for host in wanted])
    with real_proxy(tmp_path_factory.mktemp("hosts"), *sheet.frontends) as proxy:
        yield [sheet.decide(proxy, number, "/", host) for number, (_, host, _) in enumerate(HOSTS)]


@pytest.mark.parametrize("number", range(len(PATHS)), ids=lambda number: f"{PATHS[number][0]} {PATHS[number][1]}")
def test_path(paths: list[str], number: int) -> None:
    assert paths[number] == PATHS[number][2]


@pytest.mark.parametrize("number", range(len(HOSTS)), ids=lambda number: f"{HOSTS[number][0]} {HOSTS[number][1]}")
def test_host(hosts: list[str], number: int) -> None:
    assert hosts[number] == HOSTS[number][2]


def test_the_host_is_compared_first_and_then_its_own_paths_only(tmp_path: Path) -> None:
    found = by_precedence(
        (
            PathRule("foo.com", P, "/a", "foo-a", ""),
            PathRule("", P, "/", "all", ""),
            PathRule("*.com", P, "/b", "b", ""),
        )
    )
    with real_proxy(tmp_path, Frontend(80, found, default="default")) as proxy:
        assert proxy.decide("/a", "foo.com") == "foo-a"
        assert proxy.decide("/b", "foo.com") == "default"
        assert proxy.decide("/b", "bar.com") == "b"
        assert proxy.decide("/a", "bar.org") == "all"


def test_rules_in_the_order_in_which_they_were_made(tmp_path: Path) -> None:
    """The balancer's advanced forwarding: the first rule that fits, whatever the others say."""
    first, second = PathRule("", P, "/a", "prefix", ""), PathRule("", E, "/a", "exact", "")
    other = PathRule("foo.com", P, "/b", "foo", "")
    in_order = Frontend(80, (first, second, other), host_first=False)
    with real_proxy(tmp_path, in_order, Frontend(81, by_precedence((first, second, other)))) as proxy:
        assert proxy.decide("/a") == "prefix"
        assert proxy.decide("/a", port=81) == "exact"
        assert proxy.decide("/a", "foo.com") == "prefix"
        assert proxy.decide("/a", "foo.com", port=81) == NOBODY
        assert proxy.decide("/b", "foo.com") == "foo"
