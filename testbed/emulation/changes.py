"""Wanted minus found: what has to be removed, made and changed so that the machine is as asked. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import IPv4Interface
from typing import Any

from testbed.emulation import fragments
from testbed.model.wiring import Bridge, Namespace, Port, Route, Switch, Veth, Wiring

_NOTHING = Wiring()


class Action(StrEnum):
    ADD = "+"
    REMOVE = "-"
    CHANGE = "~"


@dataclass(frozen=True, slots=True)
class Change:
    """One line for the user: ``+ link n1/p101 - web-0/eth0 (Pod/default/web-0): new``."""

    action: Action
    what: str
    owner: str
    reason: str

    def __str__(self) -> str:
        return f"{self.action} {self.what} ({self.owner}): {self.reason}"


@dataclass(frozen=True, slots=True)
class SwitchChange:
    """A switch that is changed in place, in two transactions: ports go before their devices do, and come after them.

    ``middle`` is ``found`` without the ports that go away or whose device is made again.
    """

    found: Switch
    middle: Switch
    wanted: Switch


@dataclass(frozen=True, slots=True)
class Changes:
    """``remove`` first, then ``add``, then ``namespaces`` and ``switches`` in place; ``wanted`` is the result.

    ``remove`` names what has to be taken away by hand, ``lost`` what goes with it: the contents of a removed namespace,
    the addresses and routes of a removed device. ``doubtful`` objects may or may not exist (a command was killed while
    it made or removed them): they are removed before anything else, and being absent is no error.
    """

    wanted: Wiring
    remove: Wiring = _NOTHING
    lost: Wiring = _NOTHING
    add: Wiring = _NOTHING
    namespaces: tuple[Namespace, ...] = ()
    switches: tuple[SwitchChange, ...] = ()
    doubtful: Wiring = _NOTHING
    lines: tuple[Change, ...] = ()

    @property
    def empty(self) -> bool:
        return not self.lines and fragments.is_empty(self.doubtful)


def plan_changes(wanted: Wiring, found: Wiring, doubtful: Wiring = _NOTHING) -> Changes:
    """What leads from ``found`` to ``wanted``. Empty when nothing has to change."""
    found = fragments.difference(found, _lost_with(doubtful, found))
    gone = fragments.difference(found, wanted)
    remove = fragments.union(gone, _to_be_made_again(wanted, found))
    lost = _lost_with(remove, found)
    kept = fragments.difference(fragments.difference(found, remove), lost)
    add = fragments.difference(wanted, kept)
    namespaces = _changed_namespaces(wanted, kept)
    switches = _changed_switches(wanted, kept, _devices(fragments.union(remove, lost)))
    lines = (
        *_lines(Action.REMOVE, gone, "no longer wanted"),
        *_add_lines(add, found, remove, doubtful),
        *_lines(Action.CHANGE, Wiring(namespaces=namespaces), "settings changed"),
        *(line for change in switches for line in _switch_lines(change.found, change.wanted)),
    )
    return Changes(wanted, _by_hand(remove, found), lost, add, namespaces, switches, doubtful, lines)


def render_changes(changes: Changes) -> str:
    """One line for each change, for ``--dry-run``."""
    return "\n".join(map(str, changes.lines)) or "nothing to change"


def _to_be_made_again(wanted: Wiring, found: Wiring) -> Wiring:
    """Found objects whose wanted version differs so that it can't be changed in place.

    Switches and namespaces are changed in place, firewalls replaced in one transaction; a route is replaced by adding
    it, and so is a neighbour. An owner alone is a label: it is kept in the state, nothing is made again for it.
    """
    now = {(kind, fragments.identity(item)): item for kind, item in fragments.objects(wanted)}

    def is_stale(kind: str, item: Any) -> bool:
        new = now.get((kind, fragments.identity(item)))
        if new is None or new == item:
            return False
        if kind == "veths":
            return (new.a, new.b, new.mtu) != (item.a, item.b, item.mtu)
        if kind == "routes":
            return (new.interface, new.gateway, new.source) != (item.interface, item.gateway, item.source)
        if kind == "firewalls":
            return bool(new.ruleset != item.ruleset)
        if kind == "tunnel_neighbours":
            return (new.bridge, new.mac) != (item.bridge, item.mac)
        return False

    return fragments.only(found, is_stale)


def _lost_with(removed: Wiring, found: Wiring) -> Wiring:
    """The objects of ``found`` that vanish because of ``removed``: contents of namespaces, settings of devices."""
    namespaces = {namespace.name for namespace in removed.namespaces}
    devices = _devices(removed)
    devices |= {end for veth in found.veths if namespaces & {veth.a.namespace, veth.b.namespace} for end in _ends(veth)}
    switches = {switch.namespace for switch in removed.switches}
    addresses = {(item.namespace, item.interface, item.address) for item in removed.addresses}

    def is_lost(kind: str, item: Any) -> bool:
        if kind == "namespaces":
            return False
        if namespaces.intersection(fragments.namespaces_of(kind, item)):
            return True
        if kind == "tunnel_neighbours":
            return item.namespace in switches
        if kind not in ("addresses", "routes", "offloads"):
            return False
        return (item.namespace, item.interface) in devices or (kind == "routes" and _needs_any(item, addresses))

    return fragments.only(found, is_lost)


def _needs_any(route: Route, addresses: set[tuple[str, str, IPv4Interface]]) -> bool:
    """Whether the kernel takes the route away with one of the addresses: its source, or its gateway's network."""
    for namespace, interface, address in addresses:
        if (namespace, interface) == (route.namespace, route.interface) and (
            route.source == address.ip or (route.gateway is not None and route.gateway in address.network)
        ):
            return True
    return False


