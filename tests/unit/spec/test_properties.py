"""Whatever is done to a valid spec, the result is a lab or coded faults with a place: never a traceback."""

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from testbed.model.lab import Lab
from testbed.spec import Code, SpecError, load_texts
from tests.unit.spec.mutations import damaged, damaged_text

HERE = Path(__file__).parent
GOOD = [*sorted((HERE / "good").glob("*.yaml")), *sorted((HERE.parents[2] / "topologies").glob("*.yaml"))]
TEXTS = [path.read_text() for path in GOOD]
DOCUMENTS = [list(yaml.safe_load_all(text)) for text in TEXTS]

quick = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def judge(text):
    loaded, faults = load(text)
    assert isinstance(loaded, Lab) if loaded else faults
    for fault in faults:
        assert isinstance(fault.code, Code)
        assert fault.line >= 1
        assert fault.col >= 1
        assert str(fault).isprintable()
        assert str(fault).isascii()


def load(text):
    try:
        return load_texts([("lab.yaml", text)]).lab, ()
    except SpecError as error:
        return None, error.faults


@pytest.mark.parametrize("number", range(len(GOOD)), ids=[path.stem for path in GOOD])
def test_damaged_values(number):
    @quick
    @given(damaged(DOCUMENTS[number]))
    def run(documents):
        judge(yaml.safe_dump_all(documents, sort_keys=False))

    run()


@pytest.mark.parametrize("number", range(len(GOOD)), ids=[path.stem for path in GOOD])
def test_damaged_text(number):
    @quick
    @given(damaged_text(TEXTS[number]))
    def run(text):
        judge(text)

    run()
