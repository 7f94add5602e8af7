"""The tables of the fabric's bridge. Position is the table's number.

Addresses in the walks. VPC 1 (10.0.0.0/16): a 10.0.0.5 (ENI 3) and b 10.0.0.9 (ENI 4) in subnet 10.0.0.0/24, node n
10.0.0.20 (ENI 6, container block 172.16.0.0/25), pods p 10.0.1.7 (ENI 8, VLAN 12) and q 10.0.1.8 (ENI 9, VLAN 13)
behind one carrier in subnet 10.0.1.0/24. VPC 2 (10.2.0.0/16): c 10.2.0.5 (ENI 11). Internet host i 203.0.113.9;
a has the elastic IP 198.51.100.5; the NAT gateway's address is 198.51.100.8.
"""

from __future__ import annotations

from controllers.fabric.fields import (
    BALANCED,
    BALANCER,
    BITS,
    BYPASS,
    DISGUISED,
    DST_ENI,
    DST_PROFILE,
    HAIRPIN,
    MEMORY,
    NAT_GATEWAY,
    NETWORK,
    ROUTE_TABLE,
    SCRATCH,
    SOURCE_OWN,
    SRC_ENI,
    SRC_PROFILE,
    SRC_TRACKED,
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
    ICMPV4_CODE,
    ICMPV4_TYPE,
    IN_PORT,
    IP_PROTO,
    IP_TTL,
    IPV4_DST,
    IPV4_SRC,
    TCP_DST,
    TCP_FLAGS,
    UDP_DST,
    UDP_SRC,
    VLAN_VID,
)

_DOC = """
One bridge is the cloud. A port is an ENI, or a carrier of sub-ENIs told apart by VLAN. No packet goes to the
controller and a table's miss is a drop, unless the table says where it goes on.

* a asks who has 10.0.0.9: classify[port: ENI 3, network 1] -> spoof_guard[asks as itself] -> arp[b's MAC, question
  becomes answer] -> output -> back to a.
* a -> b, same subnet: classify -> spoof_guard[a's MAC and address] -> egress[first the rules] -> egress_remote ->
  egress_rules[outbound rule] -> hop[addressed to b, not to the gateway] -> routing[local 10.0.0.0/24] ->
  deliver[ENI 4] -> receive[b's MAC] -> ingress[first the rules] -> ingress_rules[inbound rule] -> accept[remembered in
  VPC 1's zone] -> output[b's port]. b's answer the same where rules let it pass.
  Where no rule lets it out: egress_rules[VPC 1's zone is asked] -> egress_state[answer] -> egress_answer -> ... ->
  ingress[asked] -> ingress_state[answer] -> output. Where none lets it in: ... -> ingress_rules[the zone is asked] ->
  ingress_state[answer] -> output.
* a -> p, other subnet: hop[addressed to the gateway: time to live - 1, from the gateway's MAC] -> routing[local
  10.0.1.0/24] -> deliver[ENI 8] -> ... -> output[tag 12, carrier's port].
* p -> q, behind one carrier: classify[(port, VLAN 12): ENI 8, tag off] -> ... -> output[tag 13, the port it came by].
* a -> 172.16.0.7, a pod on n: routing[route table: 172.16.0.0/25 -> ENI 6] -> receive[n's MAC] -> ... -> n.
  Its answer: spoof_guard[n forwards for 172.16.0.0/25] -> ... -> a, which sees 172.16.0.7.
* a -> c: routing[10.2.0.0/16 -> peering: remembered, network 2] -> arrival[local to VPC 2] -> deliver -> receive ->
  ingress[tracked in VPC 2's zone] -> ... -> c.
* a -> i: routing misses -> internet_exit[ENI 3 with its own address: remembered, source 198.51.100.5, network 0] ->
  internet[host i] -> receive -> output. Back: routing[network 0] -> internet[198.51.100.5: 10.0.0.5, network 1, ENI 3]
  -> receive -> ingress[tracked in VPC 1's zone: an answer] -> a. What i opens itself is judged by a's inbound rules,
  with i's address.
* p -> i by NAT gateway: routing[0.0.0.0/0 -> NAT gateway] -> internet_exit[remembered; gateway's zone] -> nat_out[new:
  SNAT to 198.51.100.8] -> internet -> i. Back: internet[198.51.100.8: gateway's zone] -> nat_in[known: network 1] ->
  arrival -> deliver -> p.
* i -> 198.51.100.8:80, a DNAT rule to b: internet -> nat_in[new: DNAT to 10.0.0.9:8080] -> arrival -> deliver -> b.
* a -> 10.0.0.100:80, a load balancer: deliver[the balancer's zone] -> balancer[new, listener] -> pick[a member] ->
  balanced -> routing -> deliver -> receive -> the member. Its answer: egress_answer[brought by the balancer] ->
  balancer's zone -> hop -> routing -> a.
"""

