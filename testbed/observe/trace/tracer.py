"""The contents page of a trace: the packet there, what the receiver makes of it, the answer back, the verdict."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address

from testbed.observe.status import View
from testbed.observe.trace.advice import advise, advise_answer
from testbed.observe.trace.advice_services import advise_no_rule, explain_refusal
from testbed.observe.trace.machine import Machine
from testbed.observe.trace.packet import ECHO_REPLY, ECHO_REQUEST, Packet
from testbed.observe.trace.results import Decision, Outcome, Question, Relay, Request, Trace, Way
from testbed.observe.trace.walk import Walk
from testbed.observe.verdicts import Verdict

SOURCE_PORT = 40000
"""Of a traced TCP or UDP packet: one of those that kernels choose."""

MOST_CHOICES = 64
"""Of endpoints and balancers' members together; what is beyond is not followed."""

_ANY = IPv4Address(0)


@dataclass
class Tracer:
    """Traces in one lab. Answers of switches and kernels are kept, so one tracer is for one moment."""

    machine: Machine
    _neighbours: dict[tuple[str, str, IPv4Address], tuple[str, str]] = field(default_factory=dict)

    def trace(self, question: Question) -> Trace:
        """Raises ``EmulationError`` when a switch or a kernel does not answer."""
        first, *others = self._every_choice(question)
        found = replace(first, others=tuple(others))
        if question.request is None or found.verdict is not Verdict.ALLOWED:
            return found
        return self._relayed(found, question.request)

    def _relayed(self, found: Trace, request: Request) -> Trace:
        """The request goes on from the proxy that took it, if it is one that answers."""
        config = self.machine.proxy(found.there.host)
        if config is None:
            return found
        proxy, port = found.there.host, found.there.packet.destination_port
        rule = config.choose(port, request)
        if rule is None:
            decision = Decision("proxy", f"no rule for {request}")
            summary = f"the proxy of {proxy} answers 404: no rule for {request}"
            advice, relay = advise_no_rule(self.machine.view, proxy, port), Relay(proxy, decision, ())
            return replace(found, verdict=Verdict.REFUSED, summary=summary, advice=advice, relay=relay)
        owner, source = self.machine.ingress_of(request, port)
        decision = Decision("proxy", rule.text, owner, source)
        servers = tuple(
            self.trace(Question(proxy, proxy, one.name, one.address, "tcp", one.port, sender=one.sender))
            for one in config.servers(rule)
        )
        return _with_relay(found, Relay(proxy, decision, servers))

    def _every_choice(self, question: Question) -> Iterator[Trace]:
        """One trace for each combination of what switches on the way may choose, up to ``MOST_CHOICES``."""
        pending: list[tuple[int, ...]] = [()]
        for _ in range(MOST_CHOICES):
            if not pending:
                return
            walk = Walk(self.machine, self._neighbours, choices=pending.pop(0))
            yield self._trace(question, walk)
            for position, options in enumerate(walk.options):
                pending += [(*walk.taken[:position], option) for option in options]

    def _trace(self, question: Question, walk: Walk) -> Trace:
        there = walk.send(question.namespace, _first_packet(question))
        if there.outcome is Outcome.DROPPED:
            return self._stopped(question, there, walk)
        if there.outcome is Outcome.NOT_SENT:
            return Trace(question, Verdict.ERROR, there.reason, there, None, warnings=tuple(walk.warnings))
        if there.packet.icmp_type == ECHO_REPLY and question.protocol == "icmp":
            return self._answered_on_the_way(question, there, walk)
        refused = there.outcome is Outcome.REFUSED
        willing, why = (False, there.reason) if refused else self._answers(there)
        answer = there.packet.answer() if willing else there.packet.refusal()
        back = walk.send(there.host, answer)
        return self._judge(question, there, back, why, walk)

    def _answers(self, there: Way) -> tuple[bool, str]:
        """Whether the receiver's program or kernel says yes, and what it is that says no."""
        packet = there.packet
        if packet.protocol == "icmp":
            return True, ""
        if self.machine.kernel(there.host).listens(packet.protocol, packet.destination, packet.destination_port):
            return True, ""
        return False, f"nothing listens on {packet.protocol.upper()} port {packet.destination_port} of {there.host}"

    def _answered_on_the_way(self, question: Question, there: Way, walk: Walk) -> Trace:
        """A switch answers pings to a gateway and to Services of IPVS: the way there is the way back as well."""
        if problem := _not_the_answer(question, there):
            return Trace(question, Verdict.DROPPED, problem, there, None, warnings=tuple(walk.warnings))
        switch = next((hop.where for hop in there.hops if hop.after.icmp_type == ECHO_REPLY), there.host)
        summary = f"{switch} answers for {question.address}"
        return Trace(question, Verdict.ALLOWED, summary, there, None, warnings=tuple(walk.warnings))

    def _stopped(self, question: Question, there: Way, walk: Walk) -> Trace:
        where = there.last.where if there.last else question.namespace
        summary = f"dropped at {where}: {there.reason}"
        advice = advise(self.machine, question, there)
        return Trace(question, Verdict.DROPPED, summary, there, None, advice=advice, warnings=tuple(walk.warnings))

    def _judge(self, question: Question, there: Way, back: Way, why: str, walk: Walk) -> Trace:
        sender = self._name(there.host)
        seen = str(there.packet.source)
        warnings = tuple(walk.warnings)
        if back.outcome is not Outcome.DELIVERED:
            where = back.last.where if back.last else there.host
            summary = f"arrives at {sender}, the answer is dropped at {where}: {back.reason}"
            advice = advise(self.machine, question, back)
            return Trace(question, Verdict.DROPPED, summary, there, back, seen, advice, warnings)
        if problem := _not_the_answer(question, back):
            advice = advise_answer(self.machine, back)
            return Trace(question, Verdict.DROPPED, problem, there, back, seen, advice, warnings)
        if back.packet.refuses:
            why, advice = explain_refusal(self.machine.view, question, there, why)
            return Trace(question, Verdict.REFUSED, f"refused: {why}", there, back, seen, advice, warnings)
        return Trace(question, Verdict.ALLOWED, f"{sender} answers, it sees {seen}", there, back, seen, "", warnings)

    def _name(self, namespace: str) -> str:
        """A pod by its own name where its namespace is called otherwise."""
        for pod in self.machine.view.memory.pods:
            if pod.host == namespace and not pod.host_network:
                return pod.name
        return namespace


