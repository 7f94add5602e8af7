"""``lab conntrack``: connections that switches and kernels remember."""

from __future__ import annotations

from difflib import get_close_matches

import click

from testbed.cli.choosing import chosen_lab
from testbed.cli.completing import complete_hosts, complete_switches
from testbed.cli.options import Format, lab_option, output_option
from testbed.cli.output import is_document, show, show_document
from testbed.observe.status import View
from testbed.operations.errors import BadRequestError


@click.command()
@click.argument("nodes", nargs=-1, shell_complete=complete_switches)
@click.option("--for", "words", multiple=True, shell_complete=complete_hosts, help="Only connections of this object.")
@click.option("--nat", "translated", is_flag=True, help="Only those that are translated.")
@click.option("-n", "--namespace", default="default", help="Of pods and Services; default if not given.")
@output_option
@lab_option
def conntrack(nodes: tuple[str, ...], words: tuple[str, ...], translated: bool, namespace: str, output: Format) -> None:
    """Tracked connections of NODES (nodes, or fabric; all if not given), with the names of zones and of addresses.

    A zone of the fabric is a VPC, a balancer or a NAT gateway, which each remember for themselves; of a node
    it is the Service translation, or its own kernel.

    \b
    Example:
      lab conntrack n1 --nat
      lab conntrack fabric --for web-0
      lab conntrack --for svc/web -o json
    """
    from testbed.observe.subjects import addresses_of, names_of_addresses
    from testbed.observe.tracked import read_tracked
    from testbed.report.tracked import render_tracked, tracked_document

    view = View(chosen_lab())
    wanted = {address for word in words for address in addresses_of(view, word, namespace)}
    found = [
        one
        for node in _find(view, nodes)
        for one in read_tracked(view, node)
        if (not wanted or one.addresses & wanted) and (one.translation or not translated)
    ]
    names = names_of_addresses(view)
    if is_document(output):
        show_document(tracked_document(found, names), output)
    elif found:
        show(render_tracked(found, names))
    else:
        click.echo("nothing such is tracked now; a connection is forgotten soon after its end", err=True)


def _find(view: View, words: tuple[str, ...]) -> list[str]:
    known = list(dict.fromkeys(bridge.namespace for bridge in view.bridges))
    for word in words:
        if word not in known:
            near = get_close_matches(word, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
            raise BadRequestError(f"there is no node {word} that tracks connections; {hint}")
    return list(words) or known
