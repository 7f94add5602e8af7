"""One Open vSwitch (ovsdb-server and ovs-vswitchd) for each Switch of the wiring, inside its namespace.

Nothing of the machine's own Open vSwitch is used: database, sockets, pid files and logs are in the lab's run
directory, named by arguments and by ``OVS_RUNDIR`` and its kin.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from testbed.emulation import interrupts, ovsdb
from testbed.emulation.errors import EmulationError, MachineLacksError
from testbed.emulation.jsonrpc import JsonRpc, JsonRpcError, accepts
from testbed.emulation.netns import Enter, visiting
from testbed.emulation.ownership import find_processes, is_running
from testbed.emulation.processes import Program, is_alive, launch, stop
from testbed.emulation.rundir import RunDir
from testbed.emulation.state import Datapath
from testbed.emulation.taps import see_tap, try_tap
from testbed.emulation.waiting import WaitedInVainError, until
from testbed.model.wiring import Switch, TunnelNeighbour

_DAEMONS = ("ovs-vswitchd", "ovsdb-server")
_ABSENT = ["set", []]
_SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
_START_LIMIT = 30.0
_LEAST_ROOM = 1 << 16
_EXIT_LIMIT = 2.0
_CALL_LIMIT = 15.0
_CONFIGURE_LIMIT = 60.0
_LONGEST_AGING = "3600"


class OpenVSwitches:
    """The switches of one lab. ``userspace_tso`` keeps TCP segments large through the userspace datapath."""

    def __init__(self, rundir: RunDir, datapath: Datapath, userspace_tso: bool = True) -> None:
        self._rundir = rundir
        self._datapath = datapath
        self._started: dict[tuple[str, str], int] = {}
        self._tso = userspace_tso and datapath is Datapath.USERSPACE

    def start(self, switches: Iterable[Switch]) -> None:
        """Start the daemons of every switch, not waiting for them (``wait_started`` does)."""
        wanted = tuple(switches)
        if not wanted:
            return
        if self._datapath is Datapath.USERSPACE:
            try_tap()
        template = self._write_template()

        def begin(enter: Enter) -> None:
            for switch in wanted:
                self._prepare(switch, template)
                enter(self._rundir.namespace(switch.namespace))
                self._launch_database(switch)
            for switch in wanted:
                directory = self._rundir.ovs(switch.namespace)
                self._await_socket(switch, directory / "db.sock", "ovsdb-server")
                visiting(partial(self._launch_daemon, switch))

        visiting(begin)

    def wait_started(self, switches: Iterable[Switch]) -> None:
        for switch in switches:
            self._await_socket(switch, self._rundir.ovs_control(switch.namespace), "ovs-vswitchd")

    def configure(self, switches: Iterable[Switch]) -> None:
        """One transaction for each new switch with all its bridges and ports; then wait for all and check them."""
        wanted = tuple(switches)
        for switch in wanted:
            interrupts.check()
            controllers = self._controller_targets(switch)
            bridges = ovsdb.insert_bridges(switch.bridges, self._datapath.ovs_type, controllers)
            zones = ovsdb.insert_brief_zones(switch.brief_zones, self._datapath.ovs_type)
            self._transact(switch.namespace, [*zones, *bridges, ovsdb.bump_configuration(1)])
        for switch in wanted:
            interrupts.check()
            self._await_configured(switch, 1)
            self._track_by_flags(switch)

    def _track_by_flags(self, switch: Switch) -> None:
        """Connections are followed by TCP's flags alone, not by its sequence numbers too.

        A client asks a pod's Service from a port from which it asked the pod itself half a minute before: the pod, in
        TIME-WAIT, answers with the numbers of then and is reset, and the client's second try goes through. Open vSwitch
        3.1 takes the numbers of then for the connection's, follows it no further, and long after it was closed makes
        the Service's address of what the pod answers to that port. The kernel's tracking knows this case. There is
        nothing to set before the first bridge.
        """
        if self._datapath is not Datapath.USERSPACE or not switch.bridges:
            return
        with JsonRpc(self._rundir.ovs_control(switch.namespace)) as control:
            control.call("dpctl/ct-disable-tcp-seq-chk")

    def change(self, pairs: Sequence[tuple[Switch, Switch]]) -> None:
        """Make each (found, wanted) into wanted, in one transaction each; then wait for all and check them."""
        numbers = {}
        for found, wanted in pairs:
            interrupts.check()
            numbers[wanted.namespace] = self._change_one(found, wanted)
        for _, wanted in pairs:
            interrupts.check()
            self._await_configured(wanted, numbers[wanted.namespace])
            self._track_by_flags(wanted)

    def _change_one(self, found: Switch, wanted: Switch) -> int:
        rows = self._transact(
            wanted.namespace,
            [
                ovsdb.select("Bridge", "_uuid", "name", "ports"),
                ovsdb.select("Port", "_uuid", "name"),
                ovsdb.select(ovsdb.DATABASE, "next_cfg"),
            ],
        )
        number = int(rows[2]["rows"][0]["next_cfg"]) + 1
        ids = _row_ids(rows[0]["rows"], rows[1]["rows"])
        controllers = self._controller_targets(wanted)
        operations = ovsdb.change_bridges(found, wanted, self._datapath.ovs_type, controllers, ids)
        self._transact(wanted.namespace, [*operations, ovsdb.bump_configuration(number)])
        return number

    def set_tunnel_neighbours(self, neighbours: Iterable[TunnelNeighbour]) -> None:
        """Tell userspace switches the MAC behind each tunnel endpoint, so that no first packet is lost to ARP."""
        by_switch: dict[str, list[TunnelNeighbour]] = {}
        for neighbour in neighbours:
            by_switch.setdefault(neighbour.namespace, []).append(neighbour)
        for namespace, entries in by_switch.items():
            with JsonRpc(self._rundir.ovs_control(namespace)) as control:
                control.call("tnl/neigh/aging", _LONGEST_AGING)
                for entry in entries:
                    control.call("tnl/neigh/set", entry.bridge, str(entry.address), entry.mac)

    def stop(self, namespaces: Iterable[str]) -> None:
        """Stop the daemons of switches and remove their directories."""
        doomed = tuple(namespaces)
        if not doomed:
            return
        for namespace in doomed:
            self._leave_datapath(namespace)
        roles = {f"{daemon}@{namespace}" for daemon in _DAEMONS for namespace in doomed}
        stop([owned.pid for owned in find_processes(self._rundir) if owned.role in roles])
        for namespace in doomed:
            shutil.rmtree(self._rundir.ovs(namespace), ignore_errors=True)

    def _leave_datapath(self, namespace: str) -> None:
        """Let vswitchd take its bridges' devices along: they are persistent and would stay without it."""
        directory = self._rundir.ovs(namespace)
        pid = read_pid(directory / "ovs-vswitchd.pid")
        with suppress(JsonRpcError, WaitedInVainError):
            with JsonRpc(self._rundir.ovs_control(namespace), _EXIT_LIMIT) as control:
                control.call("exit", "--cleanup")
            until(lambda: not is_running(self._rundir, pid), _EXIT_LIMIT, "ovs-vswitchd to end")

    def read_dead(self, switches: Iterable[Switch]) -> tuple[Switch, ...]:
        """The switches of which a daemon does not run (any more)."""
        return tuple(switch for switch in switches if not all(self._pids_alive(switch)))

    def _pids_alive(self, switch: Switch) -> list[bool]:
        directory = self._rundir.ovs(switch.namespace)
        return [is_running(self._rundir, read_pid(directory / f"{daemon}.pid")) for daemon in _DAEMONS]

    def _write_template(self) -> Path:
        """An empty database with the Open_vSwitch row, made once and copied for each switch."""
        template = self._rundir.path / "ovs" / (".tso.db" if self._tso else ".plain.db")
        if not template.exists():
            temporary = template.with_suffix(f".{os.getpid()}")
            transaction = json.dumps([ovsdb.DATABASE, *ovsdb.insert_root(self._tso)])
            _run_tool("ovsdb-tool", "create", str(temporary), str(_SCHEMA))
            _run_tool("ovsdb-tool", "transact", str(temporary), transaction)
            temporary.with_name(f".{temporary.name}.~lock~").unlink(missing_ok=True)
            temporary.rename(template)
        return template

    def _prepare(self, switch: Switch, template: Path) -> None:
        directory = self._rundir.ovs(switch.namespace)
        directory.mkdir(mode=0o700, exist_ok=True)
        shutil.copyfile(template, directory / "conf.db")
        for name in {bridge.controller for bridge in switch.bridges}:
            # vswitchd only connects to Unix sockets inside its own run directory.
            link = directory / f"{name}.sock"
            link.unlink(missing_ok=True)
            link.symlink_to(f"../../control/{name}.sock")

    def _controller_targets(self, switch: Switch) -> dict[str, str]:
        directory = self._rundir.ovs(switch.namespace)
        names = {bridge.controller for bridge in switch.bridges}
        for name in names:
            if not (directory / f"{name}.sock").is_symlink():
                (directory / f"{name}.sock").symlink_to(f"../../control/{name}.sock")
        return {name: f"unix:{directory}/{name}.sock" for name in names}

    def _launch_database(self, switch: Switch) -> None:
        directory = self._rundir.ovs(switch.namespace)
        arguments = [str(directory / "conf.db"), f"--remote=punix:{directory}/db.sock"]
        self._launch("ovsdb-server", switch, arguments)

    def _launch_daemon(self, switch: Switch, enter: Enter) -> None:
        """In a thread of its own, which may have to give the daemon mounts of its own."""
        directory = self._rundir.ovs(switch.namespace)
        arguments = [f"unix:{directory}/db.sock"]
        enter(self._rundir.namespace(switch.namespace))
        if self._datapath is Datapath.USERSPACE:
            see_tap()
            arguments.append("--disable-system")
        self._launch("ovs-vswitchd", switch, arguments)

    def _launch(self, daemon: str, switch: Switch, arguments: list[str]) -> None:
        directory = self._rundir.ovs(switch.namespace)
        common = [
            f"--pidfile={directory}/{daemon}.pid",
            f"--unixctl={directory}/{daemon}.ctl",
            f"--log-file={directory}/{daemon}.log",
            "--no-chdir",
            "-vconsole:off",
            "-vsyslog:off",
        ]
        role = f"{daemon}@{switch.namespace}"
        environment = tuple(ovs_environment(directory).items())
        program = Program(role, (_find(daemon), *arguments, *common), environment, log=None)
        self._started[switch.namespace, daemon] = launch(self._rundir, program)

    def _await_socket(self, switch: Switch, path: Path, daemon: str) -> None:
        pid = self._started[switch.namespace, daemon]

        def answers() -> bool:
            if accepts(path):
                return True
            if not is_alive(pid):
                raise EmulationError(f"{daemon} of {switch.namespace} died: {_why(path.parent, daemon)}")
            return False

        until(answers, _START_LIMIT, f"{daemon} of {switch.namespace}, see {path.parent}/{daemon}.log")

    def _await_configured(self, switch: Switch, number: int) -> None:
        wait = ovsdb.wait_configured(number, int(_CONFIGURE_LIMIT * 1000))
        interfaces = ovsdb.select("Interface", "name", "ofport", "error")
        rows = self._transact(switch.namespace, [wait, interfaces], _CONFIGURE_LIMIT + 5)
        expect_ports(switch, rows[1]["rows"])

    def _transact(
        self, namespace: str, operations: list[ovsdb.Operation], limit: float = _CALL_LIMIT
    ) -> list[dict[str, Any]]:
        with JsonRpc(self._rundir.ovs(namespace) / "db.sock", limit) as database:
            results: list[dict[str, Any]] = database.call("transact", ovsdb.DATABASE, *operations)
        for result in results:
            if result and result.get("error") == "timed out":
                log = self._rundir.ovs(namespace) / "ovs-vswitchd.log"
                raise EmulationError(f"ovs-vswitchd of {namespace} does not act upon its configuration, see {log}")
            if result and result.get("error"):
                details = result.get("details", "no details")
                raise JsonRpcError(f"Open vSwitch of {namespace} refused: {result['error']} ({details})")
        return results


