"""Rates from counters read twice, and what the last scenario found, kept for later."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.model.wiring import Endpoint, Namespace, NamespaceKind, Veth, Wiring
from testbed.observe.last_run import last_run_path, read_last_run, write_last_run
from testbed.observe.rates import Counters, links_of, plan_rates
from testbed.observe.verdicts import Check, Report
from testbed.report.watch import human_rate


def test_rates_are_bits_a_second_and_the_busiest_is_first() -> None:
    before = Counters(10.0, {("a", "eth0"): (0, 0, 0, 0), ("b", "eth0"): (100, 1, 0, 0)})
    after = Counters(12.0, {("a", "eth0"): (0, 0, 0, 0), ("b", "eth0"): (1100, 11, 500, 5)})
    first, second = plan_rates(before, after)
    assert (first.host, first.bits_in, first.bits_out, first.packets_in) == ("b", 4000.0, 2000.0, 5.0)
    assert (second.host, second.busy) == ("a", 0.0)


def test_a_link_that_is_new_or_began_anew_has_no_rate_yet() -> None:
    before = Counters(0.0, {("again", "eth0"): (900, 9, 0, 0)})
    after = Counters(1.0, {("again", "eth0"): (100, 1, 0, 0), ("new", "eth0"): (100, 1, 0, 0)})
    assert plan_rates(before, after) == ()


def test_a_link_is_its_hosts() -> None:
    kinds = {"fabric": NamespaceKind.FABRIC, "n1": NamespaceKind.NODE, "web-0": NamespaceKind.POD}
    namespaces = tuple(Namespace(name, kind, name) for name, kind in kinds.items())
    uplink = Veth(Endpoint("fabric", "e1", ""), Endpoint("n1", "eth0", ""), 1500, "Node/n1")
    pod = Veth(Endpoint("web-0", "eth0", ""), Endpoint("n1", "p100", ""), 1450, "Pod/default/web-0")
    assert links_of(Wiring(namespaces=namespaces, veths=(uplink, pod))) == (("n1", "eth0"), ("web-0", "eth0"))


@pytest.mark.parametrize(("value", "text"), [(0.0, "-"), (999.0, "999"), (1500.0, "1.5k"), (2.5e9, "2.5G")])
def test_rates_for_people(value: float, text: str) -> None:
    assert human_rate(value) == text


def test_the_last_run_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert read_last_run() is None
    held = Check(1, "a", "vpc", "x", "x", True)
    failed = Check(2, "b", "vpc", "x", "y", False)
    write_last_run([Report("one (vpc)", (held, failed))])
    last = read_last_run()
    assert last is not None
    assert last.reports == (("one (vpc)", 1, 2, ("b",)),)
    last_run_path().write_text("{")
    assert read_last_run() is None, "half a file is none"
