"""What a trace found, as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address

from testbed.observe.trace.packet import Packet
from testbed.observe.verdicts import Verdict

STRANGER = "a flow that nobody in the lab asked for"
"""Why, of a decision that no object is behind."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of an HTTP server: the Host header and the path."""

    host: str
    path: str = "/"

    def __str__(self) -> str:
        return f"{self.host}{self.path}"


@dataclass(frozen=True, slots=True)
class Question:
    """Who sends what to whom. ``target`` is the user's word, ``address`` what it stands for.

    ``request``: what is asked, where that decides who answers in the end. ``sender``: the address that the program
    chose to send with; None: the kernel chooses.
    """

    source: str
    namespace: str
    target: str
    address: IPv4Address
    protocol: str
    port: int = 0
    request: Request | None = None
    sender: IPv4Address | None = None

    def __str__(self) -> str:
        port = f" port {self.port}" if self.port else ""
        request = f", {self.request}" if self.request else ""
        return f"{self.source} -> {self.target}, {self.protocol.upper()}{port}{request}"


@dataclass(frozen=True, slots=True)
class Decision:
    """One thing that decided: a flow of a table, a routing entry, a rule, conntrack.

    ``what`` is the table's or the kernel part's name, ``why`` the reason in words, ``owner`` the user's object with
    ``source`` its file and line (both empty for the lab's own doing), ``detail`` match and actions. ``notable``: worth
    showing without being asked. ``choice``: another packet might have gone another way here.
    """

    what: str
    why: str
    owner: str = ""
    source: str = ""
    detail: str = ""
    notable: bool = True
    choice: bool = False


class HopKind(StrEnum):
    KERNEL = "kernel"
    SWITCH = "switch"


@dataclass(frozen=True, slots=True)
class Hop:
    """One place on the way: a host's kernel (``web-0``) or a bridge (``n1/br-int``), entered and left by a device.

    ``devices`` are (namespace, device) where the packet can be seen.
    """

    where: str
    kind: HopKind
    entered: str
    left: str
    decisions: tuple[Decision, ...]
    before: Packet
    after: Packet
    namespace: str

    @property
    def devices(self) -> tuple[tuple[str, str], ...]:
        return tuple((self.namespace, device) for device in (self.entered, self.left) if device)


class Outcome(StrEnum):
    DELIVERED = "delivered"
    DROPPED = "dropped"
    REFUSED = "refused"
    NOT_SENT = "not sent"


@dataclass(frozen=True, slots=True)
class Way:
    """One packet from its sender to its end. ``reason`` says why it ended there, unless it was delivered.

    ``host`` is the namespace where it ended; ``packet`` as it was there.
    """

    hops: tuple[Hop, ...]
    outcome: Outcome
    packet: Packet
    host: str
    reason: str = ""
    device: str = ""

    @property
    def last(self) -> Hop | None:
        return self.hops[-1] if self.hops else None


@dataclass(frozen=True, slots=True)
class Trace:
    """``there`` and ``back`` (None: nothing was sent back). ``advice``: what would let it through.

    ``others``: where switches choose, what would have become of it with each other choice. ``relay``: when a proxy
    answers, what it does with the request.
    """

    question: Question
    verdict: Verdict
    summary: str
    there: Way
    back: Way | None
    seen_source: str = ""
    advice: str = ""
    warnings: tuple[str, ...] = ()
    others: tuple[Trace, ...] = ()
    relay: Relay | None = None


@dataclass(frozen=True, slots=True)
class Relay:
    """A proxy and what it asks for its client: one trace for each server that it may choose."""

    proxy: str
    rule: Decision
    servers: tuple[Trace, ...]
