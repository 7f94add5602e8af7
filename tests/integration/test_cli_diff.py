"""``lab diff`` measures both models on real labs and leaves nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.test_cli_lab import Shell

pytestmark = pytest.mark.root


def facts(document: dict[str, list[dict[str, object]]], section: str) -> dict[str, dict[str, str]]:
    return {str(fact["what"]): fact["values"] for fact in document[section]}  # type: ignore[misc]


def test_tunnel_and_vpc_differ_where_they_should(tmp_path: Path) -> None:
    shell = Shell(tmp_path, "unused")
    try:
        found = shell.json("diff", "tunnel", "vpc", "topologies/peered.yaml")
    finally:
        shell("down", "--all")
    assert found["models"] == ["tunnel", "vpc"]
    sections = found["sections"]
    assert facts(sections, "MTU")["largest packet, pod to pod on another node"] == {"tunnel": "1450", "vpc": "1500"}
    ways = facts(sections, "hops")["pod to pod on another node"]
    assert "VXLAN" in ways["tunnel"]
    assert "VXLAN" not in ways["vpc"]
    verdicts = facts(sections, "verdicts")
    assert verdicts["VPC server to pod"]["tunnel"] == "dropped"
    assert verdicts["VPC server to pod"]["vpc"].startswith("allowed, the server sees 192.168.1.")
    assert facts(sections, "routes")["VPC: 172.16.0.0/25"] == {"tunnel": "-", "vpc": "n1-eth0"}
    same = [fact for section in sections.values() for fact in section if not fact["differs"]]
    assert same, "and much is the same"


def test_a_model_against_itself_is_refused(tmp_path: Path) -> None:
    assert "say two of tunnel, vpc, eni" in Shell(tmp_path, "unused")("diff", "vpc", "vpc", status=2).stderr
