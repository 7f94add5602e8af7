"""Elastic IPs: one address for another, both ways, with no state.

Out: 10.0.0.5, whose ENI has 198.51.100.5, to 203.0.113.9: routing finds no subnet and no route of its own for the
destination -> internet_exit: from its own address, so 198.51.100.5 becomes the source and the packet is in the
internet. What the ENI forwards for others (a pod behind a node) is not translated. In: internet[to 198.51.100.5]:
destination 10.0.0.5, in its VPC, where its security groups see the client's public address.

An elastic IP goes before every route to a NAT gateway: a DNAT rule to a server that also has an elastic IP is
answered from the latter, so the client doesn't recognise the answer.

Limit: an ICMP error from the internet quotes the elastic IP inside, where nothing is translated, so the VPC's
zone knows no such connection and drops it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from controllers.fabric.fields import BALANCER, DST_ENI, HAIRPIN, NETWORK, SOURCE_OWN, SRC_ENI
from controllers.fabric.security import LEAVE
from controllers.fabric.view import FabricView
from controllers.openflow import CtClear, Flow, SetField, match
from controllers.openflow.fields import IPV4_DST, IPV4_SRC
from testbed.model.desired import INTERNET, EipBinding, Eni, FabricLoadBalancer


def plan(view: FabricView) -> Iterator[Flow]:
    for binding in view.state.eips:
        yield from _of_eni(binding, view.eni(binding.eni, binding.owner))
    for balancer in view.state.load_balancers:
        if balancer.eip is not None:
            yield from _of_balancer(balancer)
    for eni in view.state.enis:
        if eni.network == INTERNET:
            yield _host(eni)


@lru_cache(1 << 14)
def _of_eni(binding: EipBinding, eni: Eni) -> tuple[Flow, Flow]:
    """What dials its own elastic IP comes back into its VPC's zone as another connection, so the first is forgotten."""
    out = (
        *LEAVE,
        CtClear(),
        SetField(IPV4_SRC, binding.address),
        SetField(NETWORK, INTERNET),
        SetField(SOURCE_OWN, 0),
        SetField(HAIRPIN, 1),
    )
    into = (SetField(IPV4_DST, eni.address), SetField(NETWORK, eni.network), SetField(DST_ENI, eni.id))
    own = match({SRC_ENI: eni.id}, ipv4_src=eni.address)
    note = f"{eni.address} -> {binding.address}"
    return (
        Flow("internet_exit", 300, own, out, "internet", owner=binding.owner, note=note),
        Flow(
            "internet", 100, match(ipv4_dst=binding.address), into, "receive",
            owner=binding.owner, note=f"{binding.address} -> {eni.address}",
        ),
    )  # fmt: skip


@lru_cache(1 << 12)
def _of_balancer(balancer: FabricLoadBalancer) -> tuple[Flow, ...]:
    """Answers of its listeners' members and, when it has an ENI, what its layer-7 proxy sends."""
    address, public = balancer.address, balancer.eip
    assert public is not None
    out = (*LEAVE, SetField(IPV4_SRC, public), SetField(NETWORK, INTERNET))
    into = (SetField(IPV4_DST, address), SetField(NETWORK, balancer.network))
    senders = [match({BALANCER: balancer.id}, ipv4_src=address)]
    if balancer.eni is not None:
        senders.append(match({SRC_ENI: balancer.eni, BALANCER: 0}, ipv4_src=address))
    return (
        *(
            Flow("internet_exit", 300, sent, out, "internet", owner=balancer.owner, note=f"{address} -> {public}")
            for sent in senders
        ),
        Flow(
            "internet",
            100,
            match(ipv4_dst=public),
            into,
            "deliver",
            owner=balancer.owner,
            note=f"{public} -> {address}",
        ),
    )


@lru_cache(1 << 12)
def _host(eni: Eni) -> Flow:
    to = match(ipv4_dst=eni.address)
    actions = (SetField(DST_ENI, eni.id),)
    return Flow("internet", 100, to, actions, "receive", owner=eni.owner, note=f"internet host {eni.name}")
