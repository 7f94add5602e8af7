"""``lab matrix``: everyone to everyone."""

from __future__ import annotations

from pathlib import Path

import click

from testbed.cli.choosing import chosen_lab
from testbed.cli.completing import complete_hosts
from testbed.cli.options import Format, OutputFile, lab_option, output_option
from testbed.cli.output import is_document, show, show_document
from testbed.cli.progress import progress
from testbed.model.desired import Protocol
from testbed.observe.matrix.cloud import Traffic
from testbed.observe.status import View
from testbed.operations.errors import BadRequestError

MOST_PAIRS = 50_000


@click.command()
@click.option("--from", "sources", multiple=True, shell_complete=complete_hosts, help="Only these senders; web-* fits.")
@click.option("--to", "targets", multiple=True, shell_complete=complete_hosts, help="Only these receivers.")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(["pod", "node", "server", "host"]),
    help="Only members of this kind; all if not given.",
)
@click.option(
    "--services", is_flag=True, help="Services as receivers too, by their cluster addresses; so for --to svc/web."
)
@click.option("--port", type=click.IntRange(1, 65535), help="Destination port; a ping if not given.")
@click.option("--proto", "protocol", type=click.Choice(["tcp", "udp", "icmp"]), help="Default: tcp with --port.")
@click.option("--html", type=OutputFile(), help="Write a page that opens offline as well.")
@output_option
@lab_option
def matrix(
    sources: tuple[str, ...],
    targets: tuple[str, ...],
    kinds: tuple[str, ...],
    services: bool,
    port: int | None,
    protocol: str | None,
    html: str | None,
    output: Format,
) -> None:
    """Who reaches whom: pods, nodes, servers and internet hosts, what is expected beside what real packets find.

    Expected is what the lab's documents promise (routes, security groups, network policies, the network model), worked
    out apart from the flows. Each wrong cell comes with the command that explains it. Exit status 0 when none is wrong.

    \b
    Example:
      lab matrix
      lab matrix --port 8080 --from 'web-*' --services
      lab matrix --kind pod --kind server --html matrix.html
    """
    from testbed.observe.matrix.expected import Expectations
    from testbed.observe.matrix.look import look
    from testbed.observe.matrix.members import KINDS, choose, find_members, find_services
    from testbed.observe.matrix.policies import Policies
    from testbed.report.matrix import matrix_document, render_matrix
    from testbed.report.matrix_html import render_html

    view, traffic = View(chosen_lab()), _traffic(protocol, port)
    members = find_members(view.memory, kinds or KINDS)
    services = services or any(word.startswith("svc/") for word in targets)
    receivers = (*members, *(find_services(view.clusters) if services else ()))
    one, other = choose(members, sources), choose(receivers, targets)
    if len(one) * len(other) > MOST_PAIRS:
        raise BadRequestError(f"{len(one)} x {len(other)} pairs are too many; choose with --kind, --from or --to")
    expectations = Expectations(view.fabric, view.clusters, Policies(view.memory.lab, view.memory.pods))
    with progress(f"{len(one)} x {len(other)} packets"):
        found = look(view.rundir, expectations, one, other, traffic)
    if html:
        Path(html).write_text(render_html(view.rundir.lab, found), encoding="utf-8")
    if is_document(output):
        show_document(matrix_document(found), output)
    else:
        for line in render_matrix(found):
            show(line)
    if found.wrong:
        raise click.exceptions.Exit(1)


def _traffic(protocol: str | None, port: int | None) -> Traffic:
    protocol = protocol or ("tcp" if port else "icmp")
    if protocol == "icmp" and port:
        raise BadRequestError("ICMP has no ports; say --proto tcp or udp with --port")
    if protocol != "icmp" and not port:
        raise BadRequestError(f"say which port: --proto {protocol} --port N")
    return Traffic(Protocol(protocol), port or 0)
