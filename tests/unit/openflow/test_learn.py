"""Flows that a switch makes itself: client affinity of a Service, as an example."""

from __future__ import annotations

import eventlet.wsgi

if not hasattr(eventlet.wsgi, "ALREADY_HANDLED"):
    eventlet.wsgi.ALREADY_HANDLED = None

from dataclasses import replace

import pytest
from ryu.ofproto import ofproto_v1_4_parser as parser

from controllers.openflow import (
    Bucket,
    ContractError,
    FieldError,
    Flow,
    Group,
    GroupKind,
    Learn,
    OutputFrom,
    Pipeline,
    Program,
    Resubmit,
    SetField,
    Table,
    ToGroup,
    build_program,
    cookie_of,
    fields,
    match,
    register,
)
from controllers.openflow.decode import Found
from controllers.openflow.diff import plan_changes, plan_repair
from controllers.openflow.encode import WireFlow, encode_put, wire_flow, wire_key
from controllers.openflow.packets import tcp
from controllers.openflow.render import render_action
from controllers.openflow.simulate import FakeSwitch

CHOSEN = register("chosen", 0, width=16)
PIPELINE = Pipeline(
    "affinity",
    (
        Table("start", "Known client?", (), (CHOSEN,), ("known", "choose")),
        Table("known", "Clients.", (fields.ETH_TYPE, fields.IPV4_SRC), (CHOSEN,), learned=True),
        Table("choose", "An endpoint.", (CHOSEN, fields.IPV4_DST), (), ("remember",), miss="send"),
        Table("remember", "The choice.", (fields.IPV4_DST,), (), ("send",)),
        Table("send", "There.", (CHOSEN,)),
    ),
    (CHOSEN,),
)
LEARN = Learn(
    "known",
    100,
    10800,
    ((fields.ETH_TYPE, fields.IPV4), (fields.IPV4_SRC, fields.IPV4_SRC)),
    ((CHOSEN, CHOSEN),),
    owner="Service/default/web",
    note="client stays",
)
VIP = match({CHOSEN: 0}, ipv4_dst="10.96.0.1")


def program_of(learn: Learn = LEARN) -> Program:
    endpoints = tuple(Bucket((SetField(CHOSEN, port), Resubmit("remember"))) for port in (7, 8))
    flows = [
        Flow("start", 10, match(), (Resubmit("known"),), "choose", "Service/default/web"),
        Flow("choose", 10, VIP, (ToGroup(1),), owner="Service/default/web"),
        Flow("send", 10, match(), (OutputFrom(CHOSEN),), owner="Service/default/web"),
        Flow("remember", 10, match(ipv4_dst="10.96.0.1"), (learn,), "send", "Service/default/web"),
    ]
    return build_program(PIPELINE, flows, [Group(1, GroupKind.SELECT, endpoints, "Service/default/web")])


def test_a_client_stays_with_its_endpoint() -> None:
    choices = iter((1, 0))
    switch = FakeSwitch(program_of(), select=lambda group, packet: next(choices))
    assert switch.send(tcp("10.0.0.1", "10.96.0.1", 80, 1000), 1).ports == [8]
    assert switch.send(tcp("10.0.0.1", "10.96.0.1", 80, 2000), 1).ports == [8]
    assert switch.send(tcp("10.0.0.2", "10.96.0.1", 80, 1000), 1).ports == [7]
    with pytest.raises(StopIteration):
        switch.send(tcp("10.0.0.3", "10.96.0.1", 80), 1)


def test_it_is_as_ryu_writes_it() -> None:
    specs = [
        parser.NXFlowSpecMatch(0x0800, ("eth_type_nxm", 0), 16),
        parser.NXFlowSpecMatch(("ipv4_src_nxm", 0), ("ipv4_src_nxm", 0), 32),
        parser.NXFlowSpecLoad(("reg0", 0), ("reg0", 0), 16),
    ]
    learn = parser.NXActionLearn(
        table_id=1, specs=specs, idle_timeout=10800, priority=100, cookie=cookie_of(LEARN.owner, LEARN.note)
    )
    buffer = bytearray()
    learn.serialize(buffer, 0)
    theirs = bytes(buffer) + bytes(-len(buffer) % 8)  # Ryu counts the padding and leaves it to the next action
    assert encode_put(PIPELINE, Flow("choose", 5, VIP, (LEARN,)), 1).endswith(theirs)


def test_it_reads_well() -> None:
    assert render_action(PIPELINE, LEARN) == (
        "learn(known 100,idle_timeout=10800,eth_type=0x800,ipv4_src=ipv4_src,actions=chosen:=chosen)"
    )


def test_what_is_learned_keeps_the_contract_of_its_table() -> None:
    for learn, text in (
        (replace(LEARN, table="send"), "learns into 'send', which isn't declared as a learned table"),
        (replace(LEARN, matches=((fields.TCP_DST, 80),)), "learns a match on tcp_dst"),
        (replace(LEARN, sets=((fields.ETH_DST, fields.ETH_SRC),)), "sets eth_dst"),
    ):
        with pytest.raises(ContractError, match=text):
            program_of(learn)
    with pytest.raises(ContractError, match="copies ipv4_src, which needs a match on eth_type=0x800"):
        build_program(PIPELINE, [Flow("choose", 5, match({CHOSEN: 0}), (LEARN,))])
    with pytest.raises(ContractError, match="learns in a bucket"):
        build_program(PIPELINE, [], [Group(1, GroupKind.ALL, (Bucket((LEARN,)),))])
    with pytest.raises(FieldError, match="the widths differ"):
        replace(LEARN, sets=((CHOSEN, fields.ETH_SRC),))


def found_of(program: Program) -> Found:
    flows = {wire_key(PIPELINE, flow): wire_flow(PIPELINE, flow) for flow in program.flows.values()}
    return Found(flows)


def test_audits_leave_learned_flows_alone_and_nothing_else() -> None:
    program = program_of()
    found = found_of(program)
    learned, stray = (1, 100, b"learned"), (1, 100, b"stray")
    found.flows[learned] = WireFlow(cookie_of(LEARN.owner, LEARN.note), 10800, b"")
    found.flows[stray] = WireFlow(0, 0, b"")
    assert plan_repair(found, program).delete_flows == (stray,)


def test_what_nothing_learns_any_more_is_forgotten() -> None:
    before, wanted = program_of(), program_of(replace(LEARN, note="another client"))
    assert plan_changes(before, wanted).forget == ((1, cookie_of(LEARN.owner, LEARN.note)),)
    assert plan_changes(before, before).forget == ()
    assert wanted.cookies[cookie_of(LEARN.owner, "another client")] == (LEARN.owner, "another client")
