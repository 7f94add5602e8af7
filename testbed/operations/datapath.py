"""Which datapath a lab gets: the kernel's where there is one, else Open vSwitch's own."""

from __future__ import annotations

from testbed.emulation.doctor import has_kernel_datapath
from testbed.emulation.errors import MachineLacksError
from testbed.emulation.state import Datapath


def choose_datapath(wanted: str) -> Datapath:
    """``auto`` is ``kernel`` where the openvswitch module is loaded or can be.

    Raises ``MachineLacksError`` for ``kernel`` without the module.
    """
    if wanted == "userspace":
        return Datapath.USERSPACE
    if has_kernel_datapath():
        return Datapath.KERNEL
    if wanted == "kernel":
        raise MachineLacksError(
            "the kernel has no openvswitch module here; --datapath userspace needs none, the Vagrant machine has it"
        )
    return Datapath.USERSPACE
