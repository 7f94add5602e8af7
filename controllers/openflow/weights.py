"""Weights of a select group's buckets, such that Open vSwitch chooses as the weights say.

It divides the hash's values into slots, the power of two that gives the lightest bucket one, but 16 to 256 of them: ten
equal buckets share 16 slots, so six of them would be chosen twice as often as the other four. One of the buckets is
therefore split in two, the lighter of them so light that there are more slots: eight and more for a bucket of the
least weight, as far as 256 go. Each slot costs its first connection a question to vswitchd, so there are no more.
Source: Open vSwitch 3.1, ofproto/ofproto-dpif.c, group_setup_dp_hash_table.
"""

from __future__ import annotations

from collections.abc import Sequence

_FEWEST_SLOTS, _MOST_SLOTS = 16, 256
_SLOTS_EACH = 8
_UNIT = 100


def spread(weights: Sequence[int]) -> list[tuple[int, ...]]:
    """For each of ``weights`` (1 and more) the weights of its buckets, in the same order."""
    even: list[tuple[int, ...]] = [(_UNIT * weight,) for weight in weights]
    if not weights or _divides_evenly(weights) or sum(weights) > min(weights) * (_MOST_SLOTS // 2):
        return even
    slots = min(_slots_for(weights, _SLOTS_EACH), _MOST_SLOTS)
    light = -(-_UNIT * sum(weights) // slots)
    heaviest = max(range(len(weights)), key=lambda position: (weights[position], position))
    even[heaviest] = (even[heaviest][0] - light, light)
    return even


def _slots_for(weights: Sequence[int], each: int) -> int:
    """The power of two that gives the lightest at least ``each``."""
    slots = _FEWEST_SLOTS
    while slots * min(weights) < each * sum(weights):
        slots *= 2
    return slots


def _divides_evenly(weights: Sequence[int]) -> bool:
    """Whether every weight gets its exact share of the slots that there are without a split."""
    slots = _slots_for(weights, 1)
    return all(weight * slots % sum(weights) == 0 for weight in weights)
