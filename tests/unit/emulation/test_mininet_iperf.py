"""What iperf3 says to Mininet's ``iperf``."""

from __future__ import annotations

import json
from typing import Any

from testbed.emulation.mininet_net import _run_iperf

REFUSED = {"end": {}, "error": "unable to connect to server: Connection refused"}
DONE = {"end": {"sum_sent": {"bits_per_second": 2e9}, "sum_received": {"bits_per_second": 1e9}}}


class Client:
    """Answers one document after the other, each with status 0: so does iperf3 3.12 now and then, errors included."""

    def __init__(self, *documents: dict[str, Any]) -> None:
        self._texts = [json.dumps(each) for each in documents]

    def pexec(self, _: list[str]) -> tuple[str, str, int]:
        return self._texts.pop(0), "", 0


def test_a_server_that_is_not_up_yet_is_asked_again() -> None:
    assert _run_iperf(Client(REFUSED, REFUSED, DONE), []) == {"sent": 2e9, "received": 1e9}


def test_another_error_is_told() -> None:
    assert _run_iperf(Client({"end": {}, "error": "no route to host"}, DONE), []) is None
