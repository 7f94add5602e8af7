"""br-int, table deliver: out of the chosen port.

A switch never sends a packet out of the port that it came in by unless told so. Services mean it: a pod that is its
own endpoint, a NodePort whose endpoint is behind the port that the client is behind too.
"""

from __future__ import annotations

from collections.abc import Iterator

from controllers.cluster.fields import LOCAL_16, OUT_PORT
from controllers.cluster.view import NodeView
from controllers.openflow import ANY, LOCAL, Flow, InPort, Local, OutputFrom, match
from testbed.model.desired import PATCH_EX_PORT, TUNNEL_PORT, NetworkModel


def plan(view: NodeView) -> Iterator[Flow]:
    owner = view.owner
    for port, port_owner, note in _ports(view):
        back = match({OUT_PORT: port & 0xFFFF}, in_port=port)
        yield Flow("deliver", 200, back, (InPort(),), owner=port_owner, note=note)
    stack = match({OUT_PORT: LOCAL_16})
    yield Flow("deliver", 100, stack, (Local(),), owner=owner, note="to the node's own stack")
    yield Flow("deliver", 10, ANY, (OutputFrom(OUT_PORT),), owner=owner, note="out of the chosen port")


def _ports(view: NodeView) -> Iterator[tuple[int, str, str]]:
    yield LOCAL, view.node.owner, "from the node back to it"
    yield PATCH_EX_PORT, view.owner, "from the VPC to the VPC"
    if view.model is NetworkModel.TUNNEL:
        yield TUNNEL_PORT, view.owner, "from tunnel to tunnel"
    for pod in view.node.pods:
        yield pod.port, pod.owner, "back to it"
