"""Guides as data: complete, and their commands such as a learner may type. No lab."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from testbed.cli import main
from testbed.emulation.rundir import RunDir
from testbed.guide import Command, Guide
from testbed.guide.registry import ROOT, UnknownGuideError, find_guides, load_guide
from testbed.guide.running import Ran, arguments_of, typed
from testbed.report.guides import render_ran

NAMES = find_guides()


def commands(guide: Guide) -> Iterator[Command]:
    for step in guide.steps:
        yield from step.commands
    yield from guide.solution


def test_there_are_ten_at_least() -> None:
    assert len(NAMES) >= 10


@pytest.mark.parametrize("name", NAMES)
def test_a_guide_has_all_its_parts(name: str) -> None:
    guide = load_guide(name)
    assert (ROOT / guide.topology).is_file()
    assert guide.model in ("tunnel", "vpc", "eni")
    assert all([guide.title, guide.goal, guide.picture, guide.task, guide.hint, guide.solution])
    assert len(guide.steps) >= 3
    assert len(guide.questions) >= 2
    assert all(question.strip().endswith(("?", ".")) and answer for question, answer in guide.questions)
    assert all(step.notice for step in guide.steps), "each step says what to see"
    assert max(map(len, guide.picture.splitlines())) <= 76, "it is indented by two, and a terminal has 80 columns"


@pytest.mark.parametrize("name", NAMES)
def test_commands_are_verbs_of_the_lab(name: str, tmp_path: Path) -> None:
    rundir = RunDir("x", tmp_path)
    with click.Context(main) as context:
        for command in commands(load_guide(name)):
            first, *_ = arguments_of(rundir, command.line)
            verb = first[first.index("--lab") + 2]
            assert main.get_command(context, verb) is not None, command.line


def test_only_the_lab_and_filters_are_run(tmp_path: Path) -> None:
    for line in ("rm -rf /", "lab get pods | sh"):
        with pytest.raises(ValueError, match="a guide runs lab"):
            arguments_of(RunDir("x", tmp_path), line)


def test_a_command_is_shown_as_it_is_typed() -> None:
    assert typed(Command("lab exec n1 -- tcpdump", background=True)) == "lab exec n1 -- tcpdump &"
    assert typed(Command("lab get pods"), "two") == "lab --lab two get pods"
    assert typed(Command("lab apply -f -", "\nkind: Pod\n")) == "lab apply -f - <<'EOF'\nkind: Pod\nEOF"


def test_an_unknown_name_is_told_what_is_near() -> None:
    with pytest.raises(UnknownGuideError, match="did you mean vxlan"):
        load_guide("vxlam")


def test_what_a_command_came_to_is_told_with_what_its_output_does_not_say() -> None:
    """``curl -s`` says nothing when nobody answers; what is begun first in the background is shown last."""
    silent = Ran(Command("lab exec web-0 -- curl -s -m 1 10.0.0.1", status=28), "", 28)
    assert [str(line) for line in render_ran(silent)][-1] == "    (exit status 28)"
    watching = Ran(
        Command("lab exec n1 -- tcpdump", background=True, lines=1), "one\ntwo\n", 0, "no 'x' in what it shows"
    )
    assert [str(line).strip() for line in render_ran(watching)] == [
        "$ lab exec n1 -- tcpdump &",
        "(begun before the others of this step, and ended after them)",
        "one",
        "... and 1 more",
        "this is not what the guide says: no 'x' in what it shows",
    ]
