"""The contents page of making a lab real: what was found, what has to change, in which order it is done.

    with open_session(rundir, datapath) as session:
        changes = plan_changes(wanted, session.found.wiring, session.found.doubtful)
        session.apply(changes)
        session.settle(generation=1, spec_paths=("topology.yaml",))

The machine is changed nowhere else but here and in ``teardown``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import IPv4Address

from testbed.emulation import firewall, fragments, interrupts, links, netns
from testbed.emulation.changes import Changes
from testbed.emulation.errors import EmulationError
from testbed.emulation.journal import Journal, read_steps, replay
from testbed.emulation.lock import LOCK_SECONDS, locked
from testbed.emulation.ovs import OpenVSwitches
from testbed.emulation.ownership import find_processes
from testbed.emulation.processes import stop
from testbed.emulation.rundir import RunDir, write_atomically
from testbed.emulation.state import Datapath, State, read_state, write_state
from testbed.emulation.teardown import tear_down_locked
from testbed.model.wiring import Namespace, Switch, Wiring

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Found:
    """What exists for a lab: the state of the last command that ended, and the objects nobody is sure of."""

    state: State | None
    wiring: Wiring
    doubtful: Wiring


def read_found(rundir: RunDir) -> Found:
    """State, journal and a look at the machine: namespaces that are gone and switches that died are not found."""
    state = read_state(rundir)
    recorded, doubtful = replay(state.wiring if state else Wiring(), read_steps(rundir))
    mounted = netns.read_mounted(rundir)
    wiring = fragments.only(recorded, lambda kind, item: mounted.issuperset(fragments.namespaces_of(kind, item)))
    dead = OpenVSwitches(rundir, state.datapath if state else Datapath.USERSPACE).read_dead(wiring.switches)
    wiring = fragments.difference(wiring, Wiring(switches=dead))
    return Found(state, wiring, fragments.union(doubtful, Wiring(switches=dead)))


@contextmanager
def open_session(
    rundir: RunDir, datapath: Datapath, userspace_tso: bool = True, progress: Progress = lambda _: None
) -> Iterator[Session]:
    """Everything that changes a lab happens inside one of these: it holds the lock and defers Ctrl-C.

    When the body fails or is interrupted before the lab was ever settled, all of it is removed again; otherwise what
    was done stays recorded, and the next session repairs what was in the middle.
    Raises ``LabBusyError`` when another command has the lab.
    """
    rundir.make()
    with locked(rundir, LOCK_SECONDS), interrupts.deferred():
        found = read_found(rundir)
        session = Session(rundir, found, datapath, userspace_tso, progress)
        try:
            yield session
            interrupts.check()
        except BaseException as error:
            if not session.settled:
                with interrupts.ignored():
                    tear_down_locked(rundir)
            interrupts.check()  # Ctrl-C reaches the programs that we run as well: that they failed is no news
            if isinstance(error, OSError):  # a full disk, a limit on open files: the user's to mend
                where = f" ({error.filename})" if error.filename else ""
                raise EmulationError(f"{error.strerror}{where}") from error
            raise


class Session:
    """A lab that is being changed. ``seconds`` has the time of each phase of the last ``apply``."""

    def __init__(
        self, rundir: RunDir, found: Found, datapath: Datapath, userspace_tso: bool, progress: Progress
    ) -> None:
        self.rundir = rundir
        self.found = found
        self.seconds: dict[str, float] = {}
        self._state = found.state or State(rundir.lab, datapath, userspace_tso=userspace_tso)
        self._progress = progress
        self._switch_step = -1
        self._journal = Journal(rundir)
        self._switches = OpenVSwitches(rundir, self._state.datapath, self._state.userspace_tso)
        if found.state is None:
            write_state(rundir, self._state)

    @property
    def settled(self) -> bool:
        return self._state.settled

    @property
    def datapath(self) -> Datapath:
        return self._state.datapath

    def apply(self, changes: Changes) -> None:
        """Make the machine as ``changes.wanted`` says. Raises ``EmulationError`` naming the object that failed."""
        self._purge(changes.doubtful)
        self._remove(changes)
        self._make_namespaces(changes.add.namespaces, changes.namespaces)
        self._start_switches(changes.add.switches)
        self._make_links(changes.add)
        self._configure_switches(changes)
        self._configure_nodes(changes.add)
        self._load_firewalls(changes.add)
        self._record(changes.wanted)

    def settle(self, generation: int, spec_paths: tuple[str, ...]) -> None:
        """The command has succeeded: from here on a failure no longer removes the lab."""
        self._state = replace(self._state, generation=generation, spec_paths=spec_paths, settled=True)
        write_state(self.rundir, self._state)

    def _purge(self, doubtful: Wiring) -> None:
        if fragments.is_empty(doubtful):
            return
        with self._phase("clear up after an interrupted command"), self._journal.step("purge", remove=doubtful):
            self._take_away(doubtful, Wiring())

    def _remove(self, changes: Changes) -> None:
        removed = fragments.union(changes.remove, changes.lost)
        shrunk = [(change.found, change.middle) for change in changes.switches if change.middle != change.found]
        if shrunk:
            switches = Wiring(switches=tuple(middle for _, middle in shrunk))
            with self._phase("remove ports"), self._journal.step("remove ports", add=switches):
                self._switches.change(shrunk)
        if not fragments.is_empty(removed):
            with self._phase("remove"), self._journal.step("remove", remove=removed):
                self._take_away(changes.remove, changes.lost)

    def _take_away(self, remove: Wiring, lost: Wiring) -> None:
        """Remove objects in the order opposite to making; each may be absent already."""
        mounted = netns.read_mounted(self.rundir)
        present = frozenset(mounted)
        names = [namespace.name for namespace in remove.namespaces]
        here = fragments.only(remove, lambda kind, item: present.issuperset(fragments.namespaces_of(kind, item)))
        staying = fragments.only(here, lambda kind, item: not set(fragments.namespaces_of(kind, item)) & set(names))
        firewall.remove_firewalls(self.rundir, staying.firewalls)
        links.unconfigure(
            self.rundir,
            links.settings_by_namespace(addresses=staying.addresses, routes=staying.routes, offloads=staying.offloads),
        )
        self._switches.stop(switch.namespace for switch in (*remove.switches, *lost.switches))
        links.delete_veths(self.rundir, remove.veths, present - frozenset(names))
        self._drop(names)

    def _drop(self, names: list[str]) -> None:
        if not names:
            return
        doomed = frozenset(names)
        inodes = {inode for inode, name in netns.read_inodes(self.rundir).items() if name in doomed}
        inside = [owned.pid for owned in find_processes(self.rundir, frozenset(inodes)) if owned.netns in inodes]
        stop(inside, limit=1.0)
        netns.drop_namespaces(self.rundir, names)
        for name in names:
            self.rundir.resolver(name).unlink(missing_ok=True)

    def _make_namespaces(self, added: tuple[Namespace, ...], changed: tuple[Namespace, ...]) -> None:
        if added:
            with self._phase("namespaces"), self._journal.step("namespaces", add=Wiring(namespaces=added)):
                netns.make_namespaces(self.rundir, added)
        for namespace in changed:
            path = self.rundir.namespace(namespace.name)
            netns.inside(path, partial(netns.write_sysctls, namespace.sysctls))
        for namespace in (*added, *changed):
            self._write_resolver(namespace)

    def _write_resolver(self, namespace: Namespace) -> None:
        path = self.rundir.resolver(namespace.name)
        if namespace.nameserver is None:
            path.unlink(missing_ok=True)
            return
        text = render_resolver(namespace.nameserver, namespace.search)
        if path.exists():
            path.write_text(text)  # in place: it may be bind-mounted in running pods
        else:
            write_atomically(path, text, mode=0o644, lasting=False)  # what an interruption leaves is made again

    def _start_switches(self, switches: tuple[Switch, ...]) -> None:
        """Only start them: they boot while the links are made. Their step ends in ``_configure_switches``."""
        if switches:
            self._switch_step = self._journal.begin("switches", add=Wiring(switches=switches))
            with self._phase("start Open vSwitch"):
                self._switches.start(switches)

    def _make_links(self, add: Wiring) -> None:
        if add.veths:
            with self._phase("links"), self._journal.step("veths", add=Wiring(veths=add.veths)):
                links.make_veths(self.rundir, add.veths)
                links.configure(self.rundir, links.settings_by_namespace(veths=add.veths))

    def _configure_switches(self, changes: Changes) -> None:
        if changes.add.switches:
            with self._phase("configure Open vSwitch"):
                self._switches.wait_started(changes.add.switches)
                self._switches.configure(changes.add.switches)
                self._bring_up(_local_devices(changes.add.switches))
            self._journal.end(self._switch_step)
        grown = [(change.middle, change.wanted) for change in changes.switches if change.middle != change.wanted]
        if grown:
            switches = Wiring(switches=tuple(wanted for _, wanted in grown))
            with self._phase("change Open vSwitch"), self._journal.step("change switches", add=switches):
                self._switches.change(grown)
                before = {(switch.namespace, bridge.name) for switch, _ in grown for bridge in switch.bridges}
                devices = _local_devices(wanted for _, wanted in grown)
                self._bring_up([device for device in devices if device[:2] not in before])

    def _bring_up(self, devices: list[tuple[str, str, str]]) -> None:
        links.configure(self.rundir, links.settings_by_namespace(devices=devices))

    def _configure_nodes(self, add: Wiring) -> None:
        """Addresses, routes, neighbours and offloads."""
        settings = fragments.only_kinds(add, "addresses", "routes", "tunnel_neighbours", "offloads")
        if fragments.is_empty(settings):
            return
        with self._phase("addresses and routes"), self._journal.step("settings", add=settings):
            kernel = self.datapath is Datapath.KERNEL
            links.configure(
                self.rundir,
                links.settings_by_namespace(
                    addresses=add.addresses,
                    routes=add.routes,
                    offloads=add.offloads,
                    neighbours=add.tunnel_neighbours if kernel else (),
                ),
            )
            if not kernel:
                self._switches.set_tunnel_neighbours(add.tunnel_neighbours)

    def _load_firewalls(self, add: Wiring) -> None:
        if add.firewalls:
            with self._phase("firewalls"), self._journal.step("firewalls", add=Wiring(firewalls=add.firewalls)):
                firewall.apply_firewalls(self.rundir, add.firewalls, self.found.wiring.firewalls)

    def _record(self, wiring: Wiring) -> None:
        self._state = replace(self._state, wiring=wiring)
        write_state(self.rundir, self._state)
        self._journal.clear()
        self.found = Found(self._state, wiring, Wiring())

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        interrupts.check()
        self._progress(name)
        start = time.monotonic()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - start


def _local_devices(switches: Iterable[Switch]) -> list[tuple[str, str, str]]:
    """(namespace, device, owner) of every bridge: its local port is a device of the same name."""
    return [(switch.namespace, bridge.name, bridge.owner) for switch in switches for bridge in switch.bridges]


def render_resolver(nameserver: IPv4Address, search: tuple[str, ...]) -> str:
    """``/etc/resolv.conf`` as the kubelet writes it for a pod."""
    lines = [f"nameserver {nameserver}", "options ndots:5"]
    if search:
        lines.insert(0, f"search {' '.join(search)}")
    return "\n".join(lines) + "\n"
