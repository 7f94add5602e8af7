"""Kubernetes' tables of paths and hosts as somebody else wrote them down: ``pytest --conformance FOLDER``."""

from __future__ import annotations

import csv
from pathlib import Path

from testbed.model.planning.proxy import Frontend, PathKind, PathRule, by_precedence
from tests.unit.proxy.real import NOBODY, real_proxy


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def path_rule(text: str, kind: str, number: int) -> PathRule:
    """``/foo``, or in a mixed row ``/foo(Exact)``."""
    path, _, own = text.rstrip(")").partition("(")
    return PathRule("", PathKind((own or kind).lower()), path, f"rule-{number}", "")


def test_every_row_of_the_path_table(conformance: Path, tmp_path: Path) -> None:
    table = rows(conformance / "path-table.csv")
    written = [row["rule_paths"].split() for row in table]
    frontends = [
        Frontend(1000 + at, by_precedence(path_rule(text, row["kind"], n) for n, text in enumerate(written[at])))
        for at, row in enumerate(table)
    ]
    with real_proxy(tmp_path, *frontends) as proxy:
        seen = [proxy.decide(row["request_path"], "any.host", 1000 + at) for at, row in enumerate(table)]
    winners = [NOBODY if who == NOBODY else written[at][int(who.removeprefix("rule-"))] for at, who in enumerate(seen)]
    assert winners == [row["winning_rule"] or NOBODY for row in table]
    assert len(table) >= 20


def test_every_row_of_the_host_table(conformance: Path, tmp_path: Path) -> None:
    table = rows(conformance / "host-wildcard-table.csv")
    frontends = [
        Frontend(1000 + at, (PathRule(row["rule_host"], PathKind.PREFIX, "/", "found", ""),))
        for at, row in enumerate(table)
    ]
    with real_proxy(tmp_path, *frontends) as proxy:
        seen = [proxy.decide("/", row["host_header"], 1000 + at) for at, row in enumerate(table)]
    assert seen == ["found" if row["matches"] == "yes" else NOBODY for row in table]
    assert len(table) >= 3
