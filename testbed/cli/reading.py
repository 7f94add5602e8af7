"""``lab status``, ``get``, ``describe``: what is there and whether it is well."""

from __future__ import annotations

import time

import click

from testbed.cli.choosing import chosen_lab, readable_labs
from testbed.cli.completing import complete_objects
from testbed.cli.options import Format, lab_option, output_option, settings
from testbed.cli.output import is_document, show, show_document
from testbed.emulation.changes import render_object
from testbed.emulation.rundir import RunDir
from testbed.observe.status import View
from testbed.observe.status_items import Item, Resource
from testbed.observe.status_resources import ALL, find_resource, read_items, read_wiring
from testbed.observe.status_summary import Health, read_health
from testbed.operations.edits import read_targets
from testbed.operations.errors import BadRequestError
from testbed.report.health import health_document, render_health, render_labs
from testbed.report.objects import items_document, render_description, render_items

NAMESPACE = click.option("-n", "--namespace", default="default", help="Which namespace; default if not given.")
EVERYWHERE = click.option("-A", "--all-namespaces", is_flag=True, help="All namespaces.")


@click.command()
@output_option
@lab_option
def status(output: Format) -> None:
    """Is the lab well? Its nodes, switches, controllers and pods; what is wrong first. Exit status 1 when it is not.

    \b
    Example:
      lab status
      lab status -o json
    """
    labs = readable_labs()
    if settings().lab is None and len(labs) > 1 and not is_document(output):
        healths = [read_health(View(RunDir.of(name))) for name in labs]
        show(render_labs(healths))
    else:
        healths = [read_health(View(chosen_lab()))]
        if is_document(output):
            show_document(health_document(healths[0]), output)
        else:
            show(render_health(healths[0], wide=output is Format.WIDE))
    _exit_by(healths)


@click.command()
@click.argument("what", nargs=-1, required=True, shell_complete=complete_objects)
@NAMESPACE
@EVERYWHERE
@click.option("-w", "--watch", is_flag=True, help="Show it again every second until Ctrl-C.")
@output_option
@lab_option
def get(what: tuple[str, ...], namespace: str, all_namespaces: bool, watch: bool, output: Format) -> None:
    """List objects. WHAT is a kind, kinds with commas, KIND NAME..., KIND/NAME or all.

    \b
    Example:
      lab get pods -o wide
      lab get no,po,srv
      lab get pod/db-0 -o yaml
      lab get routes
      lab get all -A
    """
    scope = None if all_namespaces else namespace
    while True:
        shown = _find(View(chosen_lab()), what, scope)
        if watch:
            click.clear()
        _show_items(shown, output, all_namespaces)
        if not watch:
            return
        time.sleep(1)


@click.command()
@click.argument("what", nargs=-1, required=True, shell_complete=complete_objects)
@NAMESPACE
@output_option
@lab_option
def describe(what: tuple[str, ...], namespace: str, output: Format) -> None:
    """Everything about an object: what was asked, what it got, what exists on the machine for it.

    \b
    Example:
      lab describe pod/db-0
      lab describe node n1
    """
    view = View(chosen_lab())
    documents = []
    for target in read_targets(what, namespace):
        resource = find_resource(target.kind.plural)
        (item, *_) = read_items(view, resource, target.namespace or None, (target.name,))
        if is_document(output):
            documents.append(item.document)
        else:
            wiring = (render_object(kind, thing) for kind, thing in read_wiring(view, item.owner))
            show(render_description(item, wiring))
    if documents:
        show_document(documents[0] if len(documents) == 1 else documents, output)


def _find(view: View, what: tuple[str, ...], namespace: str | None) -> list[tuple[Resource, list[Item]]]:
    if what == ("all",):
        found = [(find_resource(word), read_items(view, find_resource(word), namespace)) for word in ALL]
        return [(resource, items) for resource, items in found if items]
    if "/" in what[0]:
        shown = []
        for target in read_targets(what, namespace or "default"):
            resource = find_resource(target.kind.plural)
            shown.append((resource, read_items(view, resource, namespace, (target.name,))))
        return shown
    words = what[0].split(",")
    if len(words) > 1 and len(what) > 1:
        raise BadRequestError("names go with one kind; say KIND/NAME KIND/NAME instead")
    return [(find_resource(word), read_items(view, find_resource(word), namespace, what[1:])) for word in words]


def _show_items(shown: list[tuple[Resource, list[Item]]], output: Format, namespaces: bool) -> None:
    if is_document(output):
        items = [item for _, found in shown for item in found]
        single = len(items) == 1 and len(shown) == 1
        show_document(items[0].document if single else items_document(items), output)
        return
    if not any(items for _, items in shown):
        click.echo(f"no {', no '.join(resource.kind.plural for resource, _ in shown)} here", err=True)
    for position, (resource, items) in enumerate((resource, items) for resource, items in shown if items):
        if position:
            click.echo()
        wide = output is Format.WIDE
        show(render_items(resource, items, wide=wide, namespaces=namespaces, prefix=len(shown) > 1))


def _exit_by(healths: list[Health]) -> None:
    if any(health.problems for health in healths):
        raise click.exceptions.Exit(1)
