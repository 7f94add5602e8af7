"""br-int, tables unhide to balance: which packets connection tracking is asked about.

A port is used twice: a 172.16.0.2:40001 asks 10.247.0.9:80, is answered by c 172.16.0.18:8080, closes, and dials
172.16.0.18:8080 itself from port 40001 within the second for which the first connection is remembered. The answer of c
is taken for one of that connection, gets 10.247.0.9:80 as its source, and a resets what it does not know. a tries again
when the first connection is forgotten, and gets through. A reset that comes later than that begins no connection to a
Service: nobody would answer it, and for half a minute it would take the answers of c.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from controllers.cluster.fields import DISGUISE, HIDE, NODE_PORT, REFUSED, SERVED, SERVICE, SOURCE, Source
from controllers.cluster.service.ports import match_port, port_masks
from controllers.cluster.view import NodeView
from controllers.openflow import Action, Ct, Flow, Match, Nat, SetField, match
from controllers.openflow.fields import TCP_RESET, Target, Value
from testbed.model.desired import (
    HAIRPIN_SOURCE_PORTS,
    NODE_PORT_ADDRESS,
    NODE_PORTS,
    NODE_STAND_IN,
    SERVICE_SOURCE_PORTS,
    NetworkModel,
)

_UNREACHABLE = 3
_TRANSPORTS = ("tcp", "udp")


def plan(view: NodeView, ports: Iterable[tuple[str, int]]) -> Iterator[Flow]:
    """``ports``: (protocol, port) that some endpoint answers from."""
    yield from _unhide(view)
    yield from _untranslate(view, ports)
    yield from _recognise(view)
    yield from _known(view)


def _unhide(view: NodeView) -> Iterator[Flow]:
    back = (Ct(DISGUISE, table="untranslate", nat=Nat()),)
    answers = match(ipv4_dst=NODE_STAND_IN)
    yield Flow("unhide", 200, answers, back, owner=view.node.owner, note="the node's stack answers")
    for transport in _TRANSPORTS:
        for ports in port_masks(*SERVICE_SOURCE_PORTS):
            what = match_port(transport, "dst", ports, ipv4_dst=view.node.address)
            yield Flow("unhide", 200, what, back, owner=view.node.owner, note="answers to the node's address")
    if view.model is NetworkModel.ENI:
        yield from _by_the_vpc(view, back)


def _by_the_vpc(view: NodeView, back: tuple[Action, ...]) -> Iterator[Flow]:
    """In ``eni`` what a pod sends is an answer with the pod's own address until the VPC has carried it: its spoof guard
    knows no other. It is undone where it arrives. A pod that is its own endpoint doesn't use the VPC."""
    for pod in view.node.pods:
        past = match({SOURCE: Source.FABRIC}, ipv4_src=view.node.address, ipv4_dst=pod.address)
        note = "from the node to it by the VPC; answers come back on its sub-ENI"
        yield Flow("unhide", 300, past, goto="local", owner=pod.owner, note=note)
    for transport in _TRANSPORTS:
        for ports in port_masks(*HAIRPIN_SOURCE_PORTS):
            what = match_port(transport, "dst", ports, {SOURCE: Source.POD}, ipv4_dst=view.node.address)
            yield Flow("unhide", 260, what, back, owner=view.node.owner, note="a pod answers itself")
    sent = match({SOURCE: Source.POD})
    yield Flow("unhide", 250, sent, goto="service", owner=view.owner, note="an answer is undone past the VPC")


def _untranslate(view: NodeView, ports: Iterable[tuple[str, int]]) -> Iterator[Flow]:
    """What comes from a port that some endpoint serves may be an answer; nothing else is tracked on its way back."""
    back = (Ct(SERVICE, table="service", nat=Nat()),)
    for protocol, port in ports:
        what = match_port(protocol, "src", port)
        yield Flow("untranslate", 200, what, back, owner=view.owner, note="may be an endpoint's answer")
    error = match(icmpv4_type=_UNREACHABLE)
    yield Flow("untranslate", 200, error, back, owner=view.owner, note="may be about a Service's packet")


def ask(what: Match, source: Source | None, owner: str, note: str, *marks: Action) -> Flow:
    """Table service: is the connection known? The node's own ones always hide: their answers must come by here."""
    hide: tuple[Action, ...] = (SetField(HIDE, 1),) if source is Source.NODE else ()
    actions = (*marks, *hide, Ct(SERVICE, table="balance", nat=Nat()))
    return Flow("service", 200, what, actions, owner=owner, note=note)


def _recognise(view: NodeView) -> Iterator[Flow]:
    """Table service."""
    answer = match(ct_state="+trk+rpl")
    note = "an endpoint's answer, as the Service"
    yield Flow("service", 400, answer, (SetField(SERVED, 1),), "local", owner=view.owner, note=note)
    known = match(ct_state="+trk-rpl+dnat")
    yield Flow("service", 400, known, goto="balance", owner=view.owner, note="translated already")
    if view.service_cidr is not None:
        for source in (Source.POD, Source.NODE):
            what = match({SOURCE: source}, ipv4_dst=view.service_cidr)
            yield ask(what, source, view.owner, "to the Service range")
    yield from _recognise_node_ports(view)


def _recognise_node_ports(view: NodeView) -> Iterator[Flow]:
    """In ``eni`` pods' packets to a node go through the VPC first, as all of theirs."""
    owner, mark = view.node.owner, SetField(NODE_PORT, 1)
    own = match({SOURCE: Source.NODE}, ipv4_dst=NODE_PORT_ADDRESS)
    yield ask(own, Source.NODE, owner, "to its own node ports", mark)
    where: dict[Target, Value] = {SOURCE: Source.FABRIC} if view.model is NetworkModel.ENI else {}
    for transport in _TRANSPORTS:
        for ports in port_masks(*NODE_PORTS):
            what = match_port(transport, "dst", ports, where, ipv4_dst=view.node.address)
            yield ask(what, None, owner, "to the node's node ports", mark)


def _known(view: NodeView) -> Iterator[Flow]:
    """Table balance, connections that have an endpoint already, and what no Service has."""
    known = match(ct_state="+trk-rpl+dnat")
    note = "a reset begins no connection"
    yield Flow("balance", 390, match(tcp_flags=TCP_RESET), owner=view.owner, note=note)
    note = "goes where it went"
    yield Flow("balance", 400, known, (SetField(SERVED, 1),), "hide", owner=view.owner, note=note)
    if view.service_cidr is not None:
        nobody = match(ipv4_dst=view.service_cidr)
        yield Flow("balance", 50, nobody, owner=view.owner, note="no Service has this address and port")
    refused = (SetField(REFUSED, 1),)
    own = match(ipv4_dst=NODE_PORT_ADDRESS)
    yield Flow("balance", 50, own, refused, "hide", owner=view.node.owner, note="no Service has this node port")
