"""The schema for editors is the models', and agrees with what loading says of the specs at hand."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from testbed.spec import render_codes, render_schema

ROOT = Path(__file__).parents[3]
GOOD = [*(Path(__file__).parent / "good").glob("*.yaml"), *(ROOT / "topologies").glob("*.yaml")]


def test_committed_schema_is_up_to_date():
    assert (ROOT / "topologies" / "schema.json").read_text() == render_schema()


def test_documented_codes_are_up_to_date():
    assert render_codes() in (ROOT / "topologies" / "README.md").read_text()


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_schema_accepts_good_documents(path):
    validator = jsonschema.Draft7Validator(json.loads(render_schema()))
    for document in yaml.safe_load_all(path.read_text()):
        assert [error.message for error in validator.iter_errors(document)] == []


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "Vcp"},
        {"spec": {"cidr": "10.0.0.0/16", "extra": 1}},
        {"spec": {}},
        {"spec": {"cidr": 10}},
        {"metadata": {"name": "A"}},
    ],
)
def test_schema_refuses(change):
    good = {"apiVersion": "cnlab.dev/v1", "kind": "Vpc", "metadata": {"name": "a"}, "spec": {"cidr": "10.0.0.0/16"}}
    validator = jsonschema.Draft7Validator(json.loads(render_schema()))
    assert validator.is_valid(good)
    assert not validator.is_valid({**good, **change})
