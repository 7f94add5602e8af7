"""Medians and ratios, equal conditions, words, targets and comparison: all from values."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path as File

import pytest

from testbed.operations.errors import BadRequestError
from testbed.perf.compare import Change, compare
from testbed.perf.conditions import UnequalError, expect_comparable, expect_equal, find_doubts
from testbed.perf.results import RAW, Cell, Figure, Measure, Path, Sample, read_result, to_document
from testbed.perf.statistics import quantity, ratio, to_raw, value
from testbed.perf.targets import judge
from testbed.perf.words import explain, explain_tunnel, payload_share
from tests.unit.perf.results import conditions, result, subject

OTHER = Cell("vpc", Path.OTHER, Measure.TCP_1)
SLOW = {("tunnel", Path.OTHER): [2.0, 1.8, 1.9], ("vpc", Path.OTHER): [4.0, 2.0, 3.0]}


def test_median_and_spread() -> None:
    found = quantity([3.0, 1.0, 2.0])
    assert found is not None
    assert (found.median, found.low, found.high, found.count, found.spread) == (2.0, 1.0, 3.0, 3, 1.0)
    assert quantity([]) is None


def test_ratios_are_of_the_same_round() -> None:
    """Both halve when the machine is busy: the ratio stays, which that of the medians would not."""
    busy = result({("vpc", Path.OTHER): [4.0, 2.0, 3.0], ("eni", Path.OTHER): [2.0, 1.0, 1.5]})
    found = ratio(busy, Cell("eni", Path.OTHER, Measure.TCP_1), OTHER, Figure.RATE)
    assert found is not None
    assert (found.median, found.spread) == (0.5, 0.0)
    against = to_raw(busy, OTHER, Figure.RATE)
    assert against is not None
    assert (against.median, against.low, against.high) == (0.3, 0.2, 0.4)
    assert to_raw(busy, Cell(RAW, Path.PAIR, Measure.TCP_1), Figure.RATE) is None


def test_an_error_is_no_nought() -> None:
    failed = Sample(OTHER, 2, error="iperf3: refused")
    whole = result({("vpc", Path.OTHER): [4.0]})
    with_error = replace(whole, samples=(*whole.samples, failed))
    found = value(with_error, OTHER, Figure.RATE)
    assert found is not None
    assert (found.median, found.count) == (4.0e9, 1)
    assert with_error.errors == (failed,)


def test_equal_conditions_pass_and_a_pods_mtu_may_differ() -> None:
    expect_equal([subject(RAW), subject("tunnel", client_mtu=1450), subject("vpc")])


def test_unequal_conditions_are_refused_with_what_is_unequal() -> None:
    unlike = [subject(RAW, offloads=True), subject("tunnel"), subject("vpc", offloads=True, datapath="kernel")]
    with pytest.raises(UnequalError) as refused:
        expect_equal(unlike)
    assert str(refused.value) == (
        "conditions are unequal, nothing was measured: datapath: userspace (raw, tunnel), kernel (vpc); give one with "
        "--datapath; offloads: on (raw, vpc), off (tunnel); --offloads off makes them equal, or leave a model out with "
        "--model"
    )


def test_a_stream_that_was_preceded_by_none_is_not_compared_with_one_that_was() -> None:
    before = subject("vpc", datapath="kernel")
    with pytest.raises(UnequalError, match="seconds before a stream of vpc: 0 before, 4 now"):
        expect_comparable(conditions(before), conditions(replace(before, settling=4)))


def test_plain_bridges_with_tags_are_not_compared_with_those_without() -> None:
    before = subject("plain-eni")
    with pytest.raises(UnequalError, match="VLAN tags of plain-eni: off before, on now"):
        expect_comparable(conditions(before), conditions(replace(before, retags=True)))
    expect_equal([subject(RAW), replace(before, retags=True)])


def test_doubtful_conditions_are_marked() -> None:
    doubts = find_doubts(result(SLOW, conditions=conditions(load=1.5, steal=3.0)))
    assert [doubt.split(":")[0] for doubt in doubts] == [
        "the machine was busy at the start",
        "the hypervisor took 3.0 % of the time (above 2 %)",
        "3 rounds",
        "1 of 3 cells spread over more than 50% of their median (marked ~)",
    ]
    assert find_doubts(result({("vpc", Path.OTHER): [4.0] * 5})) == ()


def test_samples_that_others_disturbed_are_marked() -> None:
    calm = result({("vpc", Path.OTHER): [4.0] * 5})
    disturbed = replace(calm, samples=tuple(replace(sample, foreign=0.8) for sample in calm.samples))
    assert "2 of 2 cells while others kept more than 0.25 processors busy" in find_doubts(disturbed)[0]


def test_words_come_from_what_was_seen() -> None:
    seen = result(SLOW)
    text = " ".join(explain(seen, Path.OTHER))
    assert "TCP, one stream, against the raw veth pair: tunnel x0.19, vpc x0.3." in text
    assert "enter an Open vSwitch 6 times in tunnel and vpc." in text
    assert "looks a packet up 2.3 times on average" in text
    assert ", 2 in vpc." in text
    assert "74 bytes at the client and 124 at n1/eth0: 50 more" in text
    other_header = replace(seen, facts=(replace(seen.facts[0], widest=132), seen.facts[1]))
    assert "58 more" in " ".join(explain(other_header, Path.OTHER))
    assert explain(seen, Path.NAT) == ()


def test_the_cause_is_what_differs() -> None:
    apart = explain(result({("tunnel", Path.OTHER): [2.0, 1.8], ("vpc", Path.OTHER): [4.0, 3.0]}), Path.OTHER)[0]
    assert apart == (
        "TCP, one stream: tunnel has x0.55 of vpc's: 2.3 look-ups by packet and switch against 2, "
        "50 header bytes more than the client sent against 0."
    )
    alike = explain(result({("tunnel", Path.OTHER): [2.0, 4.0], ("vpc", Path.OTHER): [3.0, 3.0]}), Path.OTHER)[0]
    assert "within the spread" in alike


def test_payload_share() -> None:
    tunnel, vpc = result(SLOW).facts
    assert payload_share(tunnel, 1450) == pytest.approx(1410 / 1514)
    assert payload_share(vpc, 1500) == pytest.approx(1460 / 1514)


def test_the_tunnel_beside_the_vendors_figure() -> None:
    near = explain_tunnel(result({("tunnel", Path.OTHER): [2.7] * 3, ("vpc", Path.OTHER): [3.0] * 3}))
    assert len(near) == 1
    assert near[0].startswith("tunnel carries 0.90 (0.90-0.90) of what vpc carries to the other node, 10% less;")
    assert near[0].endswith("the vendor says 5-15 % less, and so it is here.")
    far = explain_tunnel(result({("tunnel", Path.OTHER): [1.5] * 3, ("vpc", Path.OTHER): [3.0] * 3}))
    assert "50% less; the vendor says 5-15 % less." in far[0]
    assert "Why more: 50 header bytes alone make 3.4%" in far[-1]
    alike = explain_tunnel(result({("tunnel", Path.OTHER): [3.0, 2.7, 3.3], ("vpc", Path.OTHER): [3.0] * 3}))
    assert "0% less; the vendor says 5-15 % less, which is within the spread." in alike[0]
    assert "Why less: 50 header bytes" in alike[-1]
    assert "without offloads both models send every frame whole" in alike[-1]
    assert explain_tunnel(result({("vpc", Path.OTHER): [3.0]})) == ()


def test_targets() -> None:
    found = result(
        {
            ("vpc", Path.OTHER): [3.0],
            ("plain-vpc", Path.OTHER): [3.2],
            ("vpc", Path.CLUSTER_IP): [2.1],
        }
    )
    assert [(item.what, item.reached) for item in judge(found)] == [
        ("vpc other-node / plain bridges", True),
        ("vpc cluster-ip / direct", False),
    ]


def test_processor_time_decides_where_others_took_the_processors() -> None:
    found = result({("vpc", Path.OTHER): [1.0], ("plain-vpc", Path.OTHER): [3.0]})
    cost = {"vpc": 5.0, "plain-vpc": 4.8}
    busy = tuple(
        replace(sample, foreign=0.9, figures=(*sample.figures, (Figure.CPU, cost.get(sample.cell.subject, 1.0))))
        for sample in found.samples
    )
    (calm,) = judge(found)
    (disturbed,) = judge(replace(found, samples=busy))
    assert (calm.reached, disturbed.reached) == (False, True)


def test_a_change_is_one_when_the_spreads_do_not_meet() -> None:
    old = result({("vpc", Path.OTHER): [3.0, 3.2, 3.1], ("tunnel", Path.OTHER): [2.0, 2.4, 2.2]})
    new = result({("vpc", Path.OTHER): [2.0, 2.2, 2.1], ("tunnel", Path.OTHER): [2.3, 2.5, 2.4]})
    rows = {row.cell.subject: row for row in compare(old, new)}
    assert (rows["vpc"].change, rows["tunnel"].change, rows[RAW].change) == (Change.WORSE, Change.SAME, Change.SAME)
    assert rows["vpc"].factor == pytest.approx(2.1 / 3.1)


def test_runs_under_unlike_conditions_are_not_compared() -> None:
    before = conditions(subject(RAW), subject("vpc", offloads=True), kernel="6.1")
    now = conditions(subject(RAW), subject("vpc"), kernel="6.18")
    with pytest.raises(UnequalError, match=r"kernel: 6.1 before, 6.18 now; offloads of vpc: on before, off now"):
        expect_comparable(before, now)


def test_a_result_survives_its_file(tmp_path: File) -> None:
    file = tmp_path / "result.json"
    whole = result(SLOW, doubts=("few",))
    file.write_text(json.dumps(to_document(whole)))
    assert read_result(file) == whole


@pytest.mark.parametrize("text", ["", "[]", '{"schema": "cnlab.dev/perf/v0"}', '{"schema": "cnlab.dev/perf/v1"}'])
def test_other_files_are_refused(tmp_path: File, text: str) -> None:
    file = tmp_path / "other.json"
    file.write_text(text)
    with pytest.raises(BadRequestError, match=r"other\.json"):
        read_result(file)