def expect_ports(switch: Switch, rows: Sequence[dict[str, Any]]) -> None:
    """Judge what vswitchd made of the ports. Raises ``EmulationError`` naming every port that is not as asked."""
    found = {row["name"]: row for row in rows}
    faults = []
    for bridge in switch.bridges:
        if error := _fault(found.get(bridge.name), None):
            faults.append(f"bridge {bridge.name} of {bridge.owner}: {error}")
        for port in bridge.ports:
            if error := _fault(found.get(port.interface), port.number):
                faults.append(f"port {port.interface} of {port.owner} on {bridge.name}: {error}")
    if faults:
        more = f" (and {len(faults) - 5} more)" if len(faults) > 5 else ""
        raise EmulationError(f"Open vSwitch of {switch.namespace}: {'; '.join(faults[:5])}{more}")


def _fault(row: dict[str, Any] | None, number: int | None) -> str | None:
    """What is wrong with an Interface row, in words. OVSDB writes an absent optional value as an empty set."""
    if row is None:
        return "missing"
    if row["error"] != _ABSENT:
        return str(row["error"])
    if row["ofport"] == _ABSENT or row["ofport"] == -1:
        return "has no port number (yet)"
    if number is not None and row["ofport"] != number:
        return f"has number {row['ofport']}, wanted {number}: it is taken"
    return None


