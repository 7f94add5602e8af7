"""Transmit offloads of a device: what ``ethtool -K DEV tx off`` does, by pyroute2."""

from __future__ import annotations

from contextlib import closing

_TX_CHECKSUM = "tx-checksumming"


def set_tx_checksum(interface: str, on: bool) -> None:
    """Switch transmit checksum offload, and with it TSO, of a device in the calling thread's namespace."""
    from pyroute2.ethtool.ioctl import IoctlEthtool  # takes 0.2 s, and most commands wire nothing

    with closing(IoctlEthtool(interface)) as device:
        device.set_offload_flag(_TX_CHECKSUM, int(on))


def read_tx_checksum(interface: str) -> bool:
    """Whether the device is left to do checksums (and so may get large segments)."""
    from pyroute2.ethtool.ioctl import IoctlEthtool

    with closing(IoctlEthtool(interface)) as device:
        return bool(device.get_offload_flags()[_TX_CHECKSUM])
