"""Buckets get as many of Open vSwitch's slots as their weights say, or as near as 256 slots come to it."""

from __future__ import annotations

import pytest

from controllers.openflow import spread

EQUAL = [[1] * count for count in (1, 2, 3, 5, 7, 10, 16, 33, 100, 128, 200)]
UNEQUAL = [[2, 1, 1], [3, 1], [1, 2, 3], [10, 1, 1], [100, 50, 10], [5, 5, 7, 9]]


def deal_slots(weights: list[tuple[int, ...]]) -> list[int]:
    """As Open vSwitch does (Webster's method)."""
    flat = [(owner, weight) for owner, each in enumerate(weights) for weight in each]
    total, lightest = sum(weight for _, weight in flat), min(weight for _, weight in flat)
    slots = max(16, 1 << (-(-total // lightest) - 1).bit_length())
    assert slots <= 256
    got, dealt = [0] * len(weights), [0] * len(flat)
    for _ in range(slots):
        best = max(range(len(flat)), key=lambda i: flat[i][1] / (2 * dealt[i] + 1))
        dealt[best] += 1
        got[flat[best][0]] += 1
    return got


@pytest.mark.parametrize("weights", [*EQUAL, *UNEQUAL], ids=lambda weights: f"{len(weights)} of {sum(weights)}")
def test_slots_follow_weights(weights: list[int]) -> None:
    got = deal_slots(spread(weights))
    exact = [sum(got) * weight / sum(weights) for weight in weights]
    assert all(abs(one - wanted) <= 1.5 for one, wanted in zip(got, exact, strict=True)), (got, exact)


def test_weights_of_no_member() -> None:
    assert spread([]) == []