def _row_ids(bridges: Iterable[dict[str, Any]], ports: Iterable[dict[str, Any]]) -> dict[str, str]:
    names = {row["_uuid"][1]: row["name"] for row in ports}
    ids = {}
    for bridge in bridges:
        ids[bridge["name"]] = bridge["_uuid"][1]
        members = bridge["ports"][1] if bridge["ports"][0] == "set" else [bridge["ports"]]
        for _, row_id in members:
            ids[f"{bridge['name']}/{names[row_id]}"] = row_id
    return ids


def ovs_environment(directory: Path) -> dict[str, str]:
    """Environment in which ``ovs-vsctl``, ``ovs-appctl`` and ``ovs-ofctl`` talk to the switch of ``directory``."""
    names = ("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR")
    return {name: str(directory) for name in names}


def read_pid(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _find(program: str) -> str:
    found = shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin")
    if found is None:
        raise MachineLacksError(f"{program} is missing: install the Debian package openvswitch-switch")
    return found


def _run_tool(program: str, *arguments: str) -> None:
    ran = subprocess.run([_find(program), *arguments], check=False, capture_output=True, text=True, timeout=30)
    if ran.returncode:
        raise EmulationError(f"{program} failed: {ran.stderr.strip()}")


def _why(directory: Path, daemon: str) -> str:
    """Why a daemon died: the last line of its log, or that there is no room for one."""
    if shutil.disk_usage(directory).free < _LEAST_ROOM:
        return f"No space left on device ({directory})"
    try:
        return (directory / f"{daemon}.log").read_text(errors="replace").strip().rsplit("\n", 1)[-1]
    except OSError:
        return "it left no log"
