"""All kinds that ``lab get`` lists and ``lab describe`` shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

from testbed.model.wiring import Wiring
from testbed.observe import status_cloud, status_kubernetes, status_services, status_traffic
from testbed.observe.status import View
from testbed.observe.status_items import Item, Resource
from testbed.operations.errors import BadRequestError
from testbed.operations.kinds import find_kind

RESOURCES: tuple[Resource, ...] = (
    *status_kubernetes.RESOURCES,
    *status_services.RESOURCES,
    *status_traffic.RESOURCES,
    *status_cloud.RESOURCES,
)

ALL = (
    "nodes",
    "pods",
    "deployments",
    "statefulsets",
    "services",
    "clusters",
    "vpcs",
    "subnets",
    "servers",
    "internethosts",
)
"""What ``lab get all`` lists."""


def find_resource(word: str) -> Resource:
    """The resource that a user's word names. Raises ``BadRequestError``."""
    kind = find_kind(word)
    for resource in RESOURCES:
        if resource.kind == kind:
            return resource
    known = ", ".join(resource.kind.plural for resource in RESOURCES)
    raise BadRequestError(f"{kind.plural} can't be listed yet; there are: {known}")


def read_items(view: View, resource: Resource, namespace: str | None, names: tuple[str, ...] = ()) -> list[Item]:
    """The objects of a kind: in ``namespace`` (None: in all), and only ``names`` when some are given.

    Raises ``BadRequestError`` for a name that is not there.
    """
    items = [
        item
        for item in resource.items(view)
        if namespace is None or not resource.kind.namespaced or item.namespace == namespace
    ]
    if not names:
        return items
    if missing := sorted(set(names) - {item.name for item in items}):
        where = f" in namespace {namespace}" if namespace and resource.kind.namespaced else ""
        near = get_close_matches(missing[0], [item.name for item in items], n=1)
        hint = f"did you mean {near[0]}?" if near else f"see: lab get {resource.kind.plural} -A"
        raise BadRequestError(f"there is no {resource.kind.name.lower()} {missing[0]}{where}; {hint}")
    return [item for item in items if item.name in names]


def read_wiring(view: View, owner: str) -> Iterator[tuple[str, Any]]:
    """What exists on the machine for an object: (``veths``, the value) and so on."""
    wiring = view.state.wiring if view.state else Wiring()
    for field in fields(Wiring):
        for thing in getattr(wiring, field.name):
            if getattr(thing, "owner", None) == owner:
                yield field.name, thing
