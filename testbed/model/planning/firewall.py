"""The nftables ruleset of a node: what its kernel does to pods' packets on their way out, and for Services."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from testbed.model.cloud import Cluster
from testbed.model.desired import (
    NODE_PORT_ADDRESS,
    NODE_PORTS,
    NODE_STAND_IN,
    REFUSE_MAC,
    NetworkModel,
    Protocol,
    ServicePort,
)
from testbed.model.planning.resolved import PlannedNode


def render_node_ruleset(cluster: Cluster, node: PlannedNode, services: Sequence[ServicePort] = ()) -> str:
    """``nft -f`` text of the table ``ip cnlab`` for ``node``; loading it again replaces the table whole."""
    chains = [*_BRIDGES_ONLY, *_services(node, services), *_masquerade(cluster, node)]
    body = "\n".join(chains)
    return f"table ip cnlab\ndelete table ip cnlab\ntable ip cnlab {{\n{body}\n}}\n{_ARP}"


_BRIDGES_ONLY = (
    # What enters by a port of a bridge is the bridge's alone. With Open vSwitch in user space the kernel gets a copy
    # of each frame: it would deliver and forward past the flows, and answer ARP for the node's address to pods.
    "  chain bridges_only {",
    "    type filter hook prerouting priority raw; policy accept;",
    '    iifname != { "br-ex", "br-int", "lo" } counter drop',
    # A Service without endpoints: a switch can't make a TCP reset or an ICMP error, so br-int asks for one.
    f'    iifname "br-int" ether saddr {REFUSE_MAC} meta l4proto tcp counter reject with tcp reset',
    f'    iifname "br-int" ether saddr {REFUSE_MAC} counter reject with icmp port-unreachable',
    "  }",
)

_ARP = """table arp cnlab
delete table arp cnlab
table arp cnlab {
  chain bridges_only {
    type filter hook input priority filter; policy accept;
    iifname != { "br-ex", "br-int" } counter drop
  }
}
"""


def _services(node: PlannedNode, services: Sequence[ServicePort]) -> list[str]:
    """What the node's own connections need to get to br-int, where Services are.

    Those to its NodePorts would stay on its loopback, those to external addresses that nodes serve would go to the
    balancer; other ports of these still do. The node's stack as an endpoint of its own or of a NodePort's client must
    see the node's address as its peer, which can't be on the wire.
    """
    first, last = NODE_PORTS
    return [
        "  chain output {",
        "    type nat hook output priority -100; policy accept;",
        f"    ip daddr {node.address} meta l4proto {{ tcp, udp }} th dport {first}-{last} dnat to {NODE_PORT_ADDRESS}",
        *_external(services),
        "  }",
        *_bound(services),
        "  chain input {",
        "    type nat hook input priority 100; policy accept;",
        f"    ip saddr {NODE_STAND_IN} snat to {node.address}",
        "  }",
    ]


def _bound(services: Sequence[ServicePort]) -> list[str]:
    """IPVS: what is left to an external address after the translation above is for a port that no Service has there."""
    addresses = sorted({str(address) for each in services if each.bound for address in each.external_addresses})
    if not addresses:
        return []
    return [
        "  chain bound {",
        "    type filter hook output priority 0; policy accept;",
        f"    ip daddr {{ {', '.join(addresses)} }} meta l4proto tcp counter reject with tcp reset",
        f"    ip daddr {{ {', '.join(addresses)} }} meta l4proto udp counter reject with icmp port-unreachable",
        "  }",
    ]


def _external(services: Sequence[ServicePort]) -> Iterator[str]:
    """One map per protocol: external address and port to the Service's cluster address."""
    for protocol in (Protocol.TCP, Protocol.UDP):
        served = {
            f"{address} . {each.port} : {each.cluster_ip}"
            for each in services
            if each.protocol is protocol and each.cluster_ip is not None
            for address in each.external_addresses
        }
        if served:
            yield f"    dnat to ip daddr . {protocol} dport map {{ {', '.join(sorted(served))} }}"


def _masquerade(cluster: Cluster, node: PlannedNode) -> list[str]:
    """Pods leave the cluster with the node's address.

    ``tunnel``: everything that br-int hands to the kernel for somewhere else. ``vpc``: only destinations outside
    nonMasqueradeCIDRs get here; the reply to a connection that came in past the kernel is in no connection that
    it knows, and its source is rewritten all the same (which breaks that connection, as documented).
    """
    if cluster.model is NetworkModel.ENI or cluster.container_cidr is None:
        return []
    leaving = f'oifname "br-ex" ip saddr {cluster.container_cidr}'
    lines = [
        "  chain postrouting {",
        "    type nat hook postrouting priority srcnat; policy accept;",
        f"    {leaving} counter masquerade",
        "  }",
    ]
    if cluster.model is NetworkModel.VPC:
        lines += [
            "  chain stateless {",
            "    type filter hook postrouting priority 110; policy accept;",
            f"    {leaving} ct state invalid counter ip saddr set {node.address}",
            "  }",
        ]
    return lines
