from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from testbed.emulation import ovsdb
from testbed.emulation.errors import EmulationError
from testbed.emulation.ovs import expect_ports
from testbed.model.wiring import Port, PortKind, Switch
from tests.unit.emulation.wirings import node_with_pods

CONTROLLERS = {"cluster": "unix:/run/x/cluster.sock", "fabric": "unix:/run/x/fabric.sock"}
SWITCH = node_with_pods("a", "b").switches[0]
IDS = {"br-int": "uuid-br", "br-int/p-a": "uuid-a", "br-int/p-b": "uuid-b"}


def rows(operations: list[ovsdb.Operation], table: str) -> list[dict[str, Any]]:
    return [item["row"] for item in operations if item["op"] == "insert" and item["table"] == table]


def test_a_new_bridge_is_secure_and_pinned() -> None:
    operations = ovsdb.insert_bridges(SWITCH.bridges, "netdev", CONTROLLERS)
    (bridge,) = rows(operations, "Bridge")
    assert bridge["fail_mode"] == "secure"
    assert bridge["datapath_type"] == "netdev"
    assert ["datapath-id", "0000000000000011"] in bridge["other_config"][1]
    assert ["hwaddr", "02:00:00:00:01:01"] in bridge["other_config"][1]
    (controller,) = rows(operations, "Controller")
    assert controller["target"] == "unix:/run/x/cluster.sock"
    assert controller["max_backoff"] == 1000
    numbers = {row["name"]: row.get("ofport_request") for row in rows(operations, "Interface")}
    assert numbers == {"br-int": None, "p-a": 100, "p-b": 101}
    assert [row["name"] for row in rows(operations, "Flow_Table")] == ["start", "end"]


def test_every_name_that_is_referred_to_is_declared() -> None:
    operations = ovsdb.insert_bridges(SWITCH.bridges, "netdev", CONTROLLERS)
    declared = {item.get("uuid-name") for item in operations}
    assert named_uuids(operations) <= declared


def test_zones_that_forget_soon() -> None:
    operations = ovsdb.insert_brief_zones((1, 2), "netdev")
    (datapath,) = rows(operations, "Datapath")
    assert [zone for zone, _ in datapath["ct_zones"][1]] == [1, 2]
    assert named_uuids(operations) <= {item.get("uuid-name") for item in operations}
    (policy,) = rows(operations, "CT_Timeout_Policy")
    assert policy["timeouts"] == ["map", [["tcp_close", 1], ["tcp_time_wait", 1]]]
    assert ovsdb.insert_brief_zones((), "netdev") == []


def named_uuids(value: Any) -> set[str]:
    if isinstance(value, list) and len(value) == 2 and value[0] == "named-uuid":
        return {value[1]}
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return set().union(*map(named_uuids, items)) if items else set()


def with_ports(*ports: Port) -> Switch:
    return replace(SWITCH, bridges=(replace(SWITCH.bridges[0], ports=ports),))


def test_ports_come_and_go_in_one_transaction() -> None:
    first, second = SWITCH.bridges[0].ports
    third = Port("p-c", 102, PortKind.SYSTEM, "Pod/default/c")
    operations = ovsdb.change_bridges(SWITCH, with_ports(second, third), "netdev", CONTROLLERS, IDS)
    mutations = [item["mutations"][0] for item in operations if item["op"] == "mutate"]
    assert mutations == [
        ["ports", "delete", ["set", [["uuid", "uuid-a"]]]],
        ["ports", "insert", ["set", [["named-uuid", "c0_p0"]]]],
    ]
    assert [row["name"] for row in rows(operations, "Interface")] == ["p-c"]
    assert first.interface == "p-a"


def test_a_port_with_another_number_is_made_again() -> None:
    first, second = SWITCH.bridges[0].ports
    operations = ovsdb.change_bridges(
        SWITCH, with_ports(replace(first, number=150), second), "netdev", CONTROLLERS, IDS
    )
    assert [item["op"] for item in operations] == ["mutate", "insert", "insert", "mutate"]


def test_nothing_to_do_for_equal_switches() -> None:
    assert ovsdb.change_bridges(SWITCH, SWITCH, "netdev", CONTROLLERS, IDS) == []


def test_settings_are_updated_in_place() -> None:
    bridge = replace(SWITCH.bridges[0], mtu=1400, controller="fabric", tables=("only",), mac="02:00:00:00:01:02")
    operations = ovsdb.change_bridges(SWITCH, replace(SWITCH, bridges=(bridge,)), "netdev", CONTROLLERS, IDS)
    updates = [item["row"] for item in operations if item["op"] == "update"]
    assert {"mtu_request": 1400} in updates
    assert {"controller": ["named-uuid", "c0_c"]} in updates
    assert {"flow_tables": ["map", [[0, ["named-uuid", "c0_t0"]]]]} in updates


GOOD: list[dict[str, Any]] = [
    {"name": "br-int", "ofport": 65534, "error": ["set", []]},
    {"name": "p-a", "ofport": 100, "error": ["set", []]},
    {"name": "p-b", "ofport": 101, "error": ["set", []]},
]


def test_ports_as_asked_are_fine() -> None:
    expect_ports(SWITCH, GOOD)


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"name": "p-b", "ofport": -1, "error": "could not open p-b (No such device)"}, "could not open p-b"),
        ({"name": "p-b", "ofport": 102, "error": ["set", []]}, "has number 102, wanted 101"),
        ({"name": "p-b", "ofport": ["set", []], "error": ["set", []]}, "no port number"),
        ({"name": "other", "ofport": 1, "error": ["set", []]}, "missing"),
    ],
)
def test_a_port_not_as_asked_is_named(row: dict[str, Any], text: str) -> None:
    with pytest.raises(EmulationError, match=text) as caught:
        expect_ports(SWITCH, [*GOOD[:2], row])
    assert "Pod/default/b" in str(caught.value)
