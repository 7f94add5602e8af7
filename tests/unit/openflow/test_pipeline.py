"""Declarations are enforced: on themselves, on every flow, on every program."""

from __future__ import annotations

import dataclasses
from ipaddress import IPv4Address
from typing import Any

import pytest

from controllers.openflow import (
    ANY,
    Bucket,
    Clone,
    ContractError,
    Copy,
    Ct,
    DecTtl,
    Dnat,
    FieldError,
    Flow,
    Group,
    GroupKind,
    Nat,
    Output,
    Pipeline,
    PopVlan,
    ProgramError,
    PushVlan,
    Resubmit,
    SetField,
    Table,
    ToGroup,
    Zone,
    build_part,
    build_program,
    cookie_of,
    ct_mark,
    fields,
    match,
    register,
)

VPC = register("vpc", 0, low=0, width=12, doc="the packet's VPC")
ENI = register("eni", 0, low=12, width=16)
OTHER = register("other", 5)
MARK = ct_mark("origin", width=4)
SECURITY = Zone("security", 1)
PIPELINE = Pipeline(
    "test",
    (
        Table("classify", "Who sent it.", (fields.IN_PORT, fields.TCP_DST), (VPC, fields.IP_TTL), ("route", "track")),
        Table(
            "track", "Known?", (fields.CT_STATE, VPC, fields.ETH_TYPE), (MARK, ENI), ("route", "classify"), miss="route"
        ),
        Table("route", "Where to.", (VPC, fields.IPV4_DST, fields.VLAN_VID), (fields.ETH_DST, fields.VLAN_VID)),
    ),
    (VPC, ENI, MARK),
    (SECURITY,),
)


def flow(table: str, what: Any = ANY, *actions: Any, goto: str | None = None) -> Flow:
    return Flow(table, 10, what, actions, goto, owner="Pod/default/web-0", note="why")


IP = match(eth_type=0x0800)


@pytest.mark.parametrize(
    "fine",
    [
        flow("classify", match(in_port=1, tcp_dst=80), SetField(VPC, 3), DecTtl(), goto="track"),
        flow("track", match({VPC: (1, 1)}, ct_state="+trk+new", eth_type=0x0800)),
        flow(
            "track", match(ct_state="+trk+new", eth_type=0x0800), Ct(SECURITY, commit=True, sets=(SetField(MARK, 1),))
        ),
        flow("track", IP, Ct(SECURITY, "classify")),
        flow("track", ANY, Resubmit("classify"), goto="route"),
        flow("route", match(vlan_vid=(0x1000, 0x1000)), PopVlan(), Output(1)),
        flow("route", ANY, PushVlan(), SetField(fields.VLAN_VID, 3), Output(1)),
    ],
    ids=lambda value: value.table,
)
def test_what_a_table_declares_it_may_do(fine: Flow) -> None:
    PIPELINE.check_flow(fine)


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (flow("nowhere"), "no table 'nowhere'"),
        (flow("classify", match(eth_src="02:00:00:00:00:01")), "matches eth_src/0xffffffffffff, which the table"),
        (flow("classify", match({VPC: 1})), "matches reg0/0xfff, which the table"),
        (flow("route", match({ENI: 1})), "matches reg0/0xffff000, which the table"),
        (flow("classify", ANY, SetField(ENI, 1)), "sets eni, which the table"),
        (flow("classify", ANY, Copy(VPC, register("twelve", 5, width=12))), "sets twelve, which the table"),
        (flow("classify", ANY, Clone((SetField(ENI, 1),))), "sets eni"),
        (flow("route", IP, DecTtl()), "sets ip_ttl"),
        (flow("classify", ANY, PushVlan()), "sets vlan_vid"),
        (flow("route", ANY, goto="classify"), "goes to 'classify', which the table"),
        (flow("track", ANY, goto="classify"), "goes back to 'classify'; only ct and resubmit can"),
        (flow("route", ANY, Resubmit("track")), "resubmits to 'track'"),
        (flow("route", IP, Ct(SECURITY, "track")), "goes to 'track' by ct"),
        (flow("track", IP, Ct(Zone("else", 2), "route")), "uses zone else"),
        (flow("classify", IP, Ct(SECURITY, commit=True, sets=(SetField(MARK, 1),))), "sets origin"),
        (flow("classify", ANY, DecTtl()), "decreases ip_ttl, which needs a match on eth_type=0x800"),
        (flow("track", ANY, Ct(SECURITY, "route")), "tracks the connection"),
        (flow("route", ANY, PopVlan()), "pops a tag without matching one"),
        (flow("route", ANY, SetField(fields.VLAN_VID, 3)), "sets vlan_vid without PushVlan"),
    ],
)
def test_anything_else_is_refused_and_names_the_owner(bad: Flow, text: str) -> None:
    with pytest.raises(ContractError) as raised:
        PIPELINE.check_flow(bad)
    assert text in str(raised.value)
    assert "flow of Pod/default/web-0" in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"bits": (VPC, register("twin", 0, low=11, width=1))}, "bits vpc and twin overlap in reg0"),
        ({"bits": (VPC, register("vpc", 6))}, "two bits are called vpc"),
        ({"bits": (VPC, ENI)}, "table track uses bits origin"),
        ({"zones": (SECURITY, Zone("twin", 1))}, "zones security and twin are both 1"),
        ({"tables": (*PIPELINE.tables, Table("route", "again"))}, "two tables have one name"),
        ({"tables": (Table("a", "", goes=("b",)),)}, "table a goes to unknown table 'b'"),
        ({"tables": (Table("a", ""), Table("b", "", miss="a"))}, "table b goes back to 'a' on a miss"),
        ({"tables": (Table("a", "", miss="c"),)}, "table a goes to unknown table 'c'"),
        ({"tables": tuple(Table(f"t{n}", "") for n in range(255))}, "more than 254 tables"),
    ],
)
def test_a_pipeline_that_contradicts_itself_is_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ContractError, match="pipeline test") as raised:
        dataclasses.replace(PIPELINE, **changes)
    assert text in str(raised.value)


