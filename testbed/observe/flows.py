"""Flow tables of a running switch, with the names and objects behind their numbers.

The switch itself is asked (``ovs-ofctl`` on the bridge's management socket), so what is shown is what forwards. Table
names and the object behind each cookie come from the controller's ``<name>.names.json``.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from testbed.emulation.errors import EmulationError
from testbed.emulation.jsonrpc import JsonRpc
from testbed.emulation.rundir import RunDir
from testbed.observe.status import Bridge, read_names

STRANGER = "unknown"
"""Owner of a flow that no controller of the lab asked for."""

LIMIT = 15.0
"""Seconds for a switch to answer."""

_HEAD = re.compile(r"^\s*cookie=(?P<cookie>0x[0-9a-f]+), duration=(?P<duration>[\d.]+)s, (?P<rest>.*)$")
_FIELD = re.compile(r"(table|n_packets|n_bytes|idle_timeout)=(\d+)")
_JUMP = re.compile(r"(goto_table:|resubmit\((?:\w*),|table=)(\d+)")


@dataclass(frozen=True, slots=True)
class FlowLine:
    """One flow as the switch has it. ``owner`` and ``note`` say for which object and why.

    ``idle_timeout``: seconds without a packet after which the switch forgets it; 0: never.
    """

    table: int
    table_name: str
    priority: int
    match: str
    actions: str
    packets: int
    bytes: int
    seconds: float
    cookie: str
    owner: str
    note: str
    idle_timeout: int = 0


def read_flows(rundir: RunDir, bridge: Bridge) -> tuple[FlowLine, ...]:
    """All flows of a bridge, by table and falling priority. Raises ``EmulationError`` when the switch is silent."""
    names = read_names(rundir, bridge.controller)
    tables = names["tables"].get(f"{bridge.datapath_id:016x}", [])
    text = _ask(rundir, bridge, "dump-flows")
    flows = parse_flows(text, tables, names["cookies"])
    return tuple(sorted(flows, key=lambda flow: (flow.table, -flow.priority, flow.match)))


def read_groups(rundir: RunDir, bridge: Bridge) -> tuple[str, ...]:
    """The groups of a bridge, a line each."""
    return tuple(line.strip() for line in _ask(rundir, bridge, "dump-groups").splitlines()[1:])


def parse_flows(text: str, tables: Iterable[str], cookies: Mapping[str, list[str]]) -> Iterator[FlowLine]:
    """The lines of ``ovs-ofctl dump-flows``; lines of another shape are left out."""
    names = tuple(tables)
    for line in text.splitlines():
        head = _HEAD.match(line)
        if head is not None:
            yield _parse(head, names, cookies)


def _parse(head: re.Match[str], names: tuple[str, ...], cookies: Mapping[str, list[str]]) -> FlowLine:
    before, _, actions = head["rest"].partition(" actions=")
    counters, _, match = before.rpartition(" ")
    numbers = {key: int(value) for key, value in _FIELD.findall(counters)}
    priority = 32768  # what the switch leaves out when it is the default
    fields = []
    for part in match.split(","):
        if part.startswith("priority="):
            priority = int(part.removeprefix("priority="))
        elif part:
            fields.append(part)
    owner, note = cookies.get(head["cookie"], (STRANGER, ""))
    table = numbers.get("table", 0)
    return FlowLine(
        table=table,
        table_name=_name(table, names),
        priority=priority,
        match=",".join(fields) or "everything",
        actions=name_jumps(actions, lambda number: _name(number, names)),
        packets=numbers.get("n_packets", 0),
        bytes=numbers.get("n_bytes", 0),
        seconds=float(head["duration"]),
        cookie=head["cookie"],
        owner=owner,
        note=note,
        idle_timeout=numbers.get("idle_timeout", 0),
    )


def name_jumps(actions: str, name: Callable[[int], str]) -> str:
    """Actions with the names of the tables that they go on in: ``goto_table:12`` -> ``goto_table:local``."""
    return _JUMP.sub(lambda jump: jump[1] + name(int(jump[2])), actions)


def _name(table: int, names: tuple[str, ...]) -> str:
    return names[table] if table < len(names) else str(table)


def _ask(rundir: RunDir, bridge: Bridge, command: str) -> str:
    socket = rundir.ovs(bridge.namespace) / f"{bridge.name}.mgmt"
    arguments = ["ovs-ofctl", "-O", "OpenFlow14", "--no-names", f"--timeout={LIMIT:.0f}", command, f"unix:{socket}"]
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=LIMIT + 5, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise silent(f"{bridge.namespace}/{bridge.name}", str(error)) from error
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise silent(f"{bridge.namespace}/{bridge.name}", reason[0])
    return done.stdout


def silent(switch: str, reason: str) -> EmulationError:
    """Of a switch that does not answer, with what to do."""
    return EmulationError(
        f"{switch} does not answer ({reason}); lab status says whether it runs, lab up or apply starts it again"
    )


def read_settled_flows(rundir: RunDir, bridge: Bridge) -> tuple[FlowLine, ...]:
    """The same after the switch has brought its counters up to date, which it otherwise does about once a second."""
    with JsonRpc(rundir.ovs_control(bridge.namespace)) as control:
        control.call("revalidator/wait")
    return read_flows(rundir, bridge)
