"""``lab flows`` and ``lab graph``: how packets go."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import click

from testbed.cli.choosing import chosen_lab
from testbed.cli.completing import complete_switches
from testbed.cli.options import Format, OutputFile, lab_option, output_option
from testbed.cli.output import is_document, show, show_document, warn
from testbed.observe.status import Bridge, View
from testbed.operations.errors import BadRequestError

if TYPE_CHECKING:
    from testbed.observe.flows import FlowLine

_KINDS = {".svg": "svg", ".html": "html", ".htm": "html", ".mmd": "mermaid", ".mermaid": "mermaid"}
_LAYERS = ("pods", "tunnels", "routes", "gateways", "eips", "services", "groups")


def _read_layers(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
    """``pods,routes``. Raises ``UsageError`` for a layer that there is not."""
    wanted = tuple(word.strip() for word in value.split(",") if word.strip())
    if unknown := [word for word in wanted if word not in _LAYERS]:
        raise click.UsageError(f"no such layer: {unknown[0]}; there are: {', '.join(_LAYERS)}", ctx)
    return wanted


@click.command()
@click.argument("switch", nargs=-1, shell_complete=complete_switches)
@click.option("-t", "--table", help="Only this table, by name or number.")
@click.option("--for", "owner", help="Only flows for this object: pod/db-0, Node/n1, vm-1, ...")
@click.option("--used", is_flag=True, help="Only flows that packets have hit.")
@click.option("--groups", is_flag=True, help="The groups as well.")
@output_option
@lab_option
def flows(
    switch: tuple[str, ...], table: str | None, owner: str | None, used: bool, groups: bool, output: Format
) -> None:
    """Flow tables as the switches have them, with names for tables and the object and reason behind each flow.

    SWITCH is fabric, a node, or NODE/BRIDGE; all if not given.

    \b
    Example:
      lab flows n1/br-int
      lab flows --for pod/db-0 --used
      lab flows fabric -t ingress -o wide
    """
    from testbed.observe.flows import read_flows, read_groups
    from testbed.report.flows import flows_document, render_flows

    view = View(chosen_lab())
    everything = [(bridge, read_flows(view.rundir, bridge)) for bridge in _find_bridges(view, switch)]
    wanted = [(bridge, _of_table(found, table)) for bridge, found in everything]
    wanted = [(bridge, _of_owner(found, owner)) for bridge, found in wanted]
    _expect_some([flow for _, found in everything for flow in found], [flow for _, found in wanted for flow in found],
                 table, owner)  # fmt: skip
    documents, shown = [], 0
    for bridge, candidates in wanted:
        found = [flow for flow in candidates if flow.packets or not used]
        shown += len(found)
        if is_document(output):
            documents.append(flows_document(bridge.namespace, bridge.name, found))
            continue
        if found or not (owner or used or table):
            title = f"{bridge.namespace}/{bridge.name}: {len(found)} flows"
            for text in render_flows(title, found, wide=output is Format.WIDE):
                show(text)
        if groups:
            for line in read_groups(view.rundir, bridge):
                click.echo(f"  {line}")
    if is_document(output):
        show_document(documents, output)
    elif not shown:
        click.echo("no packet has hit any of these flows; without --used they are shown", err=True)


@click.command()
@click.option("-o", "--output", type=OutputFile(), help="File to write; .svg, .html or .mmd decides.")
@click.option("--html", "page", type=OutputFile(), help="Write the page to click in here.")
@click.option("--format", "kind", type=click.Choice(["svg", "html", "mermaid"]), help="If the name does not say it.")
@click.option("--layers", default=",".join(_LAYERS), show_default=True, callback=_read_layers, help="What is drawn.")
@lab_option
def graph(output: str | None, page: str | None, kind: str | None, layers: tuple[str, ...]) -> None:
    """The running lab as a picture: VPCs, subnets, nodes with their pods, servers, internet hosts, and the links.

    Over it lie layers: pods, tunnels, routes, gateways (NAT gateways and peerings), eips (elastic IPs), services (and
    Ingresses), groups (security groups). The HTML page needs no network; a click on an object shows its addresses,
    routes and flows.

    \b
    Example:
      lab graph -o lab.svg
      lab graph --layers pods,groups -o groups.svg
      lab graph --html lab.html
      lab graph --format mermaid
    """
    rundir = chosen_lab()
    if page is not None:
        output, kind = page, "html"
    kind = kind or _kind_of(output)
    text = _render_graph(View(rundir), kind, layers)
    if output is None:
        sys.stdout.write(text)
        return
    Path(output).write_text(text, encoding="utf-8")
    click.echo(f"{output}: lab {rundir.lab} as {kind}{'; open it in a browser' if kind == 'html' else ''}")


def _kind_of(output: str | None) -> str:
    """By the file's name; Mermaid for what goes to the terminal. Raises ``BadRequestError``."""
    if output is None:
        return "mermaid"
    suffix = Path(output).suffix.lower()
    if suffix not in _KINDS:
        raise BadRequestError(f"{output}: .svg, .html or .mmd says what to write; or say it: --format svg")
    return _KINDS[suffix]


