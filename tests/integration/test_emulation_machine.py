"""The doctor and the bench on this machine."""

from __future__ import annotations

import secrets

from testbed.emulation.bench import measure, measure_plain, median, render_bench
from testbed.emulation.doctor import Level, examine, is_fit
from testbed.emulation.snapshot import take_snapshot
from tests.integration.emulation_lab import expect_unchanged


def test_a_machine_that_runs_these_tests_is_fit() -> None:
    before = take_snapshot(name := f"t-{secrets.token_hex(4)}")
    findings = examine()
    assert is_fit(findings), [finding for finding in findings if finding.level is not Level.OK]
    assert {"privileges", "Open vSwitch", "datapath", "nftables NAT", "memory"} <= {f.subject for f in findings}
    expect_unchanged(before, name)


def test_the_bench_measures_both_and_leaves_nothing() -> None:
    before = take_snapshot(name := f"t-{secrets.token_hex(4)}")
    ours = measure(2, 6)
    plain = measure_plain(2, 6)
    assert 0 < ours.up < 30
    assert plain.build > 0
    text = render_bench(2, 6, median([ours]), plain)
    assert "2 nodes, 6 pods" in text
    assert "plain Mininet: build" in text
    expect_unchanged(before, name)