def _devices(wiring: Wiring) -> set[tuple[str, str]]:
    """(namespace, interface) of every device that the veths and switches of ``wiring`` make."""
    devices = {end for veth in wiring.veths for end in _ends(veth)}
    return devices | {(switch.namespace, bridge.name) for switch in wiring.switches for bridge in switch.bridges}


def _ends(veth: Veth) -> tuple[tuple[str, str], tuple[str, str]]:
    return (veth.a.namespace, veth.a.interface), (veth.b.namespace, veth.b.interface)


def _by_hand(remove: Wiring, found: Wiring) -> Wiring:
    """``remove`` without what a removed namespace, link or switch takes along.

    A link with one end in a namespace that stays is deleted there all the same: the kernel frees namespaces in its
    own time, and the name of the end that stays may be needed before that.
    """
    going = {namespace.name for namespace in remove.namespaces}
    carriers = fragments.only_kinds(remove, "namespaces", "veths", "switches")
    along = _lost_with(carriers, found)
    half = tuple(veth for veth in along.veths if not {veth.a.namespace, veth.b.namespace} <= going)
    return fragments.union(fragments.difference(remove, along), Wiring(veths=half))


def _changed_namespaces(wanted: Wiring, kept: Wiring) -> tuple[Namespace, ...]:
    old = {namespace.name: namespace for namespace in kept.namespaces}

    def settings(namespace: Namespace) -> tuple[object, ...]:
        return (namespace.sysctls, namespace.nameserver, namespace.search)

    return tuple(new for new in wanted.namespaces if new.name in old and settings(new) != settings(old[new.name]))


def _changed_switches(wanted: Wiring, kept: Wiring, going: set[tuple[str, str]]) -> tuple[SwitchChange, ...]:
    old = {switch.namespace: switch for switch in kept.switches}
    changes = []
    for new in wanted.switches:
        if found := old.get(new.namespace):
            middle = _without_ports(found, new, going)
            if middle != found or found != new:
                changes.append(SwitchChange(found, middle, new))
    return tuple(changes)