def _render_graph(view: View, kind: str, layers: tuple[str, ...]) -> str:
    from testbed.observe.graph import plan_picture
    from testbed.observe.graph_details import read_details
    from testbed.observe.graph_html import render_html
    from testbed.observe.graph_layers import add_layers
    from testbed.observe.graph_mermaid import render_mermaid
    from testbed.observe.graph_svg import render_svg

    picture = plan_picture(view.rundir.lab, view.memory)
    picture = add_layers(picture, view.memory, view.fabric, view.clusters, layers)
    if kind == "mermaid":
        return render_mermaid(picture)
    if kind == "svg":
        return render_svg(picture)
    missing: list[str] = []
    page = render_html(picture, read_details(view, picture, missing.append), layers)
    warn(f"without its flows: {text}" for text in missing)
    return page


def _of_table(flows: Sequence[FlowLine], table: str | None) -> list[FlowLine]:
    return [flow for flow in flows if table is None or table in (flow.table_name, str(flow.table))]


def _of_owner(flows: Sequence[FlowLine], owner: str | None) -> list[FlowLine]:
    return [flow for flow in flows if owner is None or is_for(flow.owner, owner)]


def _expect_some(
    everything: Sequence[FlowLine], wanted: Sequence[FlowLine], table: str | None, owner: str | None
) -> None:
    """Raises ``BadRequestError`` for a table that no switch has, and for an object that no flow is there for."""
    if table is not None and not _of_table(everything, table):
        names = list(dict.fromkeys(flow.table_name for flow in everything))
        known = f"there are: {', '.join(names)}"
        raise BadRequestError(f"there is no table {table}; {_nearest(table, names, known)}")
    if owner is not None and not wanted:
        word = owner.rpartition("/")[2]
        names = [name for name in (flow.owner.split(" ")[0].rpartition("/")[2] for flow in everything) if name != word]
        where = f" of table {table}" if table else ""
        raise BadRequestError(f"no flow{where} is for {owner}; {_nearest(word, names, 'see: lab get all -A')}")


def _nearest(word: str, names: Sequence[str], otherwise: str) -> str:
    near = get_close_matches(word, names, n=1)
    return f"did you mean {near[0]}?" if near else otherwise


def is_for(owner: str, wanted: str) -> bool:
    """Whether a flow's owner (``Pod/default/db-0``) is what a user means by ``pod/db-0``, ``db-0`` or in full."""
    have, want = owner.lower().split(" ")[0].split("/"), wanted.lower().split("/")
    if len(want) == 1:
        return have[-1] == want[0]
    from testbed.operations.kinds import find_kind

    if len(want) == 2 and want != have:
        return have[0] == find_kind(want[0]).name.lower() and have[-1] == want[1]
    return have == want


def _find_bridges(view: View, words: tuple[str, ...]) -> list[Bridge]:
    if not words:
        return list(view.bridges)
    found = []
    for word in words:
        bridges = [bridge for bridge in view.bridges if word in _names(bridge)]
        if not bridges:
            known = ", ".join(dict.fromkeys(bridge.namespace for bridge in view.bridges))
            raise BadRequestError(f"there is no switch {word}; there are: {known}, and NODE/br-ex, NODE/br-int")
        found += bridges
    return found


def _names(bridge: Bridge) -> tuple[str, ...]:
    full = f"{bridge.namespace}/{bridge.name}"
    return (bridge.namespace, full, full.replace("/", "."))
