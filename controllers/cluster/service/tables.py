"""br-int, tables unhide to hide, and what Services add to local and remote. The walks are in ``pipeline``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from controllers.cluster.fields import (
    DISGUISE,
    HIDDEN,
    HIDE,
    LOCAL_16,
    OUT_PORT,
    REFUSED,
    SERVED,
    SERVICE,
    SOURCE,
    Source,
)
from controllers.cluster.leave import to_vpc
from controllers.cluster.service.entries import Entry, plan_entries
from controllers.cluster.service.groups import plan_group
from controllers.cluster.service.ports import match_port, port_masks
from controllers.cluster.service.served import Served, Verdict
from controllers.cluster.view import NodeView
from controllers.openflow import Action, Ct, Flow, Group, Match, Nat, SetField, Snat, ToGroup, match
from controllers.openflow.fields import ETH_DST, ETH_SRC, IPV4, Target, Value
from testbed.model.desired import (
    NODE_PORT_ADDRESS,
    NODE_STAND_IN,
    REFUSE_MAC,
    SERVICE_SOURCE_PORTS,
    NetworkModel,
)

_UNREACHABLE = 3
_TRANSPORTS = ("tcp", "udp")


@dataclass(frozen=True, slots=True)
class ServiceTables:
    flows: tuple[Flow, ...]
    groups: tuple[Group, ...]


def plan(view: NodeView) -> ServiceTables:
    """Nothing at all in a cluster without Services."""
    if not view.services:
        return ServiceTables((), ())
    flows: list[Flow] = [
        *_unhide(view), *_untranslate(view), *_recognise(view), *_known(view), *_hide(view), *_leave(view),
    ]  # fmt: skip
    groups: dict[int, Group] = {}
    for served in view.services:
        for entry in plan_entries(served, view.node, view.model):
            flows.append(_balance(served, entry))
            if entry.choice.verdict is Verdict.BALANCE:
                group = plan_group(served.port, entry.choice)
                groups[group.id] = group
    return ServiceTables(tuple(flows), tuple(groups.values()))


def _unhide(view: NodeView) -> Iterator[Flow]:
    back = (Ct(DISGUISE, table="untranslate", nat=Nat()),)
    answers = match(ipv4_dst=NODE_STAND_IN)
    yield Flow("unhide", 200, answers, back, owner=view.node.owner, note="the node's stack answers")
    for transport in _TRANSPORTS:
        for ports in port_masks(*SERVICE_SOURCE_PORTS):
            what = match_port(transport, "dst", ports, ipv4_dst=view.node.address)
            yield Flow("unhide", 200, what, back, owner=view.node.owner, note="answers to the node's address")
    if view.model is NetworkModel.ENI:
        for pod in view.node.pods:
            past = match({SOURCE: Source.FABRIC}, ipv4_src=view.node.address, ipv4_dst=pod.address)
            note = "from the node to it by the VPC; answers come back on its sub-ENI"
            yield Flow("unhide", 300, past, goto="local", owner=pod.owner, note=note)


def _untranslate(view: NodeView) -> Iterator[Flow]:
    """What comes from a port that some endpoint serves may be an answer; nothing else is tracked on its way back."""
    back = (Ct(SERVICE, table="service", nat=Nat()),)
    served = {(each.port.protocol, endpoint.port) for each in view.services for endpoint in each.port.endpoints}
    for protocol, port in sorted(served):
        what = match_port(protocol, "src", port)
        yield Flow("untranslate", 200, what, back, owner=view.owner, note="may be an endpoint's answer")
    error = match(icmpv4_type=_UNREACHABLE)
    yield Flow("untranslate", 200, error, back, owner=view.owner, note="may be about a Service's packet")


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
            yield _ask(view, what, source, "to the Service range")
    yield _ask(view, match({SOURCE: Source.NODE}, ipv4_dst=NODE_PORT_ADDRESS), Source.NODE, "to its own node port")
    yield from _recognise_node_ports(view)
    yield from _recognise_external(view)


def _ask(view: NodeView, what: Match, source: Source, note: str) -> Flow:
    """Look whether the connection is known. The node's own ones always hide: their answers must come by here."""
    hide: tuple[Action, ...] = (SetField(HIDE, 1),) if source is Source.NODE else ()
    actions = (*hide, Ct(SERVICE, table="balance", nat=Nat()))
    return Flow("service", 200, what, actions, owner=view.owner, note=note)


