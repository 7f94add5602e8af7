"""Ryu at the edge: switches over a Unix socket, raw replies, errors in words.

Ryu does what is delicate: framing, version negotiation, features, echo. Three things are taught to it here:

* listening on a Unix socket only (no TCP port of the host is ever opened);
* leaving the bodies of large statistics replies as bytes: building its objects takes 100 us a flow;
* names of errors.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from pathlib import Path
from typing import Any

from ryu import cfg
from ryu.base.app_manager import RyuApp
from ryu.controller.controller import datapath_connection_factory
from ryu.controller.ofp_handler import OFPHandler
from ryu.lib import hub
from ryu.ofproto import ofproto_v1_4 as ofproto
from ryu.ofproto import ofproto_v1_4_parser as parser

BACKLOG = 512
"""Switches that may be knocking at once."""

_SETTINGS = {
    "echo_request_interval": 5.0,
    "maximum_unreplied_echo_requests": 3,  # a frozen switch is let go after 20 s; Ryu's own default is never
    "socket_timeout": 20.0,  # one write is a whole bundle; a busy switch may take seconds to read it
}


class AlreadyRunningError(RuntimeError):
    """Another controller answers on the socket."""


def configure() -> None:
    """Give Ryu our settings; it must not read the command line."""
    cfg.CONF(args=[], project="ryu", default_config_files=[])
    for name, value in _SETTINGS.items():
        cfg.CONF.set_override(name, value)
    for reply in (parser.OFPFlowStatsReply, parser.OFPGroupDescStatsReply, parser.OFPTableStatsReply):
        reply.cls_stats_body_cls = _RawBody


class _RawBody:
    """In place of a statistics entry: everything from ``offset`` on, as bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.length = len(data)

    @classmethod
    def parser(cls, buffer: bytes, offset: int) -> _RawBody:
        return cls(bytes(buffer[offset:]))


def raw_body(message: Any) -> bytes:
    """The body of a statistics reply, without its header."""
    return message.body[0].data if message.body else b""


def error_name(message: Any) -> str:
    """``OFPET_BAD_MATCH/OFPBMC_BAD_PREREQ``, or the numbers of an extension's error."""
    if message.type == ofproto.OFPET_EXPERIMENTER:
        return f"extension {message.experimenter:#x} error {message.exp_type}"
    kind = ofproto.ofp_error_type_to_str(message.type)
    code = ofproto.ofp_error_code_to_str(message.type, message.code)
    return f"{kind.split('(')[0]}/{code.split('(')[0]}"


class _UnixStream:
    """A connected Unix socket that ignores TCP's options, which Ryu sets on every connection."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def setsockopt(self, *_option: Any) -> None:
        """TCP_NODELAY means nothing here and would be an error."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class UnixHandler(OFPHandler):
    """Ryu's handshake, behind a Unix socket instead of its TCP ports."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._listener = listen(path)

    def start(self) -> Any:
        RyuApp.start(self)
        return hub.spawn(self._accept)

    def close(self) -> None:
        self._listener.close()
        self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        while True:
            stream, address = self._listener.accept()
            hub.spawn(datapath_connection_factory, _UnixStream(stream), address)


def listen(path: Path) -> Any:
    """A listening Unix socket that only root can open. Takes over a path that nobody listens on.

    The path may have any length: a Unix address holds 107 bytes, so it leads by the open directory. Raises
    AlreadyRunningError when somebody listens there.
    """
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    address = f"/proc/self/fd/{directory}/{path.name}"
    before = os.umask(0o177)
    try:
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as probe:
            try:
                probe.connect(address)
            except OSError:
                path.unlink(missing_ok=True)
            else:
                raise AlreadyRunningError(f"another controller listens on {path}")
        return hub.listen(address, family=socket.AF_UNIX, backlog=BACKLOG)
    finally:
        os.umask(before)
        os.close(directory)


def message_xid(data: bytes) -> int | None:
    """The xid of the message that an error quotes; None when the quote is too short."""
    return struct.unpack_from("!I", data, 4)[0] if len(data) >= 8 else None
