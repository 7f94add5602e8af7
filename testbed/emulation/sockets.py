"""The TCP connections of a namespace, as its kernel lists them."""

from __future__ import annotations

from pathlib import Path

from testbed.emulation.netns import inside

_UNCONFIRMED = frozenset(("04", "09", "0B"))
"""FIN_WAIT1, LAST_ACK and CLOSING (include/net/tcp_states.h): closed here, and the peer owes an acknowledgement."""


def unconfirmed(namespace: Path) -> int:
    """How many connections were closed in ``namespace`` whose peer has not confirmed all that was sent to it."""
    table = inside(namespace, lambda: Path("/proc/thread-self/net/tcp").read_text(encoding="ascii"))
    return sum(line.split(maxsplit=4)[3] in _UNCONFIRMED for line in table.splitlines()[1:])
