"""What a switch has decided for packets and keeps in its datapath's cache: forgotten when its flows have changed.

Open vSwitch compares its cache with its flows after a change by itself, within milliseconds. But where the two differ
it corrects a cached decision in place, and the userspace datapath of 3.1 looks that one up by a packet that it fits: of
two that overlap it may correct the other, and the wrong one stays as long as packets use it. Of what is forgotten
altogether nothing wrong stays; the next packet of each connection is decided anew. The kernel's datapath finds a
decision by its identifier and needs none of this.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from testbed.emulation.control import ask_switches
from testbed.emulation.rundir import RunDir
from testbed.emulation.state import Datapath

_LIMIT = 5.0


def forget_decisions(rundir: RunDir, datapath: Datapath, namespaces: Iterable[str]) -> None:
    """For the switches of ``namespaces``, all at once. One that does not answer is left to correct itself."""
    if datapath is not Datapath.USERSPACE:
        return
    deque(ask_switches(rundir, namespaces, "revalidator/purge", _LIMIT), 0)
