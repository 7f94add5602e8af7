"""Parts put together step by step come to the same as put together at once, and only differences are compared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.openflow import (
    NOTHING,
    Bucket,
    Flow,
    Group,
    GroupKind,
    Output,
    Part,
    ProgramError,
    Shared,
    ToGroup,
    build_part,
    build_program,
    match,
    share,
)
from controllers.openflow.diff import plan_changes
from tests.unit.openflow.pipelines import WIDE


def part(number: int) -> Part:
    """A group, a flow to it, and one that several parts want: every third the same."""
    own = Flow("two", 10, match(in_port=100 + number), (ToGroup(number + 1),), owner=f"Service/s{number}", note="own")
    common = Flow("one", 10, match(in_port=number % 3), (Output(9),), owner=f"Service/s{number}", note="common")
    group = Group(number + 1, GroupKind.SELECT, (Bucket((Output(number),)),), f"Service/s{number}")
    return build_part(WIDE, (own, common), (group,))


PARTS = [part(number) for number in range(9)]


def whole(numbers: set[int]) -> Shared:
    return share([PARTS[number] for number in sorted(numbers)])


@given(st.lists(st.sets(st.integers(0, len(PARTS) - 1)), max_size=6))
def test_step_by_step_is_as_at_once(steps: list[set[int]]) -> None:
    shared = NOTHING
    for numbers in steps:
        shared = share([PARTS[number] for number in numbers], shared)
        fresh = whole(numbers)
        assert (shared.flows, shared.groups, shared.parts) == (fresh.flows, fresh.groups, fresh.parts)
        assert {key: set(flows) for key, flows in shared.repeated.items()} == {
            key: set(flows) for key, flows in fresh.repeated.items()
        }
        assert fresh.cookies.items() <= shared.cookies.items()


@given(st.sets(st.integers(0, len(PARTS) - 1)), st.sets(st.integers(0, len(PARTS) - 1)))
def test_changes_of_shared_parts_are_those_of_the_programs(one: set[int], other: set[int]) -> None:
    before, wanted = (build_program(WIDE, (), shared=whole(numbers)) for numbers in (one, other))
    plain = [build_program(WIDE, program.flows.values(), program.groups.values()) for program in (before, wanted)]
    found, expected = plan_changes(before, wanted), plan_changes(*plain)
    assert set(found.put_flows) == set(expected.put_flows)
    assert set(found.delete_flows) == set(expected.delete_flows)
    assert set(found.add_groups) == set(expected.add_groups)
    assert set(found.delete_groups) == set(expected.delete_groups)


def test_what_is_the_same_is_the_same_object() -> None:
    shared = whole({1, 2})
    assert share([PARTS[2], PARTS[1]], shared) is shared


def test_parts_that_contradict_each_other_are_refused() -> None:
    other = build_part(WIDE, [Flow("one", 10, match(in_port=1), (Output(8),), owner="Service/other")])
    with pytest.raises(ProgramError, match=r"Service/s1.*Service/other"):
        share([PARTS[1], other])
