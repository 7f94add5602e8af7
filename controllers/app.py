"""The controller process: ``python -m controllers.app fabric|cluster --run-dir DIR``.

Switches connect to ``DIR/control/<name>.sock``. The desired state is ``DIR/control/<name>.json``; what is
in force is written to ``<name>.applied.json`` beside it. Ends with status 0 on SIGTERM or SIGINT, 2 on bad
usage, 1 when another controller is there already. Traffic never needs this process: switches are in secure
mode and keep their flows.
"""

from __future__ import annotations

import os
import sys

# Before anything of Ryu, for a third of the start: setuptools puts itself in place of distutils, of which eventlet
# wants one class, and eventlet loads a DNS resolver that nobody asks.
if (shim := sys.modules.get("_distutils_hack")) is not None:
    shim.remove_shim()
os.environ.setdefault("EVENTLET_NO_GREENDNS", "yes")

import argparse
import gc
import logging
import signal
import time
from pathlib import Path
from typing import Any

import eventlet.wsgi

if not hasattr(eventlet.wsgi, "ALREADY_HANDLED"):
    eventlet.wsgi.ALREADY_HANDLED = None  # Ryu 4.34 imports a name that eventlet 0.30.3 removed

from ryu.base.app_manager import AppManager, RyuApp
from ryu.controller import ofp_event
from ryu.controller.handler import DEAD_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
from ryu.lib import hub

from controllers.openflow import encode, wire
from controllers.runtime.compilers import NAMES, compiler
from controllers.runtime.documents import Compile, Watch, applied_document, names_document, write_document
from controllers.runtime.fleet import Desired, Fleet
from controllers.runtime.session import Session

POLL_SECONDS = 0.025
TICK_SECONDS = 0.25

LOG = logging.getLogger("controller")


class SwitchConnection:
    """The way from a session to its switch: Ryu's datapath."""

    def __init__(self, datapath: Any) -> None:
        self._datapath = datapath

    def send(self, data: bytes) -> None:
        self._datapath.send(data)

    def close(self) -> None:
        self._datapath.close()


class Controller(RyuApp):
    """Carries messages between switches and their sessions, and documents between the lab and the fleet."""

    OFP_VERSIONS = (encode.VERSION,)

    def __init__(self, name: str, run_directory: Path, compile_document: Compile) -> None:
        super().__init__()
        control = run_directory / "control"
        self._watch = Watch(control / f"{name}.json", compile_document)
        self._applied_path = control / f"{name}.applied.json"
        self._names_path = control / f"{name}.names.json"
        self._published: dict[str, Any] = {}
        self._connections: dict[Any, SwitchConnection] = {}
        self._fleet = Fleet(time.monotonic)
        self._ending = False

    def start(self) -> Any:
        super().start()
        return hub.spawn(self._run)

    def _run(self) -> None:
        next_tick = 0.0
        while not self._ending:
            if (desired := self._watch.poll()) is not None:
                self._want(desired)
            if (now := time.monotonic()) >= next_tick:
                next_tick = now + TICK_SECONDS
                self._fleet.tick()
            self._publish()
            hub.sleep(POLL_SECONDS)

    def end(self) -> None:
        """Leave the loop; what is in force stays in force."""
        self._ending = True

    def publish_end(self) -> None:
        """The last word: nobody is connected here any more."""
        self._fleet.sessions.clear()
        write_document(self._applied_path, {**applied_document(self._fleet, "the controller has ended"), "pid": 0})

    def _want(self, desired: Desired) -> None:
        self._fleet.want(desired)
        hub.sleep(0)  # first let the switches have it
        write_document(self._names_path, names_document(desired))

    def _publish(self) -> None:
        document = applied_document(self._fleet, self._watch.problem)
        if document != self._published:
            write_document(self._applied_path, document)
            self._published = document

    @set_ev_cls(ofp_event.EventOFPStateChange, [MAIN_DISPATCHER, DEAD_DISPATCHER])
    def state_changed(self, event: Any) -> None:
        datapath = event.datapath
        if event.state == MAIN_DISPATCHER:
            connection = self._connections[datapath] = SwitchConnection(datapath)
            self._fleet.connected(datapath.id, connection)
        elif (known := self._connections.pop(datapath, None)) is not None:
            self._fleet.disconnected(datapath.id, known)
        self._publish()

    @set_ev_cls(ofp_event.EventOFPFlowStatsReply, MAIN_DISPATCHER)
    def flows_arrived(self, event: Any) -> None:
        if session := self._session(event):
            session.flows_arrived(wire.raw_body(event.msg))

    @set_ev_cls(ofp_event.EventOFPGroupDescStatsReply, MAIN_DISPATCHER)
    def groups_arrived(self, event: Any) -> None:
        if session := self._session(event):
            session.groups_arrived(wire.raw_body(event.msg))

    @set_ev_cls(ofp_event.EventOFPTableStatsReply, MAIN_DISPATCHER)
    def counts_arrived(self, event: Any) -> None:
        if session := self._session(event):
            session.counts_arrived(wire.raw_body(event.msg))

    @set_ev_cls(ofp_event.EventOFPBarrierReply, MAIN_DISPATCHER)
    def barrier_arrived(self, event: Any) -> None:
        if session := self._session(event):
            session.barrier_arrived(event.msg.xid)
            self._publish()

    @set_ev_cls(ofp_event.EventOFPErrorMsg, MAIN_DISPATCHER)
    def error_arrived(self, event: Any) -> None:
        name = wire.error_name(event.msg)
        LOG.warning("switch %016x: %s", event.msg.datapath.id, name)
        if session := self._session(event):
            session.error_arrived(event.msg.xid, name)

    def _session(self, event: Any) -> Session | None:
        datapath = event.msg.datapath
        connection = self._connections.get(datapath)
        return self._fleet.session_of(datapath.id, connection) if connection else None


def run(name: str, run_directory: Path, compile_document: Compile) -> None:
    """Serve until a signal ends it. Raises wire.AlreadyRunningError."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)  # a program is some 100,000 values that live long: don't walk them over and over
    wire.configure()
    manager = AppManager.get_instance()
    controller = manager.instantiate(Controller, name, run_directory, compile_document)
    handler = manager.instantiate(wire.UnixHandler, run_directory / "control" / f"{name}.sock")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: controller.end())
    handler.start()
    hub.joinall([controller.start()])
    handler.close()
    controller.publish_end()


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m controllers.app", description=__doc__.split("\n")[0])
    arguments.add_argument("name", choices=NAMES)
    arguments.add_argument("--run-dir", type=Path, required=True)
    given = arguments.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("ryu").setLevel(logging.WARNING)
    try:
        run(given.name, given.run_dir, compiler(given.name))
    except wire.AlreadyRunningError as error:
        LOG.error("%s", error)
        sys.exit(1)


if __name__ == "__main__":
    main()
