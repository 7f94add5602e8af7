"""Asking the lab's switches: their ports, and ``ofproto/trace`` on each daemon's control socket."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from testbed.emulation.errors import EmulationError
from testbed.emulation.jsonrpc import JsonRpc
from testbed.emulation.rundir import RunDir
from testbed.model.wiring import PortKind, Wiring
from testbed.observe.status import read_names
from testbed.observe.trace.reply import Reply, read_reply

LIMIT = 10.0
"""Seconds for a switch to answer."""

LOCAL = 65534

_PORT = re.compile(r"^\s{4}(?P<name>\S+) (?P<number>\d+)/(?P<datapath>\d+|none): \((?P<kind>\w+)")
_BRIDGE = re.compile(r"^\s{2}(?P<name>\S+):$")


@dataclass(frozen=True, slots=True)
class SwitchPort:
    """``interface`` on ``bridge``; ``tunnel``: a VXLAN port."""

    bridge: str
    interface: str
    number: int
    tunnel: bool


@dataclass
class Switch:
    """One Open vSwitch of the lab."""

    rundir: RunDir
    namespace: str
    _kept: dict[tuple[str, ...], Reply] = field(default_factory=dict)

    @cached_property
    def _control(self) -> JsonRpc:
        return JsonRpc(self.rundir.ovs_control(self.namespace), LIMIT)

    def call(self, method: str, *arguments: str) -> str:
        """A command of ``ovs-appctl``. Raises ``EmulationError``."""
        return str(self._control.call(method, *arguments))

    @cached_property
    def ports(self) -> Mapping[int, SwitchPort]:
        """By the datapath's number."""
        return read_ports(self.call("dpif/show"))

    def tunnel_port(self) -> SwitchPort | None:
        return next((port for port in self.ports.values() if port.tunnel), None)

    def trace(self, bridge: str, flow: str) -> Reply:
        """A packet that comes in at a port. Raises ``EmulationError``."""
        return self._ask("ofproto/trace", bridge, flow)

    def resume(self, bridge: str, flow: str, table: int) -> Reply:
        """A packet that goes on in ``table``; ``flow`` has its registers and connection state as well."""
        return self._ask("ofproto/trace-packet-out", bridge, flow, f"resubmit(,{table})")

    def _ask(self, *words: str) -> Reply:
        if words not in self._kept:
            text = self.call(*words)
            try:
                self._kept[words] = read_reply(text)
            except ValueError as error:
                raise EmulationError(f"the switch of {self.namespace} did not answer a trace: {error}") from error
        return self._kept[words]

    def close(self) -> None:
        if "_control" in self.__dict__:
            self.__dict__.pop("_control").__exit__()


@dataclass
class Switches:
    """All of a lab, and what decodes their answers."""

    rundir: RunDir
    wiring: Wiring
    _open: dict[str, Switch] = field(default_factory=dict)

    def __getitem__(self, namespace: str) -> Switch:
        if namespace not in self._open:
            self._open[namespace] = Switch(self.rundir, namespace)
        return self._open[namespace]

    @cached_property
    def attachments(self) -> Mapping[tuple[str, str], tuple[str, int]]:
        """(namespace, interface) of each port to its bridge and number, local ports included."""
        found: dict[tuple[str, str], tuple[str, int]] = {}
        for switch in self.wiring.switches:
            for bridge in switch.bridges:
                found[switch.namespace, bridge.name] = (bridge.name, LOCAL)
                for port in bridge.ports:
                    if port.kind is not PortKind.PATCH:
                        found[switch.namespace, port.interface] = (bridge.name, port.number)
        return found

    @cached_property
    def peers(self) -> Mapping[tuple[str, str], tuple[str, str]]:
        """The other end of each veth pair."""
        pairs = [
            ((veth.a.namespace, veth.a.interface), (veth.b.namespace, veth.b.interface)) for veth in self.wiring.veths
        ]
        return {**dict(pairs), **{b: a for a, b in pairs}}

    @cached_property
    def _names(self) -> Mapping[str, dict[str, Any]]:
        controllers = {bridge.controller for switch in self.wiring.switches for bridge in switch.bridges}
        return {controller: read_names(self.rundir, controller) for controller in controllers}

    @cached_property
    def _bridges(self) -> Mapping[tuple[str, str], tuple[str, list[str]]]:
        found = {}
        for switch in self.wiring.switches:
            for bridge in switch.bridges:
                tables = self._names[bridge.controller]["tables"].get(f"{bridge.datapath_id:016x}", list(bridge.tables))
                found[switch.namespace, bridge.name] = (bridge.controller, tables)
        return found

    def table(self, namespace: str, bridge: str, number: int) -> str:
        _, tables = self._bridges.get((namespace, bridge), ("", []))
        return tables[number] if number < len(tables) else str(number)

    def owner(self, namespace: str, bridge: str, cookie: str) -> tuple[str, str] | None:
        """The object behind a flow and the reason for it; None when no controller of the lab asked for it."""
        controller, _ = self._bridges.get((namespace, bridge), ("", []))
        known = self._names.get(controller, {}).get("cookies", {}).get(cookie)
        return (str(known[0]), str(known[1])) if known else None

    def close(self) -> None:
        for switch in self._open.values():
            switch.close()


def read_ports(text: str) -> dict[int, SwitchPort]:
    """``dpif/show``: ports by their number in the datapath; patch ports have none."""
    found, bridge = {}, ""
    for line in text.splitlines():
        if head := _BRIDGE.match(line):
            bridge = head["name"]
        elif (port := _PORT.match(line)) and port["datapath"] != "none":
            number = int(port["datapath"])
            found[number] = SwitchPort(bridge, port["name"], int(port["number"]), port["kind"] == "vxlan")
    return found
