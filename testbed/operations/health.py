"""Health checks of load balancers: asked from each balancer's own namespace, judged by failures in a row.

A TCP member is up when it accepts a connection. A UDP member is down when its port is answered by "unreachable".
Source: ELB user guide, "Health Check": down after timeout x n + interval x (n - 1) at the latest.
"""

from __future__ import annotations

import errno
import selectors
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from testbed.emulation.netns import inside
from testbed.emulation.rundir import RunDir
from testbed.model.desired import Protocol
from testbed.model.planning.health import HealthCheck


@dataclass(slots=True)
class _Member:
    check: HealthCheck
    due: float
    failures: int = 0
    successes: int = 0
    dead: bool = False


@dataclass(slots=True)
class _Attempt:
    member: _Member
    client: socket.socket
    ends: float


@dataclass(slots=True)
class HealthChecker:
    """``tick`` starts what is due and reads what came back; it never blocks."""

    rundir: RunDir
    _members: dict[str, _Member] = field(default_factory=dict)
    _attempts: dict[socket.socket, _Attempt] = field(default_factory=dict)
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)

    def want(self, checks: Sequence[HealthCheck], now: float) -> None:
        """Check exactly these members from now on; what is known of a member that stays is kept."""
        wanted = {check.member: check for check in checks}
        for key in [key for key in self._members if key not in wanted]:
            del self._members[key]
        for key, check in wanted.items():
            known = self._members.get(key)
            if known is None:
                self._members[key] = _Member(check, now)
            else:
                known.check = check

    def dead(self) -> frozenset[str]:
        return frozenset(key for key, member in self._members.items() if member.dead)

    def tick(self, now: float) -> None:
        for member in self._members.values():
            if now >= member.due:
                member.due = now + member.check.interval
                self._start(member, now)
        for key, _ in self._selector.select(0):
            attempt = self._attempts[key.fileobj]  # type: ignore[index]
            self._finish(attempt, _answered(attempt))
        for attempt in [attempt for attempt in self._attempts.values() if now >= attempt.ends]:
            # Silence is what a healthy UDP port says to a datagram that it does not understand.
            self._finish(attempt, attempt.member.check.protocol is Protocol.UDP)

    def _start(self, member: _Member, now: float) -> None:
        check = member.check
        kind = socket.SOCK_DGRAM if check.protocol is Protocol.UDP else socket.SOCK_STREAM
        try:
            client = inside(self.rundir.namespace(check.host), lambda: socket.socket(socket.AF_INET, kind))
        except OSError:
            return  # the balancer itself is being made or taken away
        client.setblocking(False)
        if check.source is not None and not _bound(client, check.source):
            client.close()
            return
        failed = client.connect_ex((str(check.address), check.port))
        if failed not in (0, errno.EINPROGRESS):
            client.close()
            self._judge(member, False)
            return
        if check.protocol is Protocol.UDP:
            client.send(b"health")
        attempt = _Attempt(member, client, now + check.timeout)
        self._attempts[client] = attempt
        wanted = selectors.EVENT_READ if check.protocol is Protocol.UDP else selectors.EVENT_WRITE
        self._selector.register(client, wanted)

    def _finish(self, attempt: _Attempt, healthy: bool) -> None:
        self._selector.unregister(attempt.client)
        del self._attempts[attempt.client]
        attempt.client.close()
        self._judge(attempt.member, healthy)

    def _judge(self, member: _Member, healthy: bool) -> None:
        member.successes = member.successes + 1 if healthy else 0
        member.failures = 0 if healthy else member.failures + 1
        if member.failures >= member.check.retries:
            member.dead = True
        elif member.successes >= member.check.retries:
            member.dead = False


def _bound(client: socket.socket, source: IPv4Address) -> bool:
    """Whether it could be had: not while the balancer itself is being made."""
    try:
        client.bind((str(source), 0))
    except OSError:
        return False
    return True


def _answered(attempt: _Attempt) -> bool:
    return attempt.client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
