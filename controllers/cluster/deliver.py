"""br-int, table deliver: out of the chosen port.

A switch never sends a packet out of the port that it came in by unless told so; where that is meant (a pod
that is its own endpoint, a NodePort whose endpoint is on a third node) these flows say so.
"""

from __future__ import annotations

from collections.abc import Iterator

from controllers.cluster.fields import BOUNCE, LOCAL_16, OUT_PORT, SOURCE, Source
from controllers.cluster.view import NodeView
from controllers.openflow import ANY, Flow, InPort, Local, OutputFrom, match
from testbed.model.desired import PATCH_EX_PORT, TUNNEL_PORT

_BACK = (
    (Source.TUNNEL, TUNNEL_PORT, "from tunnel to tunnel"),
    (Source.NODE, LOCAL_16, "from the node to the node"),
    (Source.FABRIC, PATCH_EX_PORT, "from the VPC to the VPC"),
)


def plan(view: NodeView) -> Iterator[Flow]:
    owner = view.owner
    yield Flow("deliver", 200, match({BOUNCE: 1}), (InPort(),), owner=owner, note="back to where it came from")
    for source, port, note in _BACK:
        back = match({SOURCE: source, OUT_PORT: port})
        yield Flow("deliver", 200, back, (InPort(),), owner=owner, note=note)
    stack = match({OUT_PORT: LOCAL_16})
    yield Flow("deliver", 100, stack, (Local(),), owner=owner, note="to the node's own stack")
    yield Flow("deliver", 10, ANY, (OutputFrom(OUT_PORT),), owner=owner, note="out of the chosen port")
