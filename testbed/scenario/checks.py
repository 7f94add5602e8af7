"""Statements about a lab, judged one by one against what probes and captures saw."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address

from testbed.observe.probes import Seen
from testbed.observe.verdicts import Check, Verdict

Shown = Callable[[Check], None]


class Checks:
    """Collects the checks of one scenario in one model; ``shown`` is called with each as it is made.

    The first argument of every statement is the number of the assertion that it shows, 0 for none. A probe that
    could not be made is an error, whatever was expected. ``path`` names a way of access by which
    the models are compared.
    """

    def __init__(self, model: str, shown: Shown = lambda _: None) -> None:
        self.model = model
        self.made: list[Check] = []
        self._shown = shown
        self._last = time.monotonic()

    def allowed(
        self,
        assertion: int,
        title: str,
        seen: Seen,
        source: IPv4Address | str | Sequence[str] | None = None,
        server: str | Sequence[str] | None = None,
        evidence: Sequence[object] = (),
        path: str = "",
    ) -> Check:
        """It connected, and the server (one of ``server``) saw ``source`` (one of it) as the client's address."""
        servers = (server,) if isinstance(server, str) else server
        sources = (str(source),) if isinstance(source, (IPv4Address, str)) else source
        expected = "allowed" + (f", source {' or '.join(sources)}" if sources else "")
        ok = seen.verdict is Verdict.ALLOWED
        if sources is not None:
            ok = ok and seen.client in sources
        if servers is not None:
            expected += f", server {' or '.join(servers)}"
            ok = ok and seen.server in servers
        text = str(seen) + (f", server {seen.server}" if servers is not None else "")
        return self._judge(assertion, title, expected, text, ok, evidence, seen.verdict is Verdict.ERROR, path)

    def refused(self, assertion: int, title: str, seen: Seen, evidence: Sequence[object] = (), path: str = "") -> Check:
        """Something answered that the connection is not possible."""
        return self._verdict(assertion, title, seen, (Verdict.REFUSED,), evidence, path)

    def dropped(self, assertion: int, title: str, seen: Seen, evidence: Sequence[object] = (), path: str = "") -> Check:
        """Nothing answered until the time limit."""
        return self._verdict(assertion, title, seen, (Verdict.DROPPED,), evidence, path)

    def blocked(self, assertion: int, title: str, seen: Seen, evidence: Sequence[object] = (), path: str = "") -> Check:
        """It did not connect, by silence or by an answer; where the real system's way of saying no is not known."""
        return self._verdict(assertion, title, seen, (Verdict.DROPPED, Verdict.REFUSED), evidence, path)

    def equal(
        self, assertion: int, title: str, seen: object, expected: object, evidence: Sequence[object] = ()
    ) -> Check:
        return self._judge(assertion, title, str(expected), str(seen), seen == expected, evidence)

    def that(
        self, assertion: int, title: str, holds: bool, expected: str, seen: str, evidence: Sequence[object] = ()
    ) -> Check:
        """Any other statement: ``holds`` decides, the texts say what was expected and what was seen."""
        return self._judge(assertion, title, expected, seen, holds, evidence)

    def error(self, title: str, reason: str) -> Check:
        """The scenario could not go on."""
        return self._judge(0, title, "no error", reason, False, (), True)

    def _verdict(
        self,
        assertion: int,
        title: str,
        seen: Seen,
        wanted: tuple[Verdict, ...],
        evidence: Sequence[object],
        path: str,
    ) -> Check:
        expected = " or ".join(wanted)
        ok = seen.verdict in wanted
        return self._judge(assertion, title, expected, str(seen), ok, evidence, seen.verdict is Verdict.ERROR, path)

    def _judge(
        self,
        assertion: int,
        title: str,
        expected: str,
        seen: str,
        ok: bool,
        evidence: Sequence[object],
        error: bool = False,
        path: str = "",
    ) -> Check:
        now = time.monotonic()
        lines = tuple(str(line) for line in evidence)
        check = Check(
            assertion, title, self.model, expected, seen, ok and not error, lines, now - self._last, error, path
        )
        self._last = now
        self.made.append(check)
        self._shown(check)
        return check