def test_every_table_has_an_explicit_miss() -> None:
    assert [(each.table, each.priority, each.goto) for each in PIPELINE.misses] == [
        ("classify", 0, None),
        ("track", 0, "route"),
        ("route", 0, None),
    ]


def test_a_program_adds_the_misses_that_nobody_overrides() -> None:
    mine = Flow("route", 0, ANY, (Output(1),), owner="Pod/default/web-0")
    program = build_program(PIPELINE, [mine])
    assert len(program.flows) == 3
    assert program.flows[mine.key] is mine


def test_two_owners_that_contradict_each_other_are_both_named() -> None:
    one = dataclasses.replace(flow("route", IP, Output(1)), owner="Pod/default/a")
    other = dataclasses.replace(flow("route", IP, Output(2)), owner="Pod/default/b")
    with pytest.raises(ProgramError, match=r"Pod/default/a .* and Pod/default/b"):
        build_program(PIPELINE, [one, other])
    assert len(build_program(PIPELINE, [one, dataclasses.replace(one, owner="Pod/default/b")]).flows) == 4


def test_groups_are_there_once_and_before_they_are_used() -> None:
    group = Group(3, GroupKind.SELECT, (Bucket((Output(1),)),), "Service/default/a")
    to_group = flow("route", IP, ToGroup(3))
    assert build_program(PIPELINE, [to_group], [group, group]).groups == {3: group}
    with pytest.raises(ProgramError, match="uses missing group 3"):
        build_program(PIPELINE, [to_group])
    with pytest.raises(ProgramError, match="wanted by Service/default/a and by Service/default/b"):
        build_program(PIPELINE, [], [group, dataclasses.replace(group, owner="Service/default/b")])


def test_buckets_use_declared_bits_and_tables() -> None:
    with pytest.raises(ContractError, match="group 3 of Service/default/a sets other"):
        build_program(PIPELINE, [], [Group(3, GroupKind.ALL, (Bucket((SetField(OTHER, 1),)),), "Service/default/a")])
    with pytest.raises(ContractError, match="resubmits to 'nowhere'"):
        build_program(PIPELINE, [], [Group(3, GroupKind.ALL, (Bucket((Resubmit("nowhere"),)),), "Service/default/a")])


def test_cookies_lead_back_to_the_object() -> None:
    program = build_program(PIPELINE, [flow("route", IP, Output(1))])
    assert program.cookies[cookie_of("Pod/default/web-0", "why")] == ("Pod/default/web-0", "why")
    assert cookie_of("Pod/default/web-0", "why") == 0xC10D9E4D808C6563
    assert cookie_of("a", "b") != cookie_of("ab", "")


def test_what_makes_no_sense_is_refused_at_once() -> None:
    with pytest.raises(FieldError, match="needs commit"):
        Ct(SECURITY, nat=Dnat(IPv4Address("10.0.0.1")))
    with pytest.raises(FieldError, match="only be set when it is committed"):
        Ct(SECURITY, sets=(SetField(MARK, 1),))
    with pytest.raises(FieldError, match="vpc is not of the connection's mark"):
        Ct(SECURITY, commit=True, sets=(SetField(VPC, 1),))
    with pytest.raises(FieldError, match="a zone is 16 bits, vpc has 12"):
        Ct(VPC, nat=Nat())
    with pytest.raises(FieldError, match="the widths differ"):
        Copy(VPC, ENI)
    with pytest.raises(FieldError, match="an indirect group has one bucket"):
        Group(1, GroupKind.INDIRECT, ())


def test_a_part_is_checked_once_and_belongs_to_several_programs() -> None:
    shared = flow("route", IP, ToGroup(3))
    group = Group(3, GroupKind.SELECT, (Bucket((Output(1),)),), "Service/default/a")
    part = build_part(PIPELINE, [shared], [group])
    own = Flow("route", 20, IP, (Output(1),), owner="Pod/default/a")
    programs = [build_program(PIPELINE, flows, parts=[part]) for flows in ([own], [])]
    assert [len(each.flows) for each in programs] == [5, 4]
    assert all(each.flows[shared.key] is shared and each.groups == {3: group} for each in programs)
    with pytest.raises(ContractError, match="sets eni"):
        build_part(PIPELINE, [flow("classify", ANY, SetField(ENI, 1))])
    with pytest.raises(ProgramError, match="uses missing group 3"):
        build_program(PIPELINE, [], parts=[build_part(PIPELINE, [shared])])
    with pytest.raises(ProgramError, match="Pod/default/b"):
        build_program(PIPELINE, [Flow(*shared.key, owner="Pod/default/b")], parts=[part])
