"""A pipeline is one ordered declaration of tables, and it is enforced.

The position is the table's number. Each table says what it may match and set and where it may go; a flow that
does anything else raises ContractError with its owner. The same declaration makes the pipeline document::

    PIPELINE = Pipeline(
        role="vpc",
        doc="One packet from server to server ...",
        bits=(SRC_ENI, VPC),
        zones=(SECURITY,),
        tables=(
            Table("classify", "Which ENI sent it.", matches=(IN_PORT,), sets=(SRC_ENI, VPC), goes=("route",)),
            Table("route", "Longest prefix wins.", matches=(VPC, IPV4_DST), sets=(ETH_DST,), miss=DROP),
        ),
    )
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from controllers.openflow import fields as f
from controllers.openflow import flows as a
from controllers.openflow.prerequisites import prerequisite_problem

DROP = "drop"
_ONLY_BY_BITS = frozenset((*f.REGISTERS, f.CT_MARK, f.CT_LABEL))
LAST_TABLE = 253
"""254 is Open vSwitch's own."""


class ContractError(ValueError):
    """A pipeline contradicts itself, or a flow breaks its table's contract; the text names both."""


@dataclass(frozen=True, slots=True)
class Table:
    """One stage. ``doc`` is the sentence for the document; ``matches`` and ``sets`` are fields or named bits;
    ``goes`` are tables reached by goto, ct or resubmit; ``miss`` is DROP or the table where others go on;
    ``learned`` tables also get flows by Learn actions, which audits leave alone.

    Prerequisites (``eth_type``, ``ip_proto``) of what is declared may always be matched. DecTtl counts as
    setting ``ip_ttl``, pushing and popping a tag as setting ``vlan_vid``; translation by ct needs no
    declaration.
    """

    name: str
    doc: str
    matches: tuple[f.Target, ...] = ()
    sets: tuple[f.Target, ...] = ()
    goes: tuple[str, ...] = ()
    miss: str = DROP
    learned: bool = False


@dataclass(frozen=True)
class Pipeline:
    """The tables of one kind of bridge. Raises ContractError when it contradicts itself.

    ``role`` names it (``vpc``, ``br-int``); ``doc`` holds the packet walks for the document.
    """

    role: str
    tables: tuple[Table, ...]
    bits: tuple[f.Bits, ...] = ()
    zones: tuple[f.Zone, ...] = ()
    doc: str = ""
    ids: dict[str, int] = field(init=False, repr=False, compare=False)
    _contracts: dict[str, _Contract] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", {table.name: number for number, table in enumerate(self.tables)})
        problems = [*_table_problems(self), *_bit_problems(self), *_zone_problems(self)]
        if problems:
            raise ContractError(f"pipeline {self.role}: " + "; ".join(problems))
        object.__setattr__(self, "_contracts", {table.name: _contract(table) for table in self.tables})

    def __hash__(self) -> int:
        return hash(self.role)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Table names; the position is the number."""
        return tuple(table.name for table in self.tables)

    @cached_property
    def misses(self) -> tuple[a.Flow, ...]:
        """The explicit table-miss flow of every table."""
        return tuple(
            a.Flow(
                table.name,
                0,
                a.ANY,
                goto=None if table.miss == DROP else table.miss,
                owner=f"Pipeline/{self.role}",
                note="nothing else matched",
            )
            for table in self.tables
        )

    @cached_property
    def _bucket_contract(self) -> _Contract:
        headers = (each for each in f.FIELDS.values() if each not in _ONLY_BY_BITS)
        return _Contract("group", {}, _masks((*self.bits, *headers)), frozenset(self.ids))

    def contract_of(self, table: str) -> _Contract:
        return self._contracts[table]

    def check_flow(self, flow: a.Flow) -> None:
        """Raise ContractError when the flow does what its table doesn't declare."""
        contract = self._contracts.get(flow.table)
        if contract is None:
            raise ContractError(f"pipeline {self.role}: flow of {flow.owner}: no table {flow.table!r}")
        problem = (
            _match_problem(contract, flow.match)
            or _goto_problem(self, contract, flow.goto)
            or next(filter(None, (_action_problem(self, contract, each) for each in flow.actions)), None)
            or prerequisite_problem(flow.match, flow.actions)
        )
        if problem:
            note = f" ({flow.note})" if flow.note else ""
            where = f"pipeline {self.role}, table {flow.table}"
            raise ContractError(f"{where}: flow of {flow.owner}{note} {problem}")

    def check_group(self, group: a.Group) -> None:
        """Raise ContractError when a bucket uses bits or tables that the pipeline doesn't have."""
        for bucket in group.buckets:
            if sum(isinstance(each, _ENDINGS) for each in bucket.actions) > 1:
                raise ContractError(
                    f"pipeline {self.role}: group {group.id} of {group.owner} has a bucket with several of group, "
                    "output, resubmit and ct: Open vSwitch does only one of them"
                )
            for each in bucket.actions:
                problem = _action_problem(self, self._bucket_contract, each)
                if isinstance(each, a.Learn):
                    problem = "learns in a bucket, which Open vSwitch doesn't do: resubmit to a table that learns"
                if problem:
                    raise ContractError(f"pipeline {self.role}: group {group.id} of {group.owner} {problem}")


_ENDINGS = (a.ToGroup, a.Output, a.OutputFrom, a.InPort, a.Local, a.Resubmit, a.Ct)
"""A bucket is an action set, where the last of the first kind that occurs wins (``ofpacts_execute_action_set``)."""


