from __future__ import annotations

import json

import pytest

from testbed.emulation.wiring_json import decode_wiring
from testbed.model.codec import to_plain
from testbed.model.wiring import Wiring
from tests.unit.emulation.wirings import node_with_pods


def test_a_wiring_survives_json() -> None:
    wiring = node_with_pods("a", "b")
    assert decode_wiring(json.loads(json.dumps(to_plain(wiring)))) == wiring


def test_defaults_are_left_out() -> None:
    assert to_plain(Wiring()) == {}


@pytest.mark.parametrize("text", ['{"veths": [{}]}', '{"nonsense": []}', "[]", '{"addresses": [{"address": "x"}]}'])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        decode_wiring(json.loads(text))
