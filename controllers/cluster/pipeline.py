"""The tables of a node's two bridges. Position is the table's number.

Addresses in the walks: nodes n1 10.0.0.10 and n2 10.0.0.11; on n1 pods a 172.16.0.2 (port 100) and b
172.16.0.3 (port 101), on n2 pod c 172.16.0.18; blocks 172.16.0.0/28 and 172.16.0.16/28; VNI 4097; server s
10.0.0.20.
"""

from __future__ import annotations

from controllers.cluster.fields import (
    ASKER,
    DISGUISE,
    ENDPOINT,
    ENDPOINT_PORT,
    HIDDEN,
    HIDE,
    NODE_PORT,
    OUT_PORT,
    PORT_KEY,
    REFUSED,
    SERVED,
    SERVICE,
    SOURCE,
)
from controllers.openflow import Pipeline, Table
from controllers.openflow.fields import (
    ARP_OP,
    ARP_SHA,
    ARP_SPA,
    ARP_THA,
    ARP_TPA,
    CT_STATE,
    ETH_DST,
    ETH_SRC,
    ETH_TYPE,
    ICMPV4_TYPE,
    IN_PORT,
    IP_PROTO,
    IPV4_DST,
    IPV4_SRC,
    TCP_DST,
    TCP_FLAGS,
    TCP_SRC,
    TUN_IPV4_DST,
    TUN_IPV4_SRC,
    TUNNEL_ID,
    UDP_DST,
    UDP_SRC,
    VLAN_VID,
)

_EX_DOC = """
br-ex is the node's side of the VPC. eth0 (port 1) is the primary ENI, eth1 (port 2) the carrier of sub-ENIs,
patch-int (port 10) leads to br-int, LOCAL holds the node's address.

* s 10.0.0.20 -> n1 10.0.0.10: entry[eth0, to 10.0.0.10] -> node[nothing special] -> LOCAL.
* n2 -> n1, VXLAN (UDP 4789 to 10.0.0.10): entry -> node[udp 4789 from 10.0.0.11] -> LOCAL, where Open vSwitch
  takes the tunnel header off and the inner packet enters br-int by its vxlan port. From anybody else: dropped.
* vpc, s -> a 172.16.0.2, which the VPC's route table sent here: entry[eth0, to own block] -> patch-int.
* s -> any other address behind this node: entry misses, dropped. A tunnel pod has no path from the VPC.
* eni, frame of a pod: entry[patch-int, tagged] -> eth1; back: entry[eth1, tagged] -> patch-int.
"""

BR_EX = Pipeline(
    role="br-ex",
    doc=_EX_DOC,
    tables=(
        Table(
            "entry",
            "Which port, and whose address: the only packets that pass between VPC, node and br-int.",
            matches=(IN_PORT, VLAN_VID, ETH_TYPE, ARP_TPA, IPV4_SRC, IPV4_DST, TCP_SRC, UDP_SRC),
            goes=("node",),
        ),
        Table(
            "node",
            "What the VPC sends to the node's own address: tunnels from nodes of the cluster only, Services to br-int.",
            matches=(IPV4_SRC, IPV4_DST, TCP_DST, UDP_DST),
        ),
    ),
)

