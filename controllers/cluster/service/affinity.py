"""sessionAffinity: ClientIP, as flows that the switch learns.

Client 172.16.0.2's first connection to port 0x1234 (the number of its group): balance puts 0x1234 in ``port_key`` and
looks in ``affinity``, where nothing is known; ``choose`` hands it to the group; the bucket of 172.16.0.18:8080 writes
that into ``endpoint`` and ``endpoint_port``, and ``remember`` learns it for this client and looks in ``choose`` again,
which has a flow for this endpoint: it translates. The next connection finds the learned flow in ``affinity``, which
writes the same endpoint, and ``choose`` knows it at once. An endpoint that is gone has no flow there, and the client's
choice is made anew.

That no endpoint is known must be found out for each connection. Open vSwitch would keep what it found for the first
one and use it for the client's second for the moment until it notices the learned flow; reading the source port makes
it a finding about one source port only.
"""

from __future__ import annotations

from collections.abc import Iterator

from controllers.cluster.fields import ENDPOINT, ENDPOINT_PORT, PORT_KEY
from controllers.cluster.service.groups import plan_group, translate
from controllers.cluster.service.ports import PROTOCOLS, SOURCE_PORTS
from controllers.cluster.service.served import Choice, Served
from controllers.openflow import Action, Copy, Flow, Learn, Resubmit, SetField, ToGroup, match
from controllers.openflow.fields import ETH_TYPE, IPV4, IPV4_SRC

_LONGEST = 0xFFFF
"""Seconds that a flow can wait: 18 hours. Kubernetes allows 24."""


def recall(served: Served, choice: Choice) -> tuple[Action, ...]:
    """Table balance: look for the client's endpoint, then ``choose``."""
    return (SetField(PORT_KEY, plan_group(served, choice).id), Resubmit("affinity"))


def plan(served: Served, choice: Choice) -> Iterator[Flow]:
    port, number = served.port, plan_group(served, choice).id
    protocol = PROTOCOLS[port.protocol]
    for endpoint in choice.endpoints:
        known = match(
            {PORT_KEY: number, ENDPOINT: endpoint.address, ENDPOINT_PORT: endpoint.port},
            eth_type=IPV4,
            ip_proto=protocol,
        )
        note = f"the client's endpoint is {endpoint.address}:{endpoint.port}"
        yield Flow("choose", 200, known, (translate(endpoint),), owner=port.owner, note=note)
    unknown = match({PORT_KEY: number}, eth_type=IPV4, ip_proto=protocol)
    anew = (Copy(SOURCE_PORTS[port.protocol], ENDPOINT_PORT), ToGroup(number))
    yield Flow("choose", 100, unknown, anew, owner=port.owner, note="the client has no endpoint yet")
    keep, note = (_learn(served), Resubmit("choose")), "for the client's next connections"
    yield Flow("remember", 100, match({PORT_KEY: number}, eth_type=IPV4), keep, owner=port.owner, note=note)


def _learn(served: Served) -> Learn:
    return Learn(
        "affinity",
        100,
        min(served.port.affinity_seconds, _LONGEST),
        ((ETH_TYPE, IPV4), (PORT_KEY, PORT_KEY), (IPV4_SRC, IPV4_SRC)),
        ((ENDPOINT, ENDPOINT), (ENDPOINT_PORT, ENDPOINT_PORT)),
        owner=served.port.owner,
        note="endpoint of one client",
    )
