"""Editing the texts of a lab: what is asked changes, and nothing else, not even a line number."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from testbed.operations.sources import (
    NotInSourcesError,
    Ref,
    SourceText,
    merge,
    read_refs,
    read_segments,
    with_replicas,
    without,
)

TWO = """# about this file
apiVersion: v1
kind: Pod
metadata: {name: a}
spec: {containers: []}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
spec:
  # how many
  replicas: 4   # at first
  template: {}
---
apiVersion: cnlab.dev/v1
kind: Server
metadata: {name: vm-1}
spec: {subnet: s}
"""

POD = Ref("", "Pod", "default", "a")
WEB = Ref("apps", "Deployment", "shop", "web")
SERVER = Ref("cnlab.dev", "Server", "", "vm-1")


def test_every_document_is_known_by_group_kind_namespace_and_name() -> None:
    assert read_refs([SourceText("f", TWO)]) == (POD, WEB, SERVER)


def test_a_removed_document_leaves_its_lines_so_that_the_others_keep_their_numbers() -> None:
    (kept,) = without([SourceText("f", TWO)], [WEB])
    assert read_refs([kept]) == (POD, SERVER)
    assert kept.text.count("\n") == TWO.count("\n")
    assert kept.text.splitlines()[18] == TWO.splitlines()[18] == "metadata: {name: vm-1}"


def test_a_file_without_any_document_left_is_gone() -> None:
    assert without([SourceText("f", TWO)], [POD, WEB, SERVER]) == ()


def test_apply_replaces_what_is_there_and_adds_what_is_not() -> None:
    new = SourceText("g", "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {x: 1}\n")
    merged = merge([SourceText("f", TWO)], [new])
    assert [source.name for source in merged] == ["f", "g"]
    assert sorted(read_refs(merged)) == sorted([POD, WEB, SERVER])
    assert merge(merged, [new]) == merged


def test_scaling_changes_the_number_and_nothing_else() -> None:
    (scaled,) = with_replicas([SourceText("f", TWO)], WEB, 11)
    assert scaled.text == TWO.replace("replicas: 4   # at first", "replicas: 11   # at first")


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("spec:\n  template: {}\n", {"replicas": 3, "template": {}}),
        ("spec: {template: {}}\n", {"replicas": 3, "template": {}}),
        ("spec: {replicas: 1, template: {}}\n", {"replicas": 3, "template": {}}),
        ('spec: {"replicas": 1}\n', {"replicas": 3}),
    ],
)
def test_scaling_in_every_style_of_yaml(spec: str, expected: dict[str, object]) -> None:
    text = f"kind: Deployment\napiVersion: apps/v1\nmetadata: {{name: web, namespace: shop}}\n{spec}"
    (scaled,) = with_replicas([SourceText("f", text)], WEB, 3)
    assert yaml.safe_load(scaled.text)["spec"] == expected


def test_scaling_what_is_not_there_is_an_error() -> None:
    with pytest.raises(NotInSourcesError):
        with_replicas([SourceText("f", TWO)], Ref("apps", "Deployment", "default", "web"), 3)


def test_three_dashes_inside_a_text_do_not_end_a_document() -> None:
    text = (
        "kind: Pod\nmetadata:\n  name: a\n  annotations:\n    script: |\n      ---\n      x\n"
        "---\nkind: Pod\nmetadata: {name: b}\n"
    )
    refs = read_refs([SourceText("f", text)])
    assert [ref.name for ref in refs] == ["a", "b"]


def test_the_annotation_for_a_cluster_tells_objects_apart() -> None:
    text = "kind: Pod\nmetadata: {name: a, annotations: {cnlab.dev/cluster: blue}}\n"
    assert read_refs([SourceText("f", text)]) == (Ref("", "Pod", "default", "a", "blue"),)


def test_names_are_texts_whatever_yaml_makes_of_them() -> None:
    text = "kind: Pod\nmetadata: {name: 2024-01-01}\n---\nkind: Pod\nmetadata: {name: '007'}\n"
    assert [ref.name for ref in read_refs([SourceText("f", text)])] == ["2024-01-01", "007"]


names = st.lists(st.from_regex(r"[a-z]{1,6}", fullmatch=True), min_size=1, max_size=8, unique=True)


@given(names, st.data())
def test_removing_some_leaves_exactly_the_others(all_names: list[str], data: st.DataObject) -> None:
    text = "".join(f"---\nkind: Pod\nmetadata: {{name: {name}}}\n" for name in all_names)
    removed = data.draw(st.lists(st.sampled_from(all_names), unique=True))
    remaining = without([SourceText("f", text)], [Ref("", "Pod", "default", name) for name in removed])
    assert [ref.name for ref in read_refs(remaining)] == [name for name in all_names if name not in removed]


@given(st.text(alphabet="-abk: \n{}[]#'\"|", max_size=80))
def test_any_text_is_cut_into_segments_that_make_it_up_again(text: str) -> None:
    segments = read_segments(text)
    assert "".join(text[segment.start : segment.end] for segment in segments) == text
