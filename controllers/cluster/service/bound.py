"""kube-proxy's IPVS mode: each node has the addresses of Services on an interface of its own (``kube-ipvs0``).

So they answer pings, and a port that no Service has there is refused by the node, also when the address is a load
balancer's that listens there. In iptables mode only the Services' own ports are taken.
Source: CCE user guide, "Comparing iptables and IPVS".
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

from controllers.cluster.fields import ASKER, REFUSED, SOURCE, Source
from controllers.cluster.service.served import Served
from controllers.openflow import Action, Copy, Flow, InPort, SetField, match
from controllers.openflow.fields import ETH_DST, ETH_SRC, ICMPV4_TYPE, IPV4_DST, IPV4_SRC
from testbed.model.desired import POD_GATEWAY_MAC

_QUESTION, _ANSWER = 8, 0

_ECHO: tuple[Action, ...] = (
    SetField(ICMPV4_TYPE, _ANSWER),
    Copy(IPV4_SRC, ASKER),
    Copy(IPV4_DST, IPV4_SRC),
    Copy(ASKER, IPV4_DST),
    Copy(ETH_SRC, ETH_DST),
    SetField(ETH_SRC, POD_GATEWAY_MAC),
    InPort(),
)


def plan(served: Served) -> Iterator[Flow]:
    """Tables service and balance. The same flow for each port of a Service."""
    port = served.port
    if not port.bound:
        return
    if port.cluster_ip is not None:
        for source in (Source.POD, Source.NODE):
            yield _ping(source, port.cluster_ip, port.owner)
        yield _other_ports(port.cluster_ip, port.owner)
    for address in port.external_addresses if port.external_from_pods else ():
        yield _ping(Source.POD, address, port.owner)
        yield _other_ports(address, port.owner)


def _ping(source: Source, address: IPv4Address, owner: str) -> Flow:
    asked = match({SOURCE: source}, ipv4_dst=address, icmpv4_type=_QUESTION)
    return Flow("service", 300, asked, _ECHO, owner=owner, note=f"the node has {address}, and answers pings")


def _other_ports(address: IPv4Address, owner: str) -> Flow:
    note = f"no Service has this port of {address}, which is the node's"
    return Flow("balance", 60, match(ipv4_dst=address), (SetField(REFUSED, 1),), "hide", owner=owner, note=note)
