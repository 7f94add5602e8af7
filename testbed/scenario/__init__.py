"""What scenarios are written with: a running lab by its names, probes, captures, and statements to judge.

from testbed.scenario import Checks, RunningLab, scenario

@scenario("topologies/demo.yaml", models=("tunnel",))
def in_cluster(lab: RunningLab, checks: Checks) -> None:
    client, server = lab.pods("app=web")[:2]
    checks.allowed(1, "pod to pod", client.http(server.address, 8080), source=client.address)
"""

from testbed.emulation.waiting import until
from testbed.observe.captures import Capture, Frame
from testbed.observe.load import Load
from testbed.observe.probes import Seen
from testbed.observe.verdicts import Check, Report, Verdict
from testbed.scenario.checks import Checks
from testbed.scenario.hosts import Host
from testbed.scenario.registry import Scenario, find_scenarios, load_scenario, scenario
from testbed.scenario.runner import run_scenario
from testbed.scenario.running import RunningLab

__all__ = [
    "Capture",
    "Check",
    "Checks",
    "Frame",
    "Host",
    "Load",
    "Report",
    "RunningLab",
    "Scenario",
    "Seen",
    "Verdict",
    "find_scenarios",
    "load_scenario",
    "run_scenario",
    "scenario",
    "until",
]