@dataclass(frozen=True, slots=True)
class _Contract:
    """A table's declaration, as the bits of each field that may be matched and set."""

    table: str
    matches: dict[f.Field, int]
    sets: dict[f.Field, int]
    goes: frozenset[str]


def _contract(table: Table) -> _Contract:
    matches = _masks(table.matches)
    for declared in tuple(matches):
        for name, _ in declared.needs:
            matches[f.FIELDS[name]] = f.FIELDS[name].full
    goes = table.goes if table.miss == DROP else (*table.goes, table.miss)
    return _Contract(table.name, matches, _masks(table.sets), frozenset(goes))


def _masks(targets: tuple[f.Target, ...]) -> dict[f.Field, int]:
    masks: dict[f.Field, int] = {}
    for target in targets:
        where = f.target_field(target)
        masks[where] = masks.get(where, 0) | f.target_mask(target)
    return masks


def _match_problem(contract: _Contract, wanted: a.Match) -> str | None:
    for where, _, mask in wanted.items:
        if mask & ~contract.matches.get(where, 0):
            return f"matches {where.name}/{mask:#x}, which the table doesn't declare"
    return None


def _goto_problem(pipeline: Pipeline, contract: _Contract, goto: str | None) -> str | None:
    if goto is None:
        return None
    if goto not in contract.goes:
        return f"goes to {goto!r}, which the table doesn't declare"
    if pipeline.ids[goto] <= pipeline.ids[contract.table]:
        return f"goes back to {goto!r}; only ct and resubmit can"
    return None


def _action_problem(pipeline: Pipeline, contract: _Contract, action: a.Action) -> str | None:
    """What is wrong with an action here, or None."""
    match action:
        case a.SetField(target=target) | a.Copy(target=target):
            return _set_problem(contract, target)
        case a.DecTtl():
            return _set_problem(contract, f.IP_TTL)
        case a.PushVlan() | a.PopVlan():
            return _set_problem(contract, f.VLAN_VID)
        case a.Resubmit(table=table):
            known = table in contract.goes
            return None if known else f"resubmits to {table!r}, which the table doesn't declare"
        case a.Learn():
            return _learn_problem(pipeline, action)
        case a.Clone(actions=actions):
            problems = (_action_problem(pipeline, contract, each) for each in actions)
            return next(filter(None, problems), None)
        case a.Ct():
            return _ct_problem(pipeline, contract, action)
        case _:
            return None


def _learn_problem(pipeline: Pipeline, learn: a.Learn) -> str | None:
    """The new flow has to keep the contract of its own table."""
    table = next((each for each in pipeline.tables if each.name == learn.table), None)
    if table is None or not table.learned:
        return f"learns into {learn.table!r}, which isn't declared as a learned table"
    contract = pipeline.contract_of(learn.table)
    for target, _ in learn.matches:
        if f.target_mask(target) & ~contract.matches.get(f.target_field(target), 0):
            return f"learns a match on {target.name}, which table {learn.table} doesn't declare"
    return next(filter(None, (_set_problem(contract, target) for target, _ in learn.sets)), None)


def _set_problem(contract: _Contract, target: f.Target) -> str | None:
    if f.target_mask(target) & ~contract.sets.get(f.target_field(target), 0):
        return f"sets {target.name}, which the table doesn't declare"
    return None


def _ct_problem(pipeline: Pipeline, contract: _Contract, ct: a.Ct) -> str | None:
    if ct.table is not None and ct.table not in contract.goes:
        return f"goes to {ct.table!r} by ct, which the table doesn't declare"
    if isinstance(ct.zone, f.Zone) and ct.zone not in pipeline.zones:
        return f"uses zone {ct.zone.name}, which the pipeline doesn't declare"
    return next(filter(None, (_set_problem(contract, each.target) for each in ct.sets)), None)


def _table_problems(pipeline: Pipeline) -> list[str]:
    problems = []
    if len(pipeline.ids) != len(pipeline.tables):
        problems.append("two tables have one name")
    if len(pipeline.tables) > LAST_TABLE + 1:
        problems.append(f"more than {LAST_TABLE + 1} tables")
    for number, table in enumerate(pipeline.tables):
        unknown = [name for name in (*table.goes, table.miss) if name != DROP and name not in pipeline.ids]
        problems += [f"table {table.name} goes to unknown table {name!r}" for name in unknown]
        if table.miss != DROP and pipeline.ids.get(table.miss, number + 1) <= number:
            problems.append(f"table {table.name} goes back to {table.miss!r} on a miss")
        problems += [
            f"table {table.name} uses bits {each.name}, which the pipeline doesn't declare"
            for each in (*table.matches, *table.sets)
            if isinstance(each, f.Bits) and each not in pipeline.bits
        ]
    return problems


def _bit_problems(pipeline: Pipeline) -> list[str]:
    names = [each.name for each in pipeline.bits]
    problems = [f"two bits are called {name}" for name in sorted(set(names)) if names.count(name) > 1]
    for number, one in enumerate(pipeline.bits):
        problems += [
            f"bits {one.name} and {other.name} overlap in {one.field.name}"
            for other in pipeline.bits[number + 1 :]
            if one.overlaps(other)
        ]
    return problems


def _zone_problems(pipeline: Pipeline) -> list[str]:
    seen: dict[int, str] = {}
    problems = []
    for zone in pipeline.zones:
        if zone.number in seen:
            problems.append(f"zones {seen[zone.number]} and {zone.name} are both {zone.number}")
        seen[zone.number] = zone.name
    return problems
