"""``lab status``: the verdict first, then what is wrong, then the parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from testbed.model.codec import to_plain
from testbed.observe.status_items import Column, age
from testbed.observe.status_summary import Health
from testbed.report.text import render_table

MOST_PROBLEMS = 10


def render_health(health: Health, *, wide: bool = False) -> RenderableType:
    return Group(_verdict(health), *_problems(health), Text(), _facts(health), Text(), _nodes(health, wide))


def render_labs(healths: Sequence[Health]) -> Table:
    columns = (Column("LAB"), Column("STATUS"), Column("AGE"), Column("NODES"), Column("PODS"), Column("DATAPATH"))
    rows = (
        (
            health.lab,
            f"{len(health.problems)} problems" if health.problems else "ok",
            age(health.started),
            str(len(health.nodes)),
            str(sum(count for _, count in health.pods)),
            health.datapath,
        )
        for health in healths
    )
    return render_table(columns, rows)


def health_document(health: Health) -> dict[str, Any]:
    plain = to_plain(health)
    assert isinstance(plain, dict)
    return {
        **plain,
        "ok": not health.problems,
        "programs": dict(health.programs),
        "pods": dict(health.pods),
        "problems": list(health.problems),
    }


def _verdict(health: Health) -> Text:
    text = Text(f"lab {health.lab} ")
    if not health.problems:
        return text.append("is well", style="bold green")
    count = len(health.problems)
    return text.append(f"has {count} {'problem' if count == 1 else 'problems'}", style="bold red")


def _problems(health: Health) -> list[Text]:
    lines = [Text(f"  {problem}", style="red") for problem in health.problems[:MOST_PROBLEMS]]
    if len(health.problems) > MOST_PROBLEMS:
        lines.append(Text(f"  and {len(health.problems) - MOST_PROBLEMS} more; see: lab get nodes, lab get pods -A"))
    return lines


def _facts(health: Health) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    pods = ", ".join(f"{count} {state}" for state, count in health.pods) or "none"
    programs = ", ".join(f"{name} {'does not run' if pid is None else f'pid {pid}'}" for name, pid in health.programs)
    since = f"in force for {age(health.changed)}, took {health.seconds:.1f} s"
    table.add_row("Generation", f"{health.generation}, {since}")
    table.add_row("Made of", ", ".join(health.files))
    table.add_row("Datapath", health.datapath)
    table.add_row("Programs", programs)
    table.add_row("Pods", pods)
    table.add_row("Hosts", str(health.hosts))
    return table


def _nodes(health: Health, wide: bool) -> Table:
    columns = (
        Column("NODE"),
        Column("STATUS"),
        Column("IP"),
        Column("PODS", right=True),
        Column("FLOWS", right=True),
        Column("REASON", flexible=True),
    )
    fabric = health.fabric
    rows = [("fabric", "Ready" if fabric.state == "in force" else "NotReady", "", "", str(fabric.flows), "")]
    rows += [
        (
            node.name,
            "Ready" if node.ready else "NotReady",
            node.address,
            str(node.pods),
            str(node.flows),
            node.reason,
        )
        for node in health.nodes
    ]
    if not any(row[-1] for row in rows):
        return render_table(columns[:-1], [row[:-1] for row in rows], wide=wide)
    return render_table(columns, rows, wide=wide)
