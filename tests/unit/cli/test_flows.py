"""What a switch dumps, read back with names and objects."""

from __future__ import annotations

import pytest

from testbed.cli.seeing import _expect_some, _of_owner, _of_table, is_for
from testbed.observe.flows import STRANGER, parse_flows
from testbed.operations.errors import BadRequestError
from testbed.report.flows import render_flows

DUMP = """OFPST_FLOW reply (OF1.4) (xid=0x2):
 cookie=0xc10d000000000001, duration=1.052s, table=0, n_packets=3, n_bytes=294, priority=100,ip,in_port=100 \
actions=set_field:0x64->reg1,goto_table:1
 cookie=0xc10d000000000002, duration=1.052s, table=1, n_packets=0, n_bytes=0, send_flow_rem priority=0 actions=drop
 cookie=0x0, duration=0.5s, table=1, n_packets=0, n_bytes=0, actions=resubmit(,0),NORMAL
"""

COOKIES = {
    "0xc10d000000000001": ["Pod/default/db-0", "sends as itself"],
    "0xc10d000000000002": ["Node/n1", "nothing else"],
}


def test_flows_have_names_for_tables_owners_and_jumps() -> None:
    first, second, third = parse_flows(DUMP, ("classify", "spoof"), COOKIES)
    assert (first.table_name, first.priority, first.match) == ("classify", 100, "ip,in_port=100")
    assert first.actions == "set_field:0x64->reg1,goto_table:spoof"
    assert (first.owner, first.note, first.packets, first.bytes) == ("Pod/default/db-0", "sends as itself", 3, 294)
    assert (second.match, second.actions, second.priority) == ("everything", "drop", 0)
    assert (third.owner, third.priority, third.actions) == (STRANGER, 32768, "resubmit(,classify),NORMAL")


def test_a_stranger_among_the_flows_is_named_as_one() -> None:
    text = "\n".join(map(str, render_flows("n1/br-int", parse_flows(DUMP, (), COOKIES))))
    assert "nobody in the lab asked for it (cookie 0x0)" in text
    assert "Pod/default/db-0: sends as itself" in text


def test_what_users_call_an_owner() -> None:
    assert is_for("Pod/default/db-0", "pod/db-0")
    assert is_for("Pod/default/db-0", "po/db-0")
    assert is_for("Pod/default/db-0", "db-0")
    assert is_for("Pod/default/db-0", "Pod/default/db-0")
    assert is_for("SecurityGroup/web (f.yaml:3)", "sg/web")
    assert not is_for("Pod/default/db-0", "node/db-0")
    assert not is_for("Pod/default/db-0", "db")


@pytest.mark.parametrize(
    ("table", "owner", "said"),
    [
        ("clasify", None, "there is no table clasify; did you mean classify?"),
        ("9", None, "there is no table 9; there are: classify, spoof"),
        (None, "db-1", "no flow is for db-1; did you mean db-0?"),
        (None, "vm", "no flow is for vm; see: lab get all -A"),
        ("spoof", "pod/db-0", "no flow of table spoof is for pod/db-0; see: lab get all -A"),
    ],
)
def test_a_table_or_an_object_without_flows_is_said(table: str | None, owner: str | None, said: str) -> None:
    flows = list(parse_flows(DUMP, ("classify", "spoof"), COOKIES))
    with pytest.raises(BadRequestError) as raised:
        _expect_some(flows, _of_owner(_of_table(flows, table), owner), table, owner)
    assert str(raised.value) == said
    _expect_some(flows, flows, "classify", "db-0")
