"""Guided labs: a running lab, steps whose commands are really run on it, questions, and something to do oneself.

from testbed.guide import Command, Finding, Guide, Step, expect

GUIDE = Guide(title=..., goal=..., picture=..., topology="topologies/peered.yaml", model="tunnel", steps=(...), ...)
"""

from testbed.guide.guides import Checker, Command, Finding, Guide, Step, expect, expect_allowed, expect_silent, settle
from testbed.scenario.hosts import Host
from testbed.scenario.running import RunningLab

__all__ = [
    "Checker",
    "Command",
    "Finding",
    "Guide",
    "Host",
    "RunningLab",
    "Step",
    "expect",
    "expect_allowed",
    "expect_silent",
    "settle",
]
