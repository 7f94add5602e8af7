"""Who may connect, what the generation of all is, and what is written about it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from controllers.openflow import build_program, cookie_of
from controllers.runtime.documents import Watch, applied_document, names_document, write_document
from controllers.runtime.fleet import GRACE_SECONDS, Desired, Fleet
from tests.unit.openflow.pipelines import WIDE
from tests.unit.runtime.model_switch import ModelSwitch
from tests.unit.runtime.test_session import FIRST, Clock, program_of


def connect(fleet: Fleet, datapath_id: int) -> ModelSwitch:
    switch = ModelSwitch()
    fleet.connected(datapath_id, switch)
    settle(fleet, datapath_id, switch)
    return switch


def settle(fleet: Fleet, datapath_id: int, switch: ModelSwitch) -> None:
    if session := fleet.session_of(datapath_id, switch):
        switch.deliver(session)


def later(fleet: Fleet, clock: Clock, seconds: float) -> None:
    clock.now += seconds
    fleet.tick()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fleet(clock: Clock) -> Fleet:
    fleet = Fleet(clock)
    fleet.want(Desired(3, {1: FIRST, 2: program_of({1: 5})}))
    return fleet


def test_the_generation_is_what_every_connected_switch_has(fleet: Fleet) -> None:
    assert fleet.generation == 0
    first = connect(fleet, 1)
    assert fleet.generation == 3
    second = ModelSwitch()
    fleet.connected(2, second)
    assert fleet.generation == 0
    settle(fleet, 2, second)
    assert fleet.generation == 3
    fleet.want(Desired(4, {1: FIRST, 2: program_of({1: 6})}))
    assert fleet.generation == 3
    settle(fleet, 2, second)
    assert fleet.generation == 4
    assert first.mods == len(FIRST.flows) + 1


def test_an_empty_desired_state_is_in_force_at_once(fleet: Fleet) -> None:
    fleet.want(Desired(9, {}))
    assert fleet.generation == 9


def test_an_unknown_switch_is_refused_and_others_are_fine(fleet: Fleet, clock: Clock) -> None:
    known, stranger = connect(fleet, 1), connect(fleet, 66)
    later(fleet, clock, GRACE_SECONDS)
    assert (stranger.closed, stranger.mods, known.closed, fleet.refused) == (True, 0, False, 1)
    assert fleet.generation == 3


def test_a_second_switch_of_the_same_number_is_refused(fleet: Fleet, clock: Clock) -> None:
    real, fake = connect(fleet, 1), connect(fleet, 1)
    later(fleet, clock, GRACE_SECONDS)
    assert (fake.closed, fake.mods, real.closed) == (True, 0, False)


def test_a_switch_that_comes_back_before_its_end_was_seen_is_admitted(fleet: Fleet, clock: Clock) -> None:
    old, new = connect(fleet, 1), connect(fleet, 1)
    fleet.disconnected(1, old)
    settle(fleet, 1, new)
    later(fleet, clock, GRACE_SECONDS)
    assert not new.closed
    assert new.mods == len(FIRST.flows) + 1


def test_a_switch_that_is_early_waits_for_its_program(clock: Clock) -> None:
    fleet = Fleet(clock)
    early = connect(fleet, 5)
    later(fleet, clock, 3600)
    assert not early.closed
    fleet.want(Desired(1, {5: FIRST}))
    settle(fleet, 5, early)
    assert early.mods == len(FIRST.flows) + 1


def test_a_switch_that_is_wanted_no_more_is_let_go(fleet: Fleet) -> None:
    one, two = connect(fleet, 1), connect(fleet, 2)
    sent = fleet.sent
    fleet.want(Desired(4, {1: FIRST}))
    assert (two.closed, one.closed, fleet.sent) == (True, False, sent)


def test_the_applied_document(fleet: Fleet) -> None:
    connect(fleet, 1)
    document = applied_document(fleet, "")
    assert document["generation"] == 3
    assert document["switches"]["0000000000000001"] == {
        "bridge": "wide",
        "connected": True,
        "generation": 3,
        "flows": len(FIRST.flows),
        "groups": 1,
        "state": "idle",
        "errors": [],
    }
    assert document["switches"]["0000000000000002"]["connected"] is False


def test_the_names_document_decodes_cookies() -> None:
    names = names_document(Desired(3, {1: build_program(WIDE, FIRST.flows.values(), FIRST.groups.values())}))
    assert names["cookies"][f"{cookie_of('Pod/p1', 'x'):#x}"] == ("Pod/p1", "x")
    assert names["tables"]["0000000000000001"] == ("one", "two", "three")


def compile_number(path: Path) -> Desired:
    return Desired(json.loads(path.read_text())["generation"], {})


def test_the_watch_sees_each_document_once_and_survives_a_bad_one(tmp_path: Path) -> None:
    watch = Watch(tmp_path / "x.json", compile_number)
    assert watch.poll() is None
    write_document(watch.path, {"generation": 1})
    assert watch.poll() == Desired(1, {})
    assert watch.poll() is None
    write_document(watch.path, {"nothing": 1})
    assert watch.poll() is None
    assert watch.problem == "KeyError: 'generation'"
    watch.path.write_text('{"generation": ')
    assert watch.poll() is None
    assert watch.problem.startswith("JSONDecodeError")
    write_document(watch.path, {"generation": 2})
    assert watch.poll() == Desired(2, {})
    assert watch.problem == ""


def test_documents_are_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_document(path, {"a": 1})
    before = path.stat().st_ino
    write_document(path, {"a": 2})
    assert path.stat().st_ino != before
    assert [each.name for each in tmp_path.iterdir()] == ["x.json"]
