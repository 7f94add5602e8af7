"""``lab trace``: what becomes of a packet."""

from __future__ import annotations

import click

from testbed.cli.choosing import chosen_lab
from testbed.cli.completing import complete_hosts
from testbed.cli.options import Format, lab_option, output_option
from testbed.cli.output import is_document, show, show_document
from testbed.cli.progress import progress
from testbed.observe.status import View
from testbed.observe.trace.results import Request
from testbed.operations.errors import BadRequestError

NAMESPACE = click.option("-n", "--namespace", default="default", help="Of pods and Services; default if not given.")
PROTOCOL = click.option("--proto", "protocol", type=click.Choice(["tcp", "udp", "icmp"]), help="Default: by the port.")
PORT = click.option("--port", type=click.IntRange(1, 65535), help="Destination port.")


@click.command()
@click.argument("source", shell_complete=complete_hosts)
@click.argument("target", shell_complete=complete_hosts)
@PORT
@PROTOCOL
@click.option("--host", metavar="NAME", help="An HTTP request for this host: which server of a proxy gets it.")
@click.option("--path", metavar="PATH", help="The request's path; / if not given.")
@click.option("--live", is_flag=True, help="Send a real packet and look for it at every place.")
@click.option("--hops", is_flag=True, help="Place by place, with what decided there.")
@click.option("-v", "--verbose", is_flag=True, help="Every table and rule, with match and actions.")
@NAMESPACE
@output_option
@lab_option
def trace(
    source: str,
    target: str,
    port: int | None,
    protocol: str | None,
    host: str | None,
    path: str | None,
    live: bool,
    hops: bool,
    verbose: bool,
    namespace: str,
    output: Format,
) -> None:
    """What becomes of a packet from SOURCE to TARGET, there and back, and who decides it.

    SOURCE is a pod, node, server or host; TARGET one of these, a Service, balancer, Ingress or elastic IP; both by name
    or address. Without a port it is a ping, to a Service its first port. The switches and kernels of the running lab
    are asked; nothing is sent unless --live is given. Exit status 0 when it gets through, 1 when not (or when --live
    finds otherwise).

    \b
    Example:
      lab trace web-0 vm-1
      lab trace web-0 svc/web --hops
      lab trace inet eip/for-n1 --port 30080 -v
      lab trace vm-1 ing/shop --host shop.example.com --path /cart
      lab trace pod/shop/web-0 203.0.113.10 --port 8080 --live
    """
    from testbed.observe.trace.live import confirm
    from testbed.observe.trace.naming import read_question
    from testbed.observe.trace.tracer import tracing
    from testbed.observe.verdicts import Verdict
    from testbed.report.traces import Detail, render_trace, trace_document

    view = View(chosen_lab())
    request = _request(host, path)
    question = read_question(view, source, target, protocol or "", port or 0, namespace, request)
    with progress(f"trace {question}") as note, tracing(view) as tracer:
        found, confirmation = tracer.trace(question), None
        if live:
            note("send a real packet")
            found, confirmation = confirm(view.rundir, found)
    if is_document(output):
        show_document(trace_document(found, confirmation), output)
    else:
        everything = verbose or output is Format.WIDE
        detail = Detail.ALL if everything else Detail.HOPS if hops else Detail.BRIEF
        for text in render_trace(found, detail, confirmation):
            show(text)
    if found.verdict is not Verdict.ALLOWED or (confirmation and not confirmation.agrees):
        raise click.exceptions.Exit(1)


def _request(host: str | None, path: str | None) -> Request | None:
    """Without a host it is for what the target is called."""
    if host is None and path is None:
        return None
    if path is not None and not path.startswith("/"):
        raise BadRequestError(f"a path begins with a slash: --path /{path}")
    return Request(host or "", path or "/")