def _recognise_node_ports(view: NodeView) -> Iterator[Flow]:
    """In ``eni`` pods' packets to a node go through the VPC first, as all of theirs."""
    where: dict[Target, Value] = {SOURCE: Source.FABRIC} if view.model is NetworkModel.ENI else {}
    for served in view.services:
        port = served.port
        if port.node_port is not None:
            what = match_port(port.protocol, "dst", port.node_port, where, ipv4_dst=view.node.address)
            actions = (Ct(SERVICE, table="balance", nat=Nat()),)
            yield Flow("service", 200, what, actions, owner=port.owner, note=f"to node port {port.node_port}")


def _recognise_external(view: NodeView) -> Iterator[Flow]:
    for served in view.services:
        sources = (Source.POD, Source.NODE) if served.port.external_from_pods else (Source.NODE,)
        for address in served.port.external_addresses:
            for source in sources:
                what = match({SOURCE: source}, ipv4_dst=address)
                yield _ask(view, what, source, f"to {address}, served here")


def _known(view: NodeView) -> Iterator[Flow]:
    """Table balance, connections that have an endpoint already, and what no Service has."""
    known = match(ct_state="+trk-rpl+dnat")
    note = "goes where it went"
    yield Flow("balance", 400, known, (SetField(SERVED, 1),), "hide", owner=view.owner, note=note)
    if view.service_cidr is not None:
        nobody = match(ipv4_dst=view.service_cidr)
        yield Flow("balance", 50, nobody, owner=view.owner, note="no Service has this address and port")
    refused = (SetField(REFUSED, 1),)
    own = match(ipv4_dst=NODE_PORT_ADDRESS)
    yield Flow("balance", 50, own, refused, "hide", owner=view.node.owner, note="no Service has this node port")


def _balance(served: Served, entry: Entry) -> Flow:
    actions: tuple[Action, ...] = ()
    goto = None
    if entry.choice.verdict is Verdict.BALANCE:
        hide: tuple[Action, ...] = (SetField(HIDE, 1),) if entry.hide else ()
        actions = (SetField(SERVED, 1), *hide, ToGroup(plan_group(served.port, entry.choice).id))
    elif entry.choice.verdict is Verdict.REFUSE:
        actions, goto = (SetField(REFUSED, 1),), "hide"
    note = f"{served.port.protocol} {served.port.port}: {entry.note}, {entry.choice.verdict}"
    return Flow("balance", entry.priority, entry.what, actions, goto, owner=served.port.owner, note=note)


def _hide(view: NodeView) -> Iterator[Flow]:
    """Nobody can be the peer of itself over a wire: neither the node's stack nor a pod."""
    node = view.node
    stand_in = (Ct(DISGUISE, table="local", commit=True, nat=Snat(NODE_STAND_IN)),)
    refused = match({REFUSED: 1, SOURCE: Source.NODE}, eth_type=IPV4)
    yield Flow("hide", 400, refused, stand_in, owner=node.owner, note="refused to the node itself")
    to_node = match({HIDDEN: 1}, ipv4_dst=node.address)
    yield Flow("hide", 300, to_node, stand_in, owner=node.owner, note="to the node's stack")
    as_node = (Ct(DISGUISE, table="local", commit=True, nat=Snat(node.address, ports=SERVICE_SOURCE_PORTS)),)
    yield Flow(
        "hide", 200, match({HIDDEN: 1}, eth_type=IPV4), as_node, owner=node.owner, note="takes the node's address"
    )
    for pod in node.pods:
        if not pod.exclusive:
            itself = match({SERVED: 1}, ipv4_src=pod.address, ipv4_dst=pod.address)
            yield Flow("hide", 100, itself, as_node, owner=pod.owner, note="is its own endpoint")


def _leave(view: NodeView) -> Iterator[Flow]:
    """Tables local and remote: what is refused, and what leaves with the node's address, past the node's stack."""
    node = view.node
    refuse = (SetField(ETH_SRC, REFUSE_MAC), SetField(ETH_DST, node.int_mac), SetField(OUT_PORT, LOCAL_16))
    note = "the node's kernel refuses"
    yield Flow("local", 400, match({REFUSED: 1}), refuse, "deliver", owner=node.owner, note=note)
    served = match({SERVED: 1}, ipv4_src=node.address)
    yield to_vpc(view, 150, served, "a Service's, with the node's address")
    plain = match({SOURCE: Source.FABRIC}, ipv4_src=node.address)
    yield to_vpc(view, 140, plain, "the node's own, not a Service's after all")
