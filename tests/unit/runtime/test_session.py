"""A session brings its switch to the program, whatever the switch had, lost or refuses."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.openflow import (
    Answers,
    Bucket,
    Flow,
    Group,
    GroupKind,
    Output,
    Program,
    ToGroup,
    Zone,
    build_program,
    match,
)
from controllers.openflow.encode import encode_group_body, wire_flow, wire_key
from controllers.openflow.fields import UDP
from controllers.runtime.session import AUDIT_SECONDS, COUNT_SECONDS, FORGET_AGAIN, Phase, Session
from tests.unit.openflow.pipelines import WIDE
from tests.unit.runtime.model_switch import ModelSwitch


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Recorder:
    """A connection that nobody answers."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def send(self, data: bytes) -> None:
        self.written.append(data)

    def close(self) -> None:
        pass


def program_of(ports: dict[int, int], groups: dict[int, int] | None = None) -> Program:
    """A flow per port to another port; a group per number to a port, with a flow to it."""
    groups = groups or {}
    flows = [
        Flow("one", 10, match(in_port=port), (Output(out),), owner=f"Pod/p{port}", note="x")
        for port, out in ports.items()
    ]
    flows += [
        Flow("two", 10, match(in_port=number), (ToGroup(number),), owner=f"Service/{number}") for number in groups
    ]
    made = (Group(number, GroupKind.SELECT, (Bucket((Output(out),)),), "Service") for number, out in groups.items())
    return build_program(WIDE, flows, made)


def start(switch: ModelSwitch | None = None) -> tuple[ModelSwitch, Session, Clock]:
    switch, clock = switch or ModelSwitch(), Clock()
    return switch, Session(1, switch, clock), clock


def assert_carries(switch: ModelSwitch, program: Program) -> None:
    wanted = {wire_key(WIDE, flow): wire_flow(WIDE, flow) for flow in program.flows.values()}
    assert switch.flows == {key: dataclasses.astuple(flow) for key, flow in wanted.items()}
    assert switch.groups == {number: encode_group_body(WIDE, group) for number, group in program.groups.items()}


FIRST = program_of({1: 2, 2: 1}, {7: 3})


def test_a_new_switch_gets_everything() -> None:
    switch, session, _ = start()
    session.want(FIRST, 5)
    switch.deliver(session)
    assert_carries(switch, FIRST)
    assert (session.generation, session.phase, session.errors) == (5, Phase.IDLE, ())
    assert session.sent == switch.mods == len(FIRST.flows) + 1


def test_a_second_connection_finds_nothing_to_do() -> None:
    switch, session, _ = start()
    session.want(FIRST, 5)
    switch.deliver(session)
    _, second, _ = start(switch)
    second.want(program_of({1: 2, 2: 1}, {7: 3}), 5)
    switch.deliver(second)
    assert (second.sent, second.generation) == (0, 5)


def test_only_the_difference_is_sent() -> None:
    switch, session, _ = start()
    session.want(FIRST, 5)
    switch.deliver(session)
    before = session.sent
    wanted = program_of({1: 2, 2: 9, 3: 1}, {7: 3})
    session.want(wanted, 6)
    switch.deliver(session)
    assert_carries(switch, wanted)
    assert (session.sent - before, session.generation) == (2, 6)


def test_the_same_program_under_a_new_generation_sends_nothing() -> None:
    switch, session, _ = start()
    session.want(FIRST, 5)
    switch.deliver(session)
    before = session.sent
    session.want(FIRST, 6)
    assert (session.sent, session.generation) == (before, 6)


def test_strays_are_removed_and_losses_restored_at_connect() -> None:
    switch, session, _ = start()
    session.want(program_of({8: 9}, {4: 4}), 1)
    switch.deliver(session)
    _, second, _ = start(switch)
    second.want(FIRST, 2)
    switch.deliver(second)
    assert_carries(switch, FIRST)


