from __future__ import annotations

import json
from pathlib import Path

import pytest

from testbed.emulation import fragments
from testbed.emulation.errors import EmulationError
from testbed.emulation.journal import Journal, read_steps, replay
from testbed.emulation.rundir import RunDir
from testbed.emulation.state import Datapath, State, read_state, write_state
from testbed.model.wiring import Wiring
from tests.unit.emulation.wirings import node_with_pods

POD = node_with_pods("a")
NAMES = Wiring(namespaces=POD.namespaces)
LINKS = Wiring(veths=POD.veths)


@pytest.fixture
def rundir(tmp_path: Path) -> RunDir:
    rundir = RunDir.of("journal-test", tmp_path)
    rundir.make()
    return rundir


def test_steps_that_ended_exist(rundir: RunDir) -> None:
    journal = Journal(rundir)
    with journal.step("namespaces", add=NAMES):
        pass
    with journal.step("veths", add=LINKS):
        pass
    found, doubtful = replay(Wiring(), read_steps(rundir))
    assert found == fragments.union(NAMES, LINKS)
    assert fragments.is_empty(doubtful)


def test_a_step_that_failed_leaves_its_objects_doubtful(rundir: RunDir) -> None:
    journal = Journal(rundir)
    with journal.step("namespaces", add=NAMES):
        pass
    with pytest.raises(RuntimeError), journal.step("veths", add=LINKS):
        raise RuntimeError("killed")
    found, doubtful = replay(Wiring(), read_steps(rundir))
    assert found == NAMES
    assert doubtful == LINKS


def test_a_removal_that_did_not_end_is_doubtful_too(rundir: RunDir) -> None:
    with pytest.raises(RuntimeError), Journal(rundir).step("remove", remove=LINKS):
        raise RuntimeError("killed")
    found, doubtful = replay(POD, read_steps(rundir))
    assert doubtful == LINKS
    assert found.veths == ()
    assert found.addresses == POD.addresses


def test_the_intent_is_on_disk_before_the_step(rundir: RunDir) -> None:
    with Journal(rundir).step("veths", add=LINKS):
        (step,) = read_steps(rundir)
    assert step.name == "veths"
    assert not step.done


def test_a_torn_last_line_was_not_acted_upon(rundir: RunDir) -> None:
    with Journal(rundir).step("namespaces", add=NAMES):
        pass
    with rundir.journal.open("a") as file:
        file.write('{"intent":1,"step":"veths","add":{"ve')
    assert len(read_steps(rundir)) == 1


def test_numbers_go_on_after_a_crash(rundir: RunDir) -> None:
    Journal(rundir).begin("first", add=NAMES)
    with Journal(rundir).step("second", add=LINKS):
        pass
    assert [step.done for step in read_steps(rundir)] == [False, True]


def test_clear_forgets(rundir: RunDir) -> None:
    journal = Journal(rundir)
    journal.begin("first", add=NAMES)
    journal.clear()
    assert read_steps(rundir) == ()


def test_state_survives(rundir: RunDir) -> None:
    state = State("journal-test", Datapath.USERSPACE, 7, ("a.yaml",), settled=True, wiring=POD)
    write_state(rundir, state)
    assert read_state(rundir) == state


def test_no_state_is_none(rundir: RunDir) -> None:
    assert read_state(rundir) is None


@pytest.mark.parametrize("text", ["", "{", "[]", json.dumps({"lab": "x"}), '"text"'])
def test_a_spoilt_state_says_how_to_go_on(rundir: RunDir, text: str) -> None:
    rundir.state.write_text(text)
    with pytest.raises(EmulationError, match="lab down journal-test"):
        read_state(rundir)