_EGRESS = (
    Table(
        "classify",
        "Which ENI sent it, by port and tag, and what is known of that ENI.",
        matches=(IN_PORT, VLAN_VID),
        sets=(VLAN_VID, SRC_ENI, NETWORK, ROUTE_TABLE, SRC_PROFILE, SRC_TRACKED),
        goes=("spoof_guard",),
    ),
    Table(
        "spoof_guard",
        "An ENI sends with its own MAC and address, and forwards only what it may.",
        matches=(SRC_ENI, ETH_SRC, ETH_DST, ETH_TYPE, IPV4_SRC, UDP_SRC, ARP_OP, ARP_SPA, ARP_SHA),
        sets=(SOURCE_OWN,),
        goes=("arp", "egress"),
    ),
    Table(
        "arp",
        "Questions become answers.",
        matches=(NETWORK, ARP_OP, ARP_TPA),
        sets=(ETH_SRC, ETH_DST, ARP_OP, ARP_SHA, ARP_THA, ARP_SPA, ARP_TPA, SCRATCH, DST_ENI, HAIRPIN),
        goes=("output",),
    ),
    Table(
        "egress",
        "First the rules, or first the VPC's zone, if security groups apply to the sender.",
        matches=(SRC_TRACKED, NETWORK, SOURCE_OWN, ETH_TYPE),
        sets=(MEMORY,),
        goes=("egress_remote", "egress_state"),
        miss="hop",
    ),
    Table(
        "egress_state",
        "Known connections pass, new ones are judged.",
        matches=(CT_STATE, TCP_FLAGS),
        goes=("egress_answer", "egress_remote", "hop"),
    ),
    Table(
        "egress_answer",
        "Answers pass; those of a load balancer's connections go back by the balancer.",
        matches=(BALANCED, ETH_TYPE),
        sets=(NETWORK, ROUTE_TABLE, ETH_SRC, BALANCER, SOURCE_OWN, HAIRPIN, MEMORY),
        goes=("leave", "hop", "balancer_return"),
        miss="hop",
    ),
    Table(
        "egress_remote",
        "Whether the destination belongs to a security group that outbound rules name.",
        matches=(NETWORK, IPV4_DST),
        sets=(DST_PROFILE,),
        miss="egress_rules",
    ),
    Table(
        "egress_rules",
        "Outbound rules of the sender's security groups; what none lets out may be of a known connection.",
        matches=(SRC_PROFILE, DST_PROFILE, IPV4_DST, IP_PROTO, TCP_DST, UDP_DST, MEMORY, ETH_TYPE),
        sets=(MEMORY,),
        goes=("hop", "egress_state"),
    ),
    Table(
        "balancer_return",
        "A member's answer to a balancer that hides its clients: back to the client's address.",
        matches=(BALANCER, ETH_TYPE),
        goes=("hop",),
    ),
)