def _without_ports(found: Switch, wanted: Switch, going: set[tuple[str, str]]) -> Switch:
    ports = {(bridge.name, port.interface): port for bridge in wanted.bridges for port in bridge.ports}

    def stays(bridge: Bridge, port: Port) -> bool:
        same = ports.get((bridge.name, port.interface)) == port
        return same and (found.namespace, port.interface) not in going

    names = {bridge.name for bridge in wanted.bridges}
    bridges = tuple(
        replace(bridge, ports=tuple(port for port in bridge.ports if stays(bridge, port)))
        for bridge in found.bridges
        if bridge.name in names
    )
    return replace(found, bridges=bridges)


def _add_lines(add: Wiring, found: Wiring, remove: Wiring, doubtful: Wiring) -> Iterator[Change]:
    present, removed, unsure = _keys(found), _keys(remove), _keys(doubtful)
    for kind, item in fragments.objects(add):
        key = (kind, fragments.identity(item))
        action, reason = Action.CHANGE, "made again: what carries it is made again"
        if key in unsure:
            reason = "made again: an earlier command was interrupted or it died"
        elif key not in present:
            action, reason = Action.ADD, "new"
        elif key in removed:
            reason = "made again: it changed"
        yield Change(action, render_object(kind, item), getattr(item, "owner", "the lab"), reason)


def _keys(wiring: Wiring) -> set[tuple[str, object]]:
    return {(kind, fragments.identity(item)) for kind, item in fragments.objects(wiring)}


def _lines(action: Action, wiring: Wiring, reason: str) -> Iterator[Change]:
    for kind, item in fragments.objects(wiring):
        yield Change(action, render_object(kind, item), getattr(item, "owner", "the lab"), reason)


def _switch_lines(old: Switch, new: Switch) -> Iterator[Change]:
    before = {bridge.name: bridge for bridge in old.bridges}
    after = {bridge.name: bridge for bridge in new.bridges}
    for name in before.keys() - after.keys():
        yield Change(Action.REMOVE, f"bridge {new.namespace}/{name}", before[name].owner, "no longer wanted")
    for name, bridge in after.items():
        if name not in before:
            yield Change(Action.ADD, f"bridge {new.namespace}/{name}", bridge.owner, "new")
        elif bridge != before[name]:
            yield from _bridge_lines(new.namespace, before[name], bridge)


def _bridge_lines(namespace: str, old: Bridge, new: Bridge) -> Iterator[Change]:
    before = {port.interface: port for port in old.ports}
    after = {port.interface: port for port in new.ports}
    where = f"on {namespace}/{new.name}"
    for name in before.keys() - after.keys():
        yield Change(Action.REMOVE, f"port {name} {where}", before[name].owner, "no longer wanted")
    for name, port in after.items():
        if name not in before:
            yield Change(Action.ADD, f"port {name} {where}", port.owner, "new")
        elif before[name] != port:
            yield Change(Action.CHANGE, f"port {name} {where}", port.owner, "it changed")
    settings = ("datapath_id", "controller", "mac", "mtu", "tables")
    if changed := [name for name in settings if getattr(old, name) != getattr(new, name)]:
        reason = f"{', '.join(changed)} changed"
        yield Change(Action.CHANGE, f"bridge {namespace}/{new.name}", new.owner, reason)


def render_object(kind: str, item: Any) -> str:
    """``link n1/p101 - web-0/eth0``: an object in a few words."""
    match kind:
        case "namespaces":
            return f"{item.kind} {item.name}"
        case "veths":
            return _render_veth(item)
        case "switches":
            return f"switch in {item.namespace}"
        case "addresses":
            return f"address {item.address} on {item.namespace}/{item.interface}"
        case "routes":
            via = f" via {item.gateway}" if item.gateway else ""
            return f"route {item.destination}{via} in {item.namespace}"
        case "firewalls":
            return f"firewall of {item.namespace}"
        case "tunnel_neighbours":
            return f"tunnel neighbour {item.address} of {item.namespace}"
        case _:
            return f"tx off on {item.namespace}/{item.interface}"


def _render_veth(veth: Veth) -> str:
    return f"link {veth.a.namespace}/{veth.a.interface} - {veth.b.namespace}/{veth.b.interface}"
