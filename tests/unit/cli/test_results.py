"""Reports: the verdict table, JSON, JUnit, and that the exit status is honest."""

from __future__ import annotations

from xml.etree import ElementTree

from rich.console import Console

from testbed.cli.running import what_next
from testbed.observe.verdicts import Check, Report
from testbed.report.results import render_junit, render_report, report_document

HELD = Check(1, "pod to pod on one node", "tunnel", "allowed, source 172.16.0.17", "allowed, source 172.16.0.17", True)
FAILED = Check(21, "server to a pod", "tunnel", "dropped", "allowed", False, ("SYN\x00 at n1", "<ACK>"), 0.5)
BROKEN = Check(0, "a probe", "tunnel", "allowed", "no such host", False, (), 0.1, error=True)


def text_of(report: Report, width: int, *, evidence: bool = False) -> str:
    console = Console(width=width, force_terminal=False, emoji=False)
    with console.capture() as captured:
        console.print(render_report(report, evidence=evidence))
    return captured.get()


def test_exit_status_is_one_for_anything_but_all_held() -> None:
    assert Report("r", (HELD,)).exit_status == 0
    assert Report("r", (HELD, FAILED)).exit_status == 1
    assert Report("r", (BROKEN,)).exit_status == 1
    assert Report("r", ()).exit_status == 1, "a report without checks shows nothing"


def test_the_table_fits_and_says_everything_at_both_widths() -> None:
    report = Report("in_cluster (tunnel)", (HELD, FAILED, BROKEN), (("datapath", "userspace"),))
    for width in (80, 200):
        text = text_of(report, width)
        assert all(len(line) <= width for line in text.splitlines())
        words = " ".join(text.split())
        assert "1 of 3 checks held; not: 21, a probe (datapath userspace)" in words
        assert words.count("FAILED") == 1
        assert words.count("ERROR") == 1
        assert "SYN\\x00 at n1" in text
        assert "<ACK>" in text, "evidence of what failed is shown unasked"


def test_evidence_of_what_held_is_shown_when_asked() -> None:
    held = Check(2, "t", "tunnel", "e", "e", True, ("UDP 4789",))
    assert "UDP 4789" not in text_of(Report("r", (held,)), 80)
    assert "UDP 4789" in text_of(Report("r", (held,)), 80, evidence=True)


def test_junit_is_xml_that_counts_failures_and_errors_apart() -> None:
    root = ElementTree.fromstring(  # noqa: S314 - our own
        render_junit([Report("r", (HELD, FAILED, BROKEN), (("kernel", "6"),))])
    )
    (suite,) = root
    assert suite.attrib == {"name": "r", "tests": "3", "failures": "1", "errors": "1", "time": "0.600"}
    cases = suite.findall("testcase")
    assert [[child.tag for child in case] for case in cases] == [[], ["failure"], ["error"]]
    assert cases[1][0].text == "SYN? at n1\n<ACK>"


def test_the_document_has_all_checks() -> None:
    document = report_document(Report("r", (HELD, FAILED), (("model", "tunnel"),)))
    assert (document["ok"], document["facts"]) == (False, {"model": "tunnel"})
    assert document["checks"][1]["evidence"] == ["SYN\x00 at n1", "<ACK>"]


def test_what_to_do_next_is_to_look_at_what_failed() -> None:
    held = Report("egress (eni)", (HELD,), (("model", "eni"),))
    failed = Report("egress (vpc)", (FAILED,), (("model", "vpc"),))
    assert what_next("egress", [held]) == []
    assert what_next("egress", [held, failed]) == [
        "next: lab run egress --model vpc --keep leaves the lab up, to be looked at"
    ]
    kept = Report("egress (vpc)", (FAILED,), (("model", "vpc"), ("lab", "egress-vpc")))
    assert what_next("egress", [kept]) == [
        "next: lab --lab egress-vpc status, lab --lab egress-vpc trace ..., then: lab down egress-vpc"
    ]


def test_a_case_of_junit_is_of_its_scenario_and_model() -> None:
    (suite,) = ElementTree.fromstring(render_junit([Report("egress (tunnel)", (HELD,))]))  # noqa: S314 - our own
    (case,) = suite.findall("testcase")
    assert case.attrib["classname"] == f"egress.{HELD.model}"
