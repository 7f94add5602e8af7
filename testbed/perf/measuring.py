"""One sample: a tool run in a client's namespace, and what it cost the machine meanwhile."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from dataclasses import dataclass

from testbed.emulation import interrupts
from testbed.emulation.errors import EmulationError
from testbed.emulation.netns import read_inodes
from testbed.emulation.ownership import find_processes
from testbed.emulation.processes import run_in
from testbed.emulation.rundir import RunDir
from testbed.emulation.waiting import WaitedInVainError, until
from testbed.operations.programs import KUBELET_ROLE, MANAGER
from testbed.perf.results import Cell, Measure, Sample
from testbed.perf.subjects import Site, Subject
from testbed.perf.tools import TooFewError, ToolError, is_busy, plan_command, price, read_figures, settle_time

_TICKS = os.sysconf("SC_CLK_TCK")
_GRACE = 20.0
"""Seconds beyond its own that a tool may take to connect and to end."""

_BUSY_LIMIT = 10.0
_LONGER = (1, 4, 16)
"""How much longer a run becomes that observed too little, as on a machine that others keep busy."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Seconds of processor time: of what carries the subject's packets (switches, servers, proxies), of its control
    plane, of children that ended, of the whole machine.
    """

    own: float
    control: float
    children: float
    machine: float
    steal: float
    at: float


def read_usage(rundir: RunDir) -> Usage:
    machine, steal = read_machine()
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = {True: 0.0, False: 0.0}
    for owned in find_processes(rundir, frozenset(read_inodes(rundir))):
        seconds[is_control(owned.role)] += _seconds_of(owned.pid)
    return Usage(seconds[False], seconds[True], children.ru_utime + children.ru_stime, machine, steal, time.monotonic())


def is_control(role: str) -> bool:
    """Controllers, kubelet and manager: they watch the lab at the same pace whatever is sent through it."""
    return role in (KUBELET_ROLE, MANAGER) or role.startswith("controller@")


def _seconds_of(pid: int) -> float:
    """User and system time of a process with all its threads; a kernel thread's work for it is not in it."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def read_machine() -> tuple[float, float]:
    """(busy, stolen) seconds of all processors since the machine started."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, file.readline().split()[1:9])
    return (user + nice + system + irq + softirq) / _TICKS, steal / _TICKS


def take_sample(subject: Subject, cell: Cell, number: int, seconds: int, congestion: str) -> Sample:
    """A tool's failure is the sample's error; what the machine refuses, and Ctrl-C, is raised."""
    failure = ""
    for factor in _LONGER:
        try:
            return _take(subject, cell, number, seconds * factor, congestion)
        except ToolError as error:
            interrupts.check()  # Ctrl-C reaches the tools as well: that they failed is no news
            failure = str(error)
            if not isinstance(error, TooFewError):
                break
    return Sample(cell, number, error=failure)


def _take(subject: Subject, cell: Cell, number: int, seconds: int, congestion: str) -> Sample:
    site = subject.sites[cell.path]
    if settling := settle_time(cell.measure, subject.datapath):
        _run(subject, site, cell.measure, settling, congestion)
    before = read_usage(subject.rundir)
    done = _run(subject, site, cell.measure, seconds, congestion)
    after = read_usage(subject.rundir)
    figures = dict(read_figures(cell.measure, done.returncode, done.stdout, done.stderr))
    used = after.own - before.own + after.children - before.children
    figures |= price(cell.measure, done.stdout, used)
    ours = used + after.control - before.control
    foreign = max(0.0, after.machine - before.machine - ours) / (after.at - before.at)
    return Sample(cell, number, tuple(figures.items()), round(foreign, 3))


def _run(
    subject: Subject, site: Site, measure: Measure, seconds: int, congestion: str
) -> subprocess.CompletedProcess[str]:
    command = plan_command(measure, site.target, seconds, congestion)

    done: list[subprocess.CompletedProcess[str]] = []

    def is_free() -> bool:
        try:
            done[:] = [run_in(subject.rundir, site.client, command, seconds + _GRACE)]
        except EmulationError as error:
            raise ToolError(str(error)) from error
        return not is_busy(done[0].stdout)

    try:
        until(is_free, _BUSY_LIMIT, f"iperf3 in {site.server} to be free")
    except WaitedInVainError as error:
        raise ToolError(str(error)) from error
    return done[0]
