"""OVSDB transactions for one Open vSwitch: what to insert, change and delete. Pure: wiring in, operations out.

The operations are those of RFC 7047, the tables those of ovs-vswitchd.conf.db(5). One transaction carries a whole
switch; vswitchd adds the ports before it connects to the controller, so the controller sees a complete switch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from testbed.model.wiring import Bridge, Port, PortKind, Switch

Operation = dict[str, Any]
DATABASE = "Open_vSwitch"
_ALL: list[Any] = []


def map_of(pairs: Mapping[str, str] | Iterable[tuple[str, str]]) -> list[Any]:
    return ["map", [list(pair) for pair in dict(pairs).items()]]


def set_of(items: Iterable[Any]) -> list[Any]:
    return ["set", list(items)]


def _named(name: str) -> list[str]:
    return ["named-uuid", name]


def root_row(userspace_tso: bool) -> dict[str, Any]:
    """The one row of table Open_vSwitch. It has to be there before vswitchd reads it: TSO is decided only once.

    One handler and one revalidator thread: the default is one for each processor, in each of fifty daemons.
    """
    config = {"n-handler-threads": "1", "n-revalidator-threads": "1"}
    if userspace_tso:
        config["userspace-tso-enable"] = "true"
    return {"other_config": map_of(config)}


def insert_root(userspace_tso: bool) -> list[Operation]:
    return [{"op": "insert", "table": DATABASE, "row": root_row(userspace_tso)}]


def insert_bridges(bridges: Sequence[Bridge], datapath_type: str, controllers: Mapping[str, str]) -> list[Operation]:
    """Operations that make bridges. ``controllers``: name of a controller to its target (``unix:...``)."""
    operations: list[Operation] = []
    for number, bridge in enumerate(bridges):
        operations += _insert_bridge(f"b{number}", bridge, datapath_type, controllers[bridge.controller])
    added = set_of(_named(f"b{number}") for number in range(len(bridges)))
    operations.append(_mutate(DATABASE, _ALL, "bridges", "insert", added))
    return operations


_BRIEF = {"tcp_close": 1, "tcp_time_wait": 1}
"""Seconds that a TCP connection is known after it was closed, in zones that translate. Open vSwitch's own 90, and the
kernel's 120 for what it calls TIME_WAIT, are long for two reasons: the translated source ports are few, and a new
connection past the Service with the same two ends clashes with the old one: answers would get the Service's address.
The kernel's datapath needs the module nfnetlink_cttimeout for it."""


def insert_brief_zones(zones: Sequence[int], datapath_type: str) -> list[Operation]:
    """Operations that make conntrack zones forget closed connections early."""
    if not zones:
        return []
    policy: dict[str, Any] = {"timeouts": ["map", [list(item) for item in _BRIEF.items()]]}
    operations: list[Operation] = [{"op": "insert", "table": "CT_Timeout_Policy", "row": policy, "uuid-name": "brief"}]
    for zone in zones:
        known = {"timeout_policy": _named("brief")}
        operations.append({"op": "insert", "table": "CT_Zone", "row": known, "uuid-name": f"zone{zone}"})
    known_zones = ["map", [[zone, _named(f"zone{zone}")] for zone in zones]]
    row: dict[str, Any] = {"datapath_version": "", "ct_zones": known_zones}
    operations.append({"op": "insert", "table": "Datapath", "row": row, "uuid-name": "datapath"})
    datapath = ["map", [[datapath_type, _named("datapath")]]]
    return [*operations, _mutate(DATABASE, _ALL, "datapaths", "insert", datapath)]


def _insert_bridge(key: str, bridge: Bridge, datapath_type: str, target: str) -> list[Operation]:
    local = _interface(f"{key}_local_i", bridge.name, "internal", 65534, bridge.owner, mtu=bridge.mtu)
    operations = [local, _port(f"{key}_local", f"{key}_local_i", bridge.name)]
    names = [f"{key}_local"]
    for number, port in enumerate(bridge.ports):
        names.append(f"{key}_p{number}")
        operations += _insert_port(names[-1], port)
    operations.append(_controller(f"{key}_c", target))
    operations += _tables(key, bridge)
    row = {
        "name": bridge.name,
        "datapath_type": datapath_type,
        "fail_mode": "secure",
        "ports": set_of(map(_named, names)),
        "controller": _named(f"{key}_c"),
        "protocols": set_of(["OpenFlow13", "OpenFlow14", "OpenFlow15"]),
        "external_ids": map_of({"owner": bridge.owner}),
        **_bridge_settings(bridge),
        "flow_tables": _table_map(key, bridge.tables),
    }
    return [*operations, {"op": "insert", "table": "Bridge", "row": row, "uuid-name": key}]


def _bridge_settings(bridge: Bridge) -> dict[str, Any]:
    return {"other_config": map_of({"datapath-id": f"{bridge.datapath_id:016x}", "hwaddr": bridge.mac})}


def _controller(key: str, target: str) -> Operation:
    row = {"target": target, "inactivity_probe": 5000, "max_backoff": 1000, "connection_mode": "out-of-band"}
    return {"op": "insert", "table": "Controller", "row": row, "uuid-name": key}


