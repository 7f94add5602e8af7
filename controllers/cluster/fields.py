"""The named bits that br-int's tables share. A packet's registers are zero when it enters the bridge."""

from __future__ import annotations

from enum import IntEnum

from controllers.openflow import LOCAL, Bits, Zone, ct_mark, register
from testbed.model.desired import DISGUISE_ZONE, SERVICE_ZONE

LOCAL_16 = LOCAL & 0xFFFF
"""The bridge's own port in 16 bits, as a register that holds a port number has it."""

VLAN_TAGGED = (0x1000, 0x1000)
"""``vlan_vid`` of any tagged frame."""

UNTAGGED = 0


class Source(IntEnum):
    """Where a packet entered br-int."""

    POD = 1
    NODE = 2  # the node's own stack, by br-int's local port
    TUNNEL = 3  # another node of the cluster, by VXLAN
    FABRIC = 4  # the VPC, by the node's primary ENI
    CARRIER = 5  # the VPC, by a sub-ENI on the carrier: for one pod


SOURCE: Bits = register("source", 0, low=0, width=4, doc="where the packet entered", values=Source)
REFUSED: Bits = register("refused", 0, low=4, width=1, doc="for a Service without endpoints")
SERVED: Bits = register("served", 0, low=5, width=1, doc="belongs to a connection that a Service translates")
HIDE: Bits = register("hide", 0, low=6, width=1, doc="a new connection that must take the node's address")
NODE_PORT: Bits = register("node_port", 0, low=7, width=1, doc="to a node port of this node")
OUT_PORT: Bits = register("out_port", 1, low=0, width=16, doc="port that the packet leaves by")
ASKER: Bits = register("asker", 2, doc="who asks by ARP, while sender and target are swapped")
PORT_KEY: Bits = register("port_key", 3, doc="the Service's port (its group's number), with client affinity")
ENDPOINT: Bits = register("endpoint", 4, doc="the client's endpoint, with client affinity")
ENDPOINT_PORT: Bits = register("endpoint_port", 5, low=0, width=16, doc="and its port")

HIDDEN: Bits = ct_mark("hidden", low=0, width=1, doc="the connection takes the node's address")

SERVICE: Zone = Zone("service", SERVICE_ZONE, "connections to Services: destination becomes an endpoint")
DISGUISE: Zone = Zone("disguise", DISGUISE_ZONE, "connections whose source becomes the node's or a virtual address")