def _first_packet(question: Question) -> Packet:
    sender = question.sender or _ANY
    if question.protocol == "icmp":
        return Packet("icmp", sender, question.address, SOURCE_PORT, SOURCE_PORT, icmp_type=ECHO_REQUEST)
    flags = "syn" if question.protocol == "tcp" else ""
    return Packet(question.protocol, sender, question.address, SOURCE_PORT, question.port, flags=flags)


def _not_the_answer(question: Question, back: Way) -> str:
    """Why the asker does not take ``back`` for an answer to what it sent; "" when it does."""
    if back.host != question.namespace:
        return f"the answer comes to {back.host}"
    packet = back.packet
    if packet.about is not None:
        return "" if packet.about.destination == question.address else "the refusal is about another packet"
    if packet.source != question.address:
        return f"the answer comes from {packet.source}, {question.source} waits for one from {question.address}"
    if packet.protocol != "icmp" and packet.destination_port != SOURCE_PORT:
        return f"the answer comes to port {packet.destination_port}, which {question.source} did not use"
    return ""


def _with_relay(found: Trace, relay: Relay) -> Trace:
    """A proxy passes over a server that does not answer, as long as there is another."""
    good = [one for one in relay.servers if one.verdict is Verdict.ALLOWED]
    if not good:
        reason = relay.servers[0].summary if relay.servers else "its backend has no server"
        advice = relay.servers[0].advice if relay.servers else ""
        summary = f"the proxy of {relay.proxy} answers 503: {reason}"
        return replace(found, verdict=Verdict.REFUSED, summary=summary, advice=advice, relay=relay)
    summary = f"by the proxy of {relay.proxy}, {good[0].summary}"
    return replace(found, summary=summary, seen_source=good[0].seen_source, relay=relay)


@contextmanager
def tracing(view: View) -> Iterator[Tracer]:
    machine = Machine(view)
    try:
        yield Tracer(machine)
    finally:
        machine.close()