def _tables(key: str, bridge: Bridge) -> list[Operation]:
    prefixes = {} if bridge.by_prefix else {"prefixes": "none"}
    return [
        {"op": "insert", "table": "Flow_Table", "row": {"name": name, **prefixes}, "uuid-name": f"{key}_t{number}"}
        for number, name in enumerate(bridge.tables)
    ]


def _table_map(key: str, names: Sequence[str]) -> list[Any]:
    return ["map", [[number, _named(f"{key}_t{number}")] for number in range(len(names))]]


def _insert_port(key: str, port: Port) -> list[Operation]:
    kind = "" if port.kind is PortKind.SYSTEM else port.kind.value
    interface = _interface(f"{key}_i", port.interface, kind, port.number, port.owner, options=port.options)
    return [interface, _port(key, f"{key}_i", port.interface)]


def _interface(
    key: str,
    name: str,
    kind: str,
    number: int,
    owner: str,
    options: Iterable[tuple[str, str]] = (),
    mtu: int | None = None,
) -> Operation:
    row = {
        "name": name,
        "type": kind,
        "ofport_request": number,
        "options": map_of(options),
        "external_ids": map_of({"owner": owner}),
    }
    if kind == "internal":
        del row["ofport_request"]  # the local port's number is fixed
    if mtu is not None:
        row["mtu_request"] = mtu
    return {"op": "insert", "table": "Interface", "row": row, "uuid-name": key}


def _port(key: str, interface_key: str, name: str) -> Operation:
    row = {"name": name, "interfaces": _named(interface_key)}
    return {"op": "insert", "table": "Port", "row": row, "uuid-name": key}


def change_bridges(
    found: Switch, wanted: Switch, datapath_type: str, controllers: Mapping[str, str], ports: Mapping[str, str]
) -> list[Operation]:
    """Operations that make ``found`` into ``wanted``, whose namespace is the same.

    ``ports`` gives the row id of each existing port by ``bridge/port``, and of each bridge by its name. A port whose
    kind, number or options changed is removed and made again.
    """
    old = {bridge.name: bridge for bridge in found.bridges}
    new = {bridge.name: bridge for bridge in wanted.bridges}
    operations: list[Operation] = []
    if gone := [["uuid", ports[name]] for name in old if name not in new and name in ports]:
        operations.append(_mutate(DATABASE, _ALL, "bridges", "delete", set_of(gone)))
    if added := [bridge for name, bridge in new.items() if name not in old]:
        operations += insert_bridges(added, datapath_type, controllers)
    for position, name in enumerate(sorted(old.keys() & new.keys())):
        if old[name] != new[name]:
            operations += _change_bridge(f"c{position}", old[name], new[name], controllers, ports)
    return operations


def _change_bridge(
    key: str, old: Bridge, new: Bridge, controllers: Mapping[str, str], ports: Mapping[str, str]
) -> list[Operation]:
    where = [["name", "==", new.name]]
    operations: list[Operation] = []
    before = {port.interface: port for port in old.ports}
    after = {port.interface: port for port in new.ports}
    row_ids = (ports.get(f"{new.name}/{name}") for name, port in before.items() if after.get(name) != port)
    if gone := [["uuid", row_id] for row_id in row_ids if row_id]:
        operations.append(_mutate("Bridge", where, "ports", "delete", set_of(gone)))
    added = [port for name, port in after.items() if before.get(name) != port]
    for number, port in enumerate(added):
        operations += _insert_port(f"{key}_p{number}", port)
    if added:
        names = set_of(_named(f"{key}_p{number}") for number in range(len(added)))
        operations.append(_mutate("Bridge", where, "ports", "insert", names))
    if (old.datapath_id, old.mac) != (new.datapath_id, new.mac):
        operations.append(_update("Bridge", where, _bridge_settings(new)))
    if old.mtu != new.mtu:
        operations.append(_update("Interface", where, {"mtu_request": new.mtu}))
    if old.controller != new.controller:
        operations.append(_controller(f"{key}_c", controllers[new.controller]))
        operations.append(_update("Bridge", where, {"controller": _named(f"{key}_c")}))
    if (old.tables, old.by_prefix) != (new.tables, new.by_prefix):
        operations += _tables(key, new)
        operations.append(_update("Bridge", where, {"flow_tables": _table_map(key, new.tables)}))
    return operations


def _update(table: str, where: list[Any], row: dict[str, Any]) -> Operation:
    return {"op": "update", "table": table, "where": where, "row": row}


def _mutate(table: str, where: list[Any], column: str, mutator: str, value: list[Any]) -> Operation:
    return {"op": "mutate", "table": table, "where": where, "mutations": [[column, mutator, value]]}


def bump_configuration(number: int) -> Operation:
    """Ask vswitchd to say (``cur_cfg``) when it has acted upon everything up to this transaction."""
    return _update(DATABASE, _ALL, {"next_cfg": number})


def wait_configured(number: int, limit_ms: int) -> Operation:
    row = {"cur_cfg": number}
    fixed = {"op": "wait", "table": DATABASE, "where": _ALL, "columns": ["cur_cfg"]}
    return {**fixed, "until": "==", "rows": [row], "timeout": limit_ms}


def select(table: str, *columns: str) -> Operation:
    return {"op": "select", "table": table, "where": _ALL, "columns": list(columns)}
