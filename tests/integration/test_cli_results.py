"""What ``lab run`` leaves for machines, and what ``watch`` and the page of ``graph`` show of a running lab."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.integration.test_cli_lab import Shell
from tests.limits import LIMIT

pytestmark = pytest.mark.root


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    made = Shell(tmp_path, "results")
    made.environment["XDG_STATE_HOME"] = str(tmp_path / "state")
    try:
        yield made
    finally:
        made("down", "--all")


def test_run_writes_junit_and_json_and_its_exit_status_is_honest(shell: Shell, tmp_path: Path) -> None:
    target = tmp_path / "results.xml"
    found = json.loads(shell("run", "limits", "--model", "tunnel", "--junit", str(target), "-o", "json").stdout)
    assert [report["ok"] for report in found] == [True]
    (suite,) = ElementTree.parse(target).getroot()  # noqa: S314 - our own
    assert int(suite.attrib["tests"]) == len(found[0]["checks"]) == len(suite.findall("testcase"))
    assert (suite.attrib["failures"], suite.attrib["errors"]) == ("0", "0")
    nowhere = shell("run", "limits", "--junit", str(tmp_path / "no" / "results.xml"), status=2)
    assert "there is no directory" in nowhere.stderr


def test_watch_and_page_show_the_running_lab(shell: Shell, tmp_path: Path) -> None:
    shell("up", "topologies/demo.yaml", "--lab", shell.name)
    ping = shell.start(
        "exec", "db-0", "--", "ping", "-i", "0.02", "-q", shell.json("get", "pod/db-1")["status"]["podIP"]
    )
    try:
        frame = shell.json("watch", "--once")
    finally:
        ping.terminate()
        ping.communicate(timeout=LIMIT)
    assert frame["health"]["ok"]
    busy = {link["host"] for link in frame["links"] if link["packets_in"] > 1 and link["packets_out"] > 1}
    assert {"db-0", "db-1", "n1", "n2"} <= busy
    shown = shell("watch").stdout
    assert "is well" in shown
    assert "no scenario has run yet" in shown
    page = tmp_path / "lab.html"
    shell("graph", "--html", str(page))
    data = re.search(r'id="details">(.*?)</script>', page.read_text())
    assert data is not None
    detail = json.loads(data[1])["Pod/default/db-0"]
    parts = dict(detail["parts"])
    assert parts["addresses"][0].startswith("eth0: 172.16.0.")
    assert any(
        "pod on this node" in flow for title, flows in parts.items() if title.startswith("flows") for flow in flows
    )
    assert "no such layer: pod" in shell("graph", "--layers", "pod", status=2).stderr