def test_what_changes_while_a_bundle_is_under_way_follows() -> None:
    switch, session, _ = start()
    session.want(FIRST, 1)
    session.want(program_of({1: 1}), 2)
    last = program_of({5: 6})
    session.want(last, 3)
    switch.deliver(session)
    assert_carries(switch, last)
    assert session.generation == 3


def refusing(owner_port: int) -> Callable[[bytes], str | None]:
    """A switch that refuses flows to one port."""
    action = owner_port.to_bytes(4, "big") + b"\xff\xe5"
    return lambda message: "OFPET_BAD_ACTION/OFPBAC_BAD_OUT_PORT" if action in message else None


def test_an_error_names_the_owner_and_is_not_called_applied() -> None:
    switch, session, _ = start()
    switch.refuse = refusing(99)
    session.want(program_of({1: 2, 3: 99}), 4)
    switch.deliver(session)
    assert session.errors == ("flow of Pod/p3 in one (x): OFPET_BAD_ACTION/OFPBAC_BAD_OUT_PORT",)
    assert (session.generation, session.phase) == (0, Phase.REFUSED)


def test_it_tries_again_with_growing_pauses_until_the_switch_takes_it() -> None:
    switch, session, clock = start()
    switch.refuse = refusing(99)
    wanted = program_of({1: 2, 3: 99})
    session.want(wanted, 4)
    switch.deliver(session)
    tries = []
    for _ in range(400):
        clock.now += 0.25
        before = session.sent
        session.tick()
        switch.deliver(session)
        if session.sent != before:
            tries.append(clock.now - 1000)
    assert tries == [1.0, 3.0, 7.0, 15.0, 31.0, 61.0, 91.0]
    switch.refuse = lambda message: None
    clock.now += 30
    session.tick()
    switch.deliver(session)
    assert_carries(switch, wanted)
    assert (session.generation, session.errors) == (4, ())


def test_another_program_is_tried_at_once() -> None:
    switch, session, _ = start()
    switch.refuse = refusing(99)
    session.want(program_of({3: 99}), 4)
    switch.deliver(session)
    session.want(FIRST, 5)
    switch.deliver(session)
    assert_carries(switch, FIRST)
    assert (session.generation, session.errors) == (5, ())


def test_many_errors_are_counted_not_listed() -> None:
    switch, session, _ = start()
    switch.refuse = lambda message: "OFPET_FLOW_MOD_FAILED/OFPFMFC_TABLE_FULL"
    session.want(program_of(dict.fromkeys(range(2, 60), 1)), 1)
    switch.deliver(session)
    assert len(session.errors) == 21
    assert session.errors[-1] == "and 41 more"


def later(switch: ModelSwitch, session: Session, clock: Clock, seconds: float) -> None:
    clock.now += seconds
    session.tick()
    switch.deliver(session)


def test_deleted_flows_are_noticed_by_their_number() -> None:
    switch, session, clock = start()
    session.want(FIRST, 1)
    switch.deliver(session)
    later(switch, session, clock, COUNT_SECONDS)
    switch.flows.clear()
    switch.groups.clear()
    later(switch, session, clock, COUNT_SECONDS)
    assert_carries(switch, FIRST)


def test_an_exchanged_flow_is_noticed_by_the_audit() -> None:
    switch, session, clock = start()
    session.want(FIRST, 1)
    switch.deliver(session)
    key, (cookie, idle, _) = next(iter(switch.flows.items()))
    switch.flows[key] = (cookie, idle, b"")
    later(switch, session, clock, COUNT_SECONDS)
    later(switch, session, clock, AUDIT_SECONDS)
    assert_carries(switch, FIRST)


def test_garbage_from_a_switch_is_an_error_of_that_switch() -> None:
    switch, session, _ = start()
    session.want(FIRST, 1)
    session.flows_arrived(b"\x00\x09garbage")
    session.groups_arrived(b"\x00")
    switch.deliver(session)
    assert session.phase is Phase.REFUSED
    assert "flow statistics end in the middle" in session.errors[0]
    assert "group descriptions end in the middle" in session.errors[1]


