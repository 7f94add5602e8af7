"""Each ``bad/NNN-*.yaml`` gives exactly the lines of the ``.err`` beside it, whichever faults and warnings these are.

The numbers are those of a catalogue of bad inputs (B01-B105); from 201 on, cases that it does not have.
"""

from pathlib import Path

import pytest

from testbed.spec import Code, SpecError, load_lab

BAD = Path(__file__).parent / "bad"
CASES = sorted(BAD.glob("*.yaml"))


def rendered(path: Path, monkeypatch) -> str:
    monkeypatch.chdir(path.parent)
    try:
        faults = load_lab([Path(path.name)]).warnings
    except SpecError as error:
        faults = (*error.faults, *error.warnings)
    return "".join(f"{fault}\n" for fault in faults)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_faults_are_as_written(path, monkeypatch):
    assert rendered(path, monkeypatch) == path.with_suffix(".err").read_text()


def test_every_case_is_a_pair():
    assert {path.stem for path in BAD.glob("*.err")} == {path.stem for path in CASES}
    assert all(path.with_suffix(".err").read_text() for path in CASES)


def test_codes_are_shown_by_a_case_or_named_here():
    """A code that no golden file shows has a test of its own."""
    elsewhere = {
        Code.FILE_UNREADABLE,
        Code.FILE_TOO_BIG,
        Code.YAML_DOCUMENTS,
        Code.FIELD_IMMUTABLE,
    }
    text = "".join(path.with_suffix(".err").read_text() for path in CASES)
    unseen = {code for code in Code if f"[{code}]" not in text}
    assert unseen == elsewhere
