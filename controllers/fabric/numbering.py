"""Numbers for things that have none in the document, the same whatever else comes and goes."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b


def stable_numbers(keys: Iterable[str], last: int) -> dict[str, int]:
    """A number in 1..``last`` for each key: its hash, or the next free one after it.

    Only keys whose hashes collide can move each other. Raises ``OverflowError`` when there are more keys than
    numbers.
    """
    numbers: dict[str, int] = {}
    taken: set[int] = set()
    for key in sorted(set(keys)):
        if len(taken) == last:
            raise OverflowError(f"more than {last} numbers wanted")
        number = int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "big") % last + 1
        while number in taken:
            number = number % last + 1
        taken.add(number)
        numbers[key] = number
    return numbers


def port_masks(first: int, last: int) -> tuple[tuple[int, int], ...]:
    """The (value, mask) pairs that together match exactly the ports ``first``..``last``.

    30000-32767 becomes 7 pairs instead of 2768 flows; a range never needs more than 30.
    """
    pairs = []
    while first <= last:
        size = first & -first or 1 << 16
        while first + size - 1 > last:
            size >>= 1
        pairs.append((first, 0xFFFF & ~(size - 1)))
        first += size
    return tuple(pairs)
