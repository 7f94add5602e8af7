"""Two profiles side by side: what differs, what is the same, what only one has."""

from __future__ import annotations

from testbed.observe.compare import compare
from testbed.observe.profile import Profile, Section


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
