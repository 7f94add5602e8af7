"""Transmit offloads of a device, by the ethtool ioctl (linux/ethtool.h): what ``ethtool -K DEV tx off`` does."""

from __future__ import annotations

import array
import fcntl
import socket
import struct

_SIOCETHTOOL = 0x8946
_ETHTOOL_GTXCSUM, _ETHTOOL_STXCSUM = 0x16, 0x17


def set_tx_checksum(interface: str, on: bool) -> None:
    """Switch transmit checksum offload, and with it TSO, of a device in the calling thread's namespace."""
    _ioctl(interface, _ETHTOOL_STXCSUM, int(on))


def read_tx_checksum(interface: str) -> bool:
    return _ioctl(interface, _ETHTOOL_GTXCSUM, 0) != 0


def _ioctl(interface: str, command: int, data: int) -> int:
    value = array.array("B", struct.pack("II", command, data))
    request = struct.pack("16sP16x", interface.encode(), value.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCETHTOOL, request)
    answer: int = struct.unpack_from("II", value)[1]
    return answer