_INT_DOC = """
br-int is the node's switch for pods. patch-ex (port 1) leads to br-ex, vxlan (port 2) to the other nodes, LOCAL to
the node's own stack, pods are at 100 and up.

Every model

* a asks by ARP for its gateway: classify -> spoof[port 100, its MAC and address] -> arp -> back out of port 100,
  the answer is always POD_GATEWAY_MAC. (In `eni` the VPC answers: arp -> remote, which tags.)
* a sends with b's address: classify -> spoof misses, dropped.

tunnel

* a -> b: classify -> spoof -> restrict -> ... -> local[to 172.16.0.3: b's MAC, out_port 101] -> deliver -> port 101.
* a -> c: ... -> local misses -> remote[172.16.0.16/28: tun_dst 10.0.0.11, VNI 4097, out_port 2] -> deliver -> vxlan;
  Open vSwitch puts 10.0.0.10 -> 10.0.0.11 UDP 4789 around it and sends that by br-ex.
  On n2: classify[vxlan, from 10.0.0.10, VNI 4097: source tunnel] -> ... -> local[to 172.16.0.18] -> deliver -> c.
* a -> n1: local[to 10.0.0.10: br-int's MAC, out_port LOCAL] -> deliver -> LOCAL, the node sees 172.16.0.2.
* a -> n2: remote[to 10.0.0.11: by tunnel] ; on n2 as a -> n1. So nodes and pods see each other's own addresses.
* n1 -> c: the kernel routes the container range to br-int: classify[LOCAL: source node] -> remote[/28] -> vxlan.
* a -> s: remote[anything else: LOCAL]; the kernel masquerades to 10.0.0.10 and sends by br-ex.
* a -> 172.16.0.9, which no pod has: local[own block], dropped.

vpc

* a -> b: as above. a -> c, a -> s: remote[a destination that sees pods: n1's MAC to the VPC gateway's, out_port 1]
  -> deliver -> patch-ex -> br-ex -> eth0; the VPC's route table finds n2, or s, which sees 172.16.0.2.
* a -> a public address: remote[anything else: LOCAL], masqueraded.
* c -> a, s -> a: br-ex -> classify[patch-ex: source fabric] -> local[to 172.16.0.2] -> deliver -> port 100.

eni (a is 10.0.1.5 on VLAN 7 of the carrier)

* a -> b, on the same node too: spoof -> restrict -> ... -> remote[port 100: tag 7, out_port 1] -> deliver -> patch-ex
  -> br-ex -> eth1; the fabric treats (carrier, 7) as a's own ENI.
* b -> a: br-ex -> classify[patch-ex, tag 7: untagged, source carrier, out_port 100] -> ... -> local -> deliver
  -> port 100.

Services, in every model

a 172.16.0.2 asks 10.247.0.9:80, whose endpoints are b 172.16.0.3:8080 and c 172.16.0.18:8080:

* There: service[cluster range: zone service] -> balance[10.247.0.9:80: group] -> bucket c: destination becomes
  172.16.0.18:8080 and the zone remembers it -> hide -> local -> remote -> c, which sees 172.16.0.2.
* The next packets: service translates them at once -> balance[+dnat] -> hide -> ...
* Back, from c: untranslate[source port 8080: zone service] makes 10.247.0.9:80 of the source -> local -> a.

A connection whose endpoint would answer past this bridge takes the node's address and a port above 61439, by which
br-ex and ``unhide`` know the answer: those of the node itself (10.0.0.10:61500 -> c), those to a NodePort of
policy Cluster, and those of pods with an ENI of their own. All translation happens on the node where the
connection entered the cluster.

A pod whose own endpoint is chosen sees the node as its peer, as with kube-proxy. The node's stack, if it is the
endpoint of itself or of what would have its address, gets NODE_STAND_IN as the source; the kernel makes the
node's address of that once the packet is in: nobody answers itself over a wire.

Without endpoints the packet goes to the node's kernel with REFUSE_MAC as its source; the kernel refuses (a switch
can't make a TCP reset).
"""