_ROUTING = (
    Table(
        "hop",
        "What is addressed to the gateway loses one of its time to live; pings of it are answered.",
        matches=(NETWORK, ETH_DST, ETH_TYPE, IPV4_DST, ICMPV4_TYPE, ICMPV4_CODE),
        sets=(IP_TTL, ETH_SRC, ETH_DST, ICMPV4_TYPE, IPV4_SRC, IPV4_DST, SCRATCH, DST_ENI, HAIRPIN),
        goes=("output",),
        miss="routing",
    ),
    Table(
        "routing",
        "The VPC's own subnets, then the route table of the sender's subnet, longest prefix first.",
        matches=(NETWORK, ROUTE_TABLE, IPV4_DST),
        sets=(DST_ENI, NAT_GATEWAY, NETWORK, MEMORY),
        goes=("leave", "deliver", "receive", "arrival", "internet"),
        miss="internet_exit",
    ),
    Table(
        "internet_exit",
        "The sender's elastic IP, else the NAT gateway or server of its route.",
        matches=(SRC_ENI, DST_ENI, NAT_GATEWAY, BALANCER, NETWORK, IPV4_SRC),
        sets=(IPV4_SRC, NETWORK, SOURCE_OWN, HAIRPIN, NAT_GATEWAY, MEMORY),
        goes=("leave", "internet", "nat_out", "receive"),
    ),
    Table(
        "nat_out",
        "Source translation by a NAT gateway.",
        matches=(NAT_GATEWAY, CT_STATE, IPV4_SRC, TCP_FLAGS),
        sets=(NETWORK,),
        goes=("internet",),
    ),
    Table(
        "internet",
        "Internet hosts, and the elastic IPs of ENIs, load balancers and NAT gateways.",
        matches=(IPV4_DST,),
        sets=(IPV4_DST, NETWORK, DST_ENI, NAT_GATEWAY),
        goes=("receive", "deliver", "nat_in"),
    ),
    Table(
        "nat_in",
        "What comes to a NAT gateway: answers, and connections that a DNAT rule takes.",
        matches=(NAT_GATEWAY, CT_STATE, IPV4_DST, IP_PROTO, TCP_DST, TCP_FLAGS, UDP_DST),
        sets=(NETWORK,),
        goes=("arrival",),
    ),
    Table(
        "arrival",
        "Into a VPC from outside: its subnets and its routes to ENIs, nothing further.",
        matches=(NETWORK, IPV4_DST),
        sets=(DST_ENI,),
        goes=("deliver", "receive"),
    ),
)

_DELIVERY = (
    Table(
        "deliver",
        "Whose address it is.",
        matches=(NETWORK, BALANCER, IPV4_DST, IP_PROTO, TCP_DST, UDP_DST),
        sets=(
            DST_ENI, IPV4_SRC, IPV4_DST, ETH_SRC, SCRATCH, SOURCE_OWN, HAIRPIN,
            NETWORK, ROUTE_TABLE, BALANCER, MEMORY,
        ),
        goes=("leave", "receive", "balancer"),
    ),
    Table(
        "balancer",
        "Listeners of load balancers and the sources that they admit.",
        matches=(BALANCER, CT_STATE, IPV4_SRC, TCP_DST, TCP_FLAGS, UDP_DST),
        goes=("pick", "balanced"),
    ),
    Table(
        "pick",
        "A member for a new connection.",
        matches=(BALANCER, IPV4_SRC, TCP_DST, UDP_DST),
        goes=("balanced",),
    ),
    Table(
        "balanced",
        "On to the member, from the balancer's subnet.",
        matches=(BALANCER, DISGUISED, ETH_TYPE),
        sets=(BYPASS, HAIRPIN),
        goes=("routing",),
    ),
    Table(
        "receive",
        "The receiver's MAC, and whether security groups apply to it.",
        matches=(DST_ENI, ETH_TYPE),
        sets=(ETH_DST, DST_PROFILE, MEMORY),
        goes=("leave", "ingress", "output"),
    ),
    Table(
        "ingress",
        "First the rules, unless the VPC's zone was asked already or has nothing from the sender yet.",
        matches=(MEMORY, ETH_TYPE),
        goes=("ingress_rules", "ingress_state"),
    ),
    Table(
        "ingress_state",
        "Answers pass; everything in the direction of the opener is judged.",
        matches=(CT_STATE, BYPASS),
        goes=("accept", "output"),
        miss="ingress_rules",
    ),
    Table(
        "ingress_rules",
        "Inbound rules of the receiver's security groups; what none lets in may be an answer.",
        matches=(DST_PROFILE, SRC_PROFILE, SOURCE_OWN, IPV4_SRC, IP_PROTO, TCP_DST, UDP_DST, MEMORY, ETH_TYPE),
        sets=(MEMORY,),
        goes=("accept", "ingress_state"),
    ),
    Table(
        "accept",
        "Remember what both sides let pass.",
        matches=(CT_STATE, MEMORY, ETH_TYPE),
        sets=(BALANCED,),
        goes=("output",),
        miss="output",
    ),
    Table(
        "leave",
        "Subroutine: remember what leaves the zone of its sender's VPC.",
        matches=(CT_STATE, MEMORY, ETH_TYPE),
    ),
    Table(
        "output",
        "The port and tag of the receiver.",
        matches=(DST_ENI, HAIRPIN, IN_PORT),
        sets=(VLAN_VID,),
    ),
)  # fmt: skip

PIPELINE = Pipeline(role="vpc", doc=_DOC, bits=BITS, tables=(*_EGRESS, *_ROUTING, *_DELIVERY))
