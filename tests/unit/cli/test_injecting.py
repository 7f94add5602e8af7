"""What a cable is impaired by, in tc's words; and what makes no sense."""

from __future__ import annotations

import pytest

from testbed.operations.errors import BadRequestError
from testbed.operations.injection import Fault, netem_settings


@pytest.mark.parametrize(
    ("loss", "delay", "rate", "words"),
    [
        (10.0, "", "", "loss 10%"),
        (0.5, "20ms", "", "loss 0.5% delay 20ms"),
        (0.0, "1.5s", "10mbit", "delay 1.5s rate 10mbit"),
        (100.0, "300us", "500kbit", "loss 100% delay 300us rate 500kbit"),
    ],
)
def test_settings(loss: float, delay: str, rate: str, words: str) -> None:
    assert netem_settings(loss, delay, rate) == words.split()


@pytest.mark.parametrize(
    ("loss", "delay", "rate", "reason"),
    [
        (0.0, "", "", "nothing to impair it by: give --loss, --delay or --rate"),
        (101.0, "", "", "loss 101: must be between 0 and 100 percent"),
        (-1.0, "", "", "loss -1: must be between 0 and 100 percent"),
        (float("nan"), "", "", "loss nan: must be between 0 and 100 percent"),
        (0.0, "10", "", 'delay "10": a number with its unit'),
        (0.0, "-1ms", "", 'delay "-1ms": a number with its unit'),
        (0.0, "1ms 2ms", "", 'delay "1ms 2ms": a number with its unit'),
        (0.0, "", "fast", 'rate "fast": a number with its unit'),
        (0.0, "", "0mbit", 'rate "0mbit": a number with its unit'),
    ],
)
def test_nonsense(loss: float, delay: str, rate: str, reason: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        netem_settings(loss, delay, rate)
    assert str(caught.value).startswith(reason)


def test_how_a_fault_reads() -> None:
    assert str(Fault("link-down", "n1", "eth0")) == "n1/eth0 is down"
    assert str(Fault("impaired", "n1", "eth0", "loss 10%")) == "n1/eth0 is impaired (loss 10%)"
    assert str(Fault("frozen", "ovs/n1")) == "ovs/n1 is frozen"