BR_INT = Pipeline(
    role="br-int",
    doc=_INT_DOC,
    bits=(
        SOURCE,
        REFUSED,
        SERVED,
        HIDE,
        NODE_PORT,
        OUT_PORT,
        ASKER,
        PORT_KEY,
        ENDPOINT,
        ENDPOINT_PORT,
        HIDDEN,
    ),
    zones=(SERVICE, DISGUISE),
    tables=(
        Table(
            "classify",
            "Where the packet entered; what is never carried is dropped.",
            matches=(
                IN_PORT,
                VLAN_VID,
                ETH_DST,
                ETH_TYPE,
                IPV4_DST,
                UDP_DST,
                TUN_IPV4_SRC,
                TUNNEL_ID,
            ),
            sets=(SOURCE, OUT_PORT, VLAN_VID),
            goes=("spoof", "arp", "unhide", "untranslate"),
        ),
        Table(
            "spoof",
            "A pod speaks with its own MAC and address only.",
            matches=(IN_PORT, VLAN_VID, ETH_SRC, ETH_TYPE, IPV4_SRC, ARP_SPA, ARP_SHA),
            sets=(HIDE,),
            goes=("arp", "restrict"),
        ),
        Table(
            "arp",
            "Answers every question for an address, except for the asker's own.",
            matches=(SOURCE, IN_PORT, ETH_TYPE, ARP_OP, ARP_TPA),
            sets=(ASKER, ETH_SRC, ETH_DST, ARP_OP, ARP_SPA, ARP_TPA, ARP_SHA, ARP_THA),
            goes=("remote",),
        ),
        Table(
            "restrict",
            "What no pod may send: as a DHCP server, or VXLAN to a node.",
            matches=(IPV4_DST, UDP_SRC, UDP_DST),
            miss="unhide",
        ),
        Table(
            "unhide",
            "Replies to an address that stands for another one get the true destination back.",
            matches=(SOURCE, IPV4_SRC, IPV4_DST, TCP_DST, UDP_DST),
            goes=("untranslate", "service", "local"),
            miss="untranslate",
        ),
        Table(
            "untranslate",
            "Replies of endpoints get the Service's address as their source again.",
            matches=(TCP_SRC, UDP_SRC, ICMPV4_TYPE),
            goes=("service",),
            miss="service",
        ),
        Table(
            "service",
            "Whether the packet is for a Service.",
            matches=(SOURCE, CT_STATE, IPV4_DST, TCP_DST, UDP_DST, ICMPV4_TYPE),
            sets=(SERVED, HIDE, NODE_PORT, ASKER, ETH_SRC, ETH_DST, IPV4_SRC, IPV4_DST, ICMPV4_TYPE),
            goes=("balance", "local"),
            miss="local",
        ),
        Table(
            "balance",
            "A new connection chooses an endpoint; a known one goes where it went.",
            matches=(CT_STATE, SOURCE, NODE_PORT, ETH_TYPE, IPV4_SRC, IPV4_DST, TCP_DST, TCP_FLAGS, UDP_DST),
            sets=(SERVED, HIDE, REFUSED, PORT_KEY),
            goes=("affinity", "choose", "hide"),
            miss="hide",
        ),
        Table(
            "affinity",
            "Looked up on the way: the endpoint that a client had, as the switch learned it.",
            matches=(PORT_KEY, ETH_TYPE, IPV4_SRC),
            sets=(ENDPOINT, ENDPOINT_PORT),
            learned=True,
        ),
        Table(
            "choose",
            "With client affinity: the client's endpoint when it still is one, else a new choice.",
            matches=(PORT_KEY, ENDPOINT, ENDPOINT_PORT, ETH_TYPE, IP_PROTO),
            sets=(HIDDEN, ENDPOINT_PORT),
            goes=("remember", "hide"),
        ),
        Table(
            "remember",
            "Has the switch learn the choice.",
            matches=(PORT_KEY, ETH_TYPE),
            goes=("choose",),
        ),
        Table(
            "hide",
            "Connections whose answers must come back through here take the node's or a virtual address.",
            matches=(SOURCE, SERVED, REFUSED, HIDDEN, ETH_TYPE, IPV4_SRC, IPV4_DST),
            goes=("local",),
            miss="local",
        ),
        Table(
            "local",
            "Destinations on this node.",
            matches=(SOURCE, SERVED, HIDE, REFUSED, CT_STATE, IN_PORT, IPV4_DST),
            sets=(ETH_SRC, ETH_DST, OUT_PORT),
            goes=("deliver",),
            miss="remote",
        ),
        Table(
            "remote",
            "Destinations elsewhere: by block and node, never by pod.",
            matches=(SOURCE, SERVED, IN_PORT, ETH_TYPE, IPV4_SRC, IPV4_DST),
            sets=(ETH_SRC, ETH_DST, TUN_IPV4_DST, TUNNEL_ID, VLAN_VID, OUT_PORT),
            goes=("deliver",),
        ),
        Table(
            "deliver",
            "Out of the chosen port, also when the packet came in by it.",
            matches=(IN_PORT, OUT_PORT),
        ),
    ),
)
