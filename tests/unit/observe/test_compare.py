"""Two profiles side by side: what differs, what is the same, what only one has."""

from __future__ import annotations

from rich.console import Console

from testbed.observe.compare import compare
from testbed.observe.profile import Profile, Section
from testbed.report.comparison import render_comparison


def profile(name: str, *facts: tuple[str, str]) -> Profile:
    return Profile(name, "userspace", (Section("MTU", facts),))


def test_what_differs_what_is_the_same_and_what_only_one_has() -> None:
    tunnel = profile("tunnel", ("pod", "1450"), ("node", "1500"))
    eni = profile("eni", ("pod", "1500"), ("node", "1500"), ("eth1", "1500"))
    found = compare([tunnel, eni])
    assert [(row.what, row.values, row.differs) for row in found.rows] == [
        ("pod", ("1450", "1500"), True),
        ("node", ("1500", "1500"), False),
        ("eth1", ("-", "1500"), True),
    ]
    assert [row.what for row in found.different] == ["pod", "eth1"]


def test_what_only_the_second_has_stays_beside_its_neighbours() -> None:
    found = compare([profile("tunnel", ("a", "1"), ("z", "1")), profile("eni", ("a", "1"), ("m", "1"), ("z", "1"))])
    assert [row.what for row in found.rows] == ["a", "m", "z"]


def test_a_long_name_goes_on_below_itself() -> None:
    """In a narrow terminal: what is at the left edge is a section's title."""
    name = "largest packet, pod to pod on another node"
    found = compare([profile("tunnel", (name, "1450")), profile("vpc", (name, "1500"))])
    console = Console(width=48)
    with console.capture() as captured:
        console.print(render_comparison(found))
    head, section, *lines = captured.get().splitlines()
    assert head.split() == ["WHAT", "TUNNEL", "VPC"]
    assert section.strip() == "MTU"
    wrapped = lines[: next(number for number, line in enumerate(lines) if not line.strip())]
    assert len(wrapped) > 1
    assert all(line.startswith("  ") for line in wrapped)
