"""Flow tables for people: by table, each flow with why it is there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from rich.text import Text

from testbed.observe.flows import STRANGER, FlowLine


def render_flows(title: str, flows: Iterable[FlowLine], *, wide: bool = False) -> Iterator[Text]:
    """Three short lines a flow, with room to break between actions; ``wide``: one line a flow, for grep."""
    yield Text(title, style="bold")
    table = -1
    for flow in flows:
        if flow.table != table:
            table = flow.table
            yield Text(f" table {table} {flow.table_name}", style="bold cyan")
        yield _one_line(flow) if wide else _three_lines(flow)


def flows_document(namespace: str, bridge: str, flows: Iterable[FlowLine]) -> dict[str, Any]:
    return {"host": namespace, "bridge": bridge, "flows": [asdict(flow) for flow in flows]}


def _three_lines(flow: FlowLine) -> Text:
    text = Text(f"  {flow.priority:>5}  {flow.match}  ")
    text.append(f"{flow.packets} packets\n", style="bold" if flow.packets else "dim")
    text.append(f"         -> {flow.actions.replace(',', ', ')}\n")
    return text.append(f"         {_why(flow)}", style="bold red" if flow.owner == STRANGER else "dim")


def _one_line(flow: FlowLine) -> Text:
    text = Text(f"  {flow.priority:>5}  {flow.packets:>7}  {flow.match}  ->  {flow.actions}  ")
    return text.append(f"# {_why(flow)}", style="bold red" if flow.owner == STRANGER else "dim")


def _why(flow: FlowLine) -> str:
    if flow.owner == STRANGER:
        return f"nobody in the lab asked for it (cookie {flow.cookie})"
    return f"{flow.owner}: {flow.note}" if flow.note else flow.owner
