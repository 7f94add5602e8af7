"""Cookies: a hash of who asked for a flow and why, so that it doesn't move when other objects come and go."""

from __future__ import annotations

from functools import cache
from hashlib import blake2b

COOKIE_MARK = 0xC10D << 48
"""The top 16 bits of every cookie of ours; a flow without them is a stranger's."""


@cache
def cookie_of(owner: str, note: str) -> int:
    """The 64-bit cookie of flows that ``owner`` asked for with ``note``; the same in every run."""
    return COOKIE_MARK | int.from_bytes(blake2b(f"{owner}\0{note}".encode(), digest_size=6).digest(), "big")
