"""``/dev/net/tun``, with which the userspace datapath makes its ports, also where ``/dev`` has no such file.

A root folder made from packages, or a container, has a ``/dev`` with a handful of files. The kernel's own list of
devices (devtmpfs) has this one all the same: a switch gets it in mounts of its own, and ``/dev`` stays as it is.
"""

from __future__ import annotations

import os
from contextlib import suppress

from testbed.emulation import syscalls
from testbed.emulation.errors import MachineLacksError
from testbed.emulation.mounts import own_mounts
from testbed.emulation.netns import Enter, let_go_of_labs, visiting

TUN = "/dev/net/tun"


def try_tap() -> None:
    """Raises ``MachineLacksError`` when no tap device can be made here, not even with the kernel's devices."""

    def attempt(_: Enter) -> None:
        see_tap()
        try:
            os.close(os.open(TUN, os.O_RDWR | os.O_CLOEXEC))
        except OSError as error:
            raise MachineLacksError(
                f"{TUN}: {error.strerror}; Open vSwitch's userspace datapath needs it: a kernel with CONFIG_TUN, "
                "and in a container the device (--device /dev/net/tun)"
            ) from None

    visiting(attempt)


def see_tap() -> None:
    """Give the calling thread mounts of its own with the kernel's ``/dev``, unless ``/dev/net/tun`` is there."""
    if os.path.exists(TUN):
        return
    own_mounts()
    let_go_of_labs()
    with suppress(OSError):  # the error that counts is that of opening the device
        syscalls.mount("devtmpfs", "/dev", "devtmpfs", syscalls.MS_NOSUID | syscalls.MS_NOEXEC)