def test_answers_that_nobody_asked_for_are_ignored() -> None:
    switch, session, _ = start()
    session.want(FIRST, 1)
    switch.deliver(session)
    session.barrier_arrived(123456)
    session.flows_arrived(b"nonsense")
    session.counts_arrived(b"nonsense")
    assert (session.phase, session.generation) == (Phase.IDLE, 1)


PORTS = st.dictionaries(st.integers(1, 6), st.integers(1, 6), max_size=6)
VANDALISM = st.sampled_from(["nothing", "delete", "exchange", "reconnect"])


@given(st.lists(st.tuples(PORTS, PORTS, VANDALISM), min_size=1, max_size=6))
def test_any_history_ends_at_the_last_program(history: list[tuple[dict[int, int], dict[int, int], str]]) -> None:
    switch, session, clock = start()
    program: Any = None
    for generation, (ports, groups, vandalism) in enumerate(history, 1):
        program = program_of(ports, groups)
        session.want(program, generation)
        switch.deliver(session)
        if vandalism == "delete":
            switch.flows.popitem()
        elif vandalism == "exchange":
            key, (cookie, idle, _) = switch.flows.popitem()
            switch.flows[key] = (cookie + 1, idle, b"")
        elif vandalism == "reconnect":
            session = Session(1, switch, clock)
            session.want(program, generation)
    later(switch, session, clock, AUDIT_SECONDS)
    assert_carries(switch, program)
    assert session.generation == len(history)
    before = session.sent
    later(switch, session, clock, AUDIT_SECONDS)
    assert session.sent == before


@pytest.mark.parametrize("cut", range(1, 56, 5))
def test_a_reply_that_is_cut_short_never_passes(cut: int) -> None:
    switch, session, _ = start()
    session.want(FIRST, 1)
    switch.deliver(session)
    body = ModelSwitch._flow_entry(*next(iter(switch.flows.items())))
    _, second, _ = start(switch)
    second.want(FIRST, 1)
    second.flows_arrived(body[:cut])
    switch.deliver(second)
    assert second.phase is Phase.REFUSED


def test_rules_that_a_switch_keeps_for_itself_are_read_once_and_then_known() -> None:
    switch, session, clock = start()
    session.want(FIRST, 1)
    switch.deliver(session)
    switch.hidden = 3
    reads = []
    for _ in range(5):
        before = switch.reads
        later(switch, session, clock, COUNT_SECONDS)
        reads.append(switch.reads - before)
    assert reads == [1, 0, 0, 0, 0]
    switch.flows.popitem()
    later(switch, session, clock, COUNT_SECONDS)
    assert_carries(switch, FIRST)


def test_connections_that_ended_are_forgotten_again_unless_they_are_back() -> None:
    """A packet that meets a cached choice starts one anew: with 10.0.0.7, but not with 10.0.0.8, which is back."""
    gone, back = (Answers(Zone("service", 1), UDP, IPv4Address(f"10.0.0.{last}"), 53) for last in (7, 8))
    one = program_of({1: 2}, {7: 3})

    def listing(*ends: Answers) -> Program:
        group = dataclasses.replace(one.groups[7], ends=ends)
        return build_program(WIDE, one.flows.values(), (group,))

    switch, session, clock = start()
    for generation, program in enumerate((listing(gone, back), listing(), listing(back)), 1):
        session.want(program, generation)
        switch.deliver(session)
    session.connection = recorder = Recorder()
    for _ in range(3):
        clock.now += max(FORGET_AGAIN)
        session.tick()
    forgotten = [data for data in recorder.written if gone.address.packed in data or back.address.packed in data]
    assert len(forgotten) == 1
    assert forgotten[0].count(gone.address.packed) == len(FORGET_AGAIN)
    assert back.address.packed not in forgotten[0]
