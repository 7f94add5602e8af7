"""Names and numbers on the wire: functions of an object's position, traceable back to it."""

from __future__ import annotations

from ipaddress import IPv4Address

FABRIC = "fabric"
FABRIC_BRIDGE = "vpc"
FABRIC_DATAPATH = 1

LINK_LOCAL_GATEWAY = IPv4Address("169.254.1.1")
"""Next hop of hosts whose link holds nobody else: pods of ``tunnel`` and ``vpc``, internet hosts."""


def eni_mac(number: int) -> str:
    """MAC of ENI ``number`` (1-65535): ``fa:16:3e`` is the prefix that the real cloud's ENIs carry."""
    return f"fa:16:3e:01:{number >> 8:02x}:{number & 0xFF:02x}"


def balancer_mac(number: int) -> str:
    return f"fa:16:3e:02:{number >> 8:02x}:{number & 0xFF:02x}"


def node_internal_mac(index: int) -> str:
    """MAC of a node's br-int local port."""
    return f"0a:58:a9:ff:{index >> 8:02x}:{index & 0xFF:02x}"


def pod_mac(address: IPv4Address) -> str:
    """``0a:58`` and the four bytes of the address, as several Kubernetes network plugins derive it."""
    return "0a:58:" + ":".join(f"{byte:02x}" for byte in address.packed)


def service_link_mac(mac: str) -> str:
    """MAC of the second link, for the Service range, of a pod whose own ENI has ``mac``."""
    return "0a" + mac[2:]


def fabric_interface(port: int) -> str:
    return f"e{port}"


def pod_interface(port: int) -> str:
    return f"p{port}"


def ex_datapath(index: int) -> int:
    return 0x1000 + index


def int_datapath(index: int) -> int:
    return 0x10000 + index
